/*
 * packets.c
 *	  Reading the end of a call and writing packets, by direct access to one
 *	  partition.
 *
 * Under the call lock a sequence is looked up before it is written, so no insertion meets a conflict and
 * the unique index is the last line of defence; but for packets whose sequence is only supposed to be the next
 * one, of which the index says whether that is true.  When it is not, a row is written and taken away again.
 */
#include "server/compat.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/index.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "calls/known_ends.h"
#include "calls/packets.h"
#include "server/relations.h"

/* Rows that go to the access method at once, as in COPY about a page's worth or more. */
#define ROWS_AT_ONCE 64

/*
 * Fetches a column (passed by value) of the packet with the largest sequence, which
 * is "from" or larger; false without such a packet.
 */
static bool
fetch_last(const mulberry_partition *partition, int64 call, int32 from, int column, Datum *value)
{
	ScanKeyData keys[2];
	IndexScanDesc scan;
	TupleTableSlot *slot = table_slot_create(partition->table, NULL);
	bool found;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(call));
	ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_INT4GE, Int32GetDatum(from));
	scan = begin_index_scan(partition->table, partition->key, SnapshotSelf, 2);
	index_rescan(scan, keys, 2, NULL, 0);
	found = index_getnext_slot(scan, BackwardScanDirection, slot);
	if (found)
	{
		slot_getsomeattrs(slot, column);
		*value = slot->tts_values[column - 1];
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

int32
mulberry_next_sequence(const mulberry_partition *partition, int64 call)
{
	mulberry_known_end known;
	bool is_known = mulberry_known_end_of(call, &known);
	Datum last;

	/*
	 * A scan reads all of a page that its keys match, which for a long call is hundreds of entries when it may
	 * begin anywhere.  What was known may have been rolled back.
	 */
	if (!(is_known && known.sequence > 0 &&
		  fetch_last(partition, call, known.sequence, Anum_packets_sequence, &last)) &&
		!fetch_last(partition, call, 0, Anum_packets_sequence, &last))
		return 0;
	if (!is_known || known.sequence != DatumGetInt32(last))
	{
		known.sequence = DatumGetInt32(last);
		ItemPointerSetInvalid(&known.tid);
		mulberry_remember_end(call, &known);
	}
	return DatumGetInt32(last) + 1;
}

/*
 * What was known may have been rolled back or erased since, and its place used by another.  Nothing is
 * supposed where changes are decoded: subscribers would get the second row with a key, and then its deletion.
 */
bool
mulberry_supposed_next(const mulberry_partition *partition, int64 call, int32 *sequence)
{
	mulberry_known_end known;
	TupleTableSlot *slot;
	bool there;

	if (!partition->only_key || RelationIsLogicallyLogged(partition->table) ||
		!mulberry_known_end_of(call, &known) || !ItemPointerIsValid(&known.tid) ||
		(slot = mulberry_row_at(partition->table, &known.tid)) == NULL)
		return false;
	slot_getsomeattrs(slot, Anum_packets_sequence);
	there = DatumGetInt64(slot->tts_values[Anum_packets_call - 1]) == call &&
			DatumGetInt32(slot->tts_values[Anum_packets_sequence - 1]) == known.sequence;
	ExecDropSingleTupleTableSlot(slot);
	*sequence = known.sequence + 1;
	return there;
}

TimestampTz
mulberry_last_arrival(const mulberry_partition *partition, int64 call)
{
	Datum last;

	if (!fetch_last(partition, call, 0, Anum_packets_received_at, &last))
		return DT_NOBEGIN;
	return DatumGetTimestampTz(last);
}

/* The row of a packet, in a slot that the caller drops; NULL when there is none. */
static TupleTableSlot *
find_packet(const mulberry_partition *partition, int64 call, int32 sequence)
{
	ScanKeyData keys[2];
	IndexScanDesc scan;
	TupleTableSlot *slot = table_slot_create(partition->table, NULL);
	bool there;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(call));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(sequence));
	scan = begin_index_scan(partition->table, partition->key, SnapshotSelf, 2);
	index_rescan(scan, keys, 2, NULL, 0);
	there = index_getnext_slot(scan, ForwardScanDirection, slot);
	/* it stays pinned by the slot */
	index_endscan(scan);
	if (there)
		return slot;
	ExecDropSingleTupleTableSlot(slot);
	return NULL;
}

bool
mulberry_has_data(const mulberry_partition *partition, int64 call, int32 sequence, Datum data)
{
	TupleTableSlot *slot = find_packet(partition, call, sequence);
	bool same;

	if (slot == NULL)
		return false;
	slot_getsomeattrs(slot, Anum_packets_data);
	same =
		DatumGetBool(DirectFunctionCall2(byteaeq, slot->tts_values[Anum_packets_data - 1], data));
	ExecDropSingleTupleTableSlot(slot);
	return same;
}

TimestampTz
mulberry_arrival(const mulberry_partition *partition, int64 call, int32 sequence)
{
	TupleTableSlot *slot = find_packet(partition, call, sequence);
	TimestampTz at;

	if (slot == NULL)
		return DT_NOBEGIN;
	slot_getsomeattrs(slot, Anum_packets_received_at);
	at = DatumGetTimestampTz(slot->tts_values[Anum_packets_received_at - 1]);
	ExecDropSingleTupleTableSlot(slot);
	return at;
}

