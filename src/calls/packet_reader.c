/*
 * packet_reader.c
 *	  The packets of a track, one after another, as a snapshot sees them.
 */
#include "server/compat.h"

#include "access/genam.h"
#include "access/table.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "calls/packet_reader.h"
#include "calls/packets.h"

/* Packets that lie behind one another until the index is left the first time. */
#define ENOUGH_IN_LINE 8
/* Packets without the index that are worth the way back to it. */
#define WORTH_LEAVING 64

bool
mulberry_open_packets(mulberry_packet_reader *reader, int64 track, Snapshot snapshot)
{
	mulberry_partition partition;

	reader->snapshot = RegisterSnapshot(snapshot ? snapshot : GetLatestSnapshot());
	if (!mulberry_read_track(track, reader->snapshot, &reader->call, &reader->track))
	{
		UnregisterSnapshot(reader->snapshot);
		return false;
	}
	mulberry_open_partition(mulberry_call_day(track), AccessShareLock, &partition);
	reader->table = partition.table;
	reader->key = RelationGetRelid(partition.key);
	index_close(partition.key, NoLock);
	reader->packet_context =
		AllocSetContextCreate(CurrentMemoryContext, "packet of a call", ALLOCSET_DEFAULT_SIZES);
	return true;
}

void
mulberry_close_packets(mulberry_packet_reader *reader)
{
	MemoryContextDelete(reader->packet_context);
	table_close(reader->table, NoLock);
	UnregisterSnapshot(reader->snapshot);
}

/* Asks the index for the packets behind a sequence. */
static void
ask_index(mulberry_packet_scan *scan)
{
	const mulberry_packet_reader *reader = scan->reader;
	MemoryContext before = MemoryContextSwitchTo(MemoryContextGetParent(reader->packet_context));
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(reader->track.id));
	ScanKeyInit(&keys[1], 2, BTGreaterStrategyNumber, F_INT4GT, Int32GetDatum(scan->next - 1));
	/* a condition costs something for each row */
	mulberry_begin_scan_with(&scan->scan, reader->table, reader->key, keys, scan->next == 0 ? 1 : 2,
							 reader->snapshot);
	scan->place = InvalidOffsetNumber;
	scan->in_line = 0;
	scan->followed = -1;
	scan->size = 0;
	scan->distance_behind = 0;
	MemoryContextSwitchTo(before);
}

void
mulberry_begin_packets(const mulberry_packet_reader *reader, mulberry_packet_scan *scan)
{
	scan->reader = reader;
	scan->next = 0;
	scan->at = scan->n = 0;
	scan->wanted = ENOUGH_IN_LINE;
	ask_index(scan);
}

/* Has those packets in hand that lie behind the last one on its page, or at the beginning of the next one. */
static void
follow(mulberry_packet_scan *scan)
{
	mulberry_page_rows *rows = &scan->scan.rows;
	int64 track = scan->reader->track.id;
	HeapTupleHeader header;

	if (scan->place >= rows->last)
	{
		if (!mulberry_page_behind(rows))
			return;
		scan->place = InvalidOffsetNumber;
	}
	while ((header = mulberry_row_at_offset(rows, scan->place + 1)) != NULL)
	{
		HeapTupleData row = { .t_data = header };
		int32 sequence;
		Datum data;

		mulberry_read_packet(&row, &sequence, &data);
		if (mulberry_packet_track(&row) != track || sequence != scan->next + scan->n)
			break;
		scan->data[scan->n++] = (const struct varlena *) DatumGetPointer(data);
		scan->place++;
	}
	scan->followed += scan->n;
	scan->distance_behind = mulberry_distance_behind(rows);
}

/* Whether enough packets have lain behind one another for the next one to be looked for there. */
static inline bool
is_in_line(mulberry_packet_scan *scan, HeapTuple row, int32 sequence)
{
	OffsetNumber place = ItemPointerGetOffsetNumber(&row->t_self);
	bool behind = place == scan->place + 1 && sequence == scan->next;

	scan->in_line = behind ? scan->in_line + 1 : 0;
	scan->place = place;
	return scan->in_line >= scan->wanted;
}

/* Has the packet in hand that the index says is next. */
static bool
ask_for_one(mulberry_packet_scan *scan)
{
	HeapTuple row = mulberry_next_tuple(&scan->scan, ForwardScanDirection);
	int32 sequence;
	Datum data;

	if (row == NULL)
		return false;
	mulberry_read_packet(row, &sequence, &data);
	if (is_in_line(scan, row, sequence) && row == &scan->scan.tuple)
	{
		scan->followed = 0;
		scan->size = row->t_len;
	}
	scan->next = sequence;
	scan->data[scan->n++] = (const struct varlena *) DatumGetPointer(data);
	return true;
}

bool
mulberry_more_packets(mulberry_packet_scan *scan)
{
	CHECK_FOR_INTERRUPTS();
	scan->at = scan->n = 0;
	if (scan->followed >= 0)
	{
		follow(scan);
		if (scan->n > 0)
			return true;
		/* where lines are short, the way back costs more than was spared */
		scan->wanted = scan->followed >= WORTH_LEAVING ? ENOUGH_IN_LINE
													   : Min(scan->wanted * 2, PG_INT32_MAX / 4);
		mulberry_end_scan(&scan->scan);
		ask_index(scan);
	}
	return ask_for_one(scan);
}

void
mulberry_end_packets(mulberry_packet_scan *scan)
{
	mulberry_end_scan(&scan->scan);
}