/* Values for all "natts" columns of the partition; those behind ours are null. */
static void
fill_values(const mulberry_packet *packet, int natts, Datum *values, bool *nulls)
{
	memset(nulls, 0, Natts_packets * sizeof(bool));
	for (int i = Natts_packets; i < natts; i++)
	{
		values[i] = (Datum) 0;
		nulls[i] = true;
	}
	values[Anum_packets_call - 1] = Int64GetDatum(packet->call);
	values[Anum_packets_sequence - 1] = Int32GetDatum(packet->sequence);
	values[Anum_packets_sent_at - 1] = TimestampTzGetDatum(packet->sent_at);
	nulls[Anum_packets_sent_at - 1] = !packet->has_sent_at;
	values[Anum_packets_received_at - 1] = TimestampTzGetDatum(packet->received_at);
	values[Anum_packets_data - 1] = packet->data;
}

static void
is_stored(const mulberry_packet *packet)
{
	mulberry_advance_end(packet->call, &(mulberry_known_end){ packet->sequence, packet->tid });
}

/* Writes the row's entry in the key, and sees whether there was one of the same sequence. */
static void
write_key(const mulberry_partition *partition, mulberry_packet *packet, Datum *values, bool *nulls,
		  struct IndexInfo *info)
{
	IndexUniqueCheck check = packet->supposed ? UNIQUE_CHECK_PARTIAL : UNIQUE_CHECK_YES;
	bool only_one = index_insert(partition->key, values, nulls, &packet->tid, partition->table,
								 check, false, info);

	packet->was_there = packet->supposed && !only_one;
	if (!packet->was_there)
		is_stored(packet);
}

void
mulberry_store_packet(const mulberry_partition *partition, mulberry_packet *packet)
{
	TupleDesc desc = RelationGetDescr(partition->table);
	Datum values[MaxHeapAttributeNumber];
	bool nulls[MaxHeapAttributeNumber];
	HeapTuple tuple;

	mulberry_require_known_columns(partition->table, Natts_packets);
	fill_values(packet, desc->natts, values, nulls);
	tuple = heap_form_tuple(desc, values, nulls);
	packet->was_there = false;
	if (partition->only_key)
	{
		heap_insert(partition->table, tuple, GetCurrentCommandId(true), 0, NULL);
		packet->tid = tuple->t_self;
		write_key(partition, packet, values, nulls, BuildIndexInfo(partition->key));
	}
	else
	{
		Assert(!packet->supposed);
		mulberry_insert_row(partition->table, tuple);
		packet->tid = tuple->t_self;
		is_stored(packet);
	}
	heap_freetuple(tuple);
	CommandCounterIncrement();
}

void
mulberry_take_back_packet(const mulberry_partition *partition, const mulberry_packet *packet)
{
	simple_heap_delete(partition->table, unconstify(ItemPointerData *, &packet->tid));
	CommandCounterIncrement();
}

void
mulberry_store_packets(const mulberry_partition *partition, mulberry_packet *packets, int n)
{
	TupleTableSlot *slots[ROWS_AT_ONCE];
	int nslots = Min(n, ROWS_AT_ONCE);
	MemoryContext rows;
	MemoryContext before;
	struct IndexInfo *info;

	if (n == 1 || !partition->only_key)
	{
		for (int i = 0; i < n; i++)
			mulberry_store_packet(partition, &packets[i]);
		return;
	}

	mulberry_require_known_columns(partition->table, Natts_packets);
	for (int i = 0; i < nslots; i++)
		slots[i] = MakeSingleTupleTableSlot(RelationGetDescr(partition->table), &TTSOpsVirtual);
	info = BuildIndexInfo(partition->key);
	rows = AllocSetContextCreate(CurrentMemoryContext, "rows of packets", ALLOCSET_DEFAULT_SIZES);
	for (int done = 0; done < n; done += nslots)
	{
		int count = Min(nslots, n - done);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < count; i++)
		{
			ExecClearTuple(slots[i]);
			fill_values(&packets[done + i], RelationGetDescr(partition->table)->natts,
						slots[i]->tts_values, slots[i]->tts_isnull);
			ExecStoreVirtualTuple(slots[i]);
		}

		/* The access method makes the rows in the current context and leaves them there. */
		before = MemoryContextSwitchTo(rows);
		table_multi_insert(partition->table, slots, count, GetCurrentCommandId(true), 0, NULL);
		MemoryContextSwitchTo(before);
		for (int i = 0; i < count; i++)
		{
			packets[done + i].tid = slots[i]->tts_tid;
			write_key(partition, &packets[done + i], slots[i]->tts_values, slots[i]->tts_isnull,
					  info);
		}
		MemoryContextReset(rows);
	}
	MemoryContextDelete(rows);
	for (int i = 0; i < nslots; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	CommandCounterIncrement();
}

void
mulberry_delete_packets(const mulberry_partition *partition, int64 call)
{
	mulberry_delete_rows(partition->table, RelationGetRelid(partition->key), call);
}
