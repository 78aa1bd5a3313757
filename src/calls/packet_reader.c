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

void
mulberry_begin_packets(const mulberry_packet_reader *reader, mulberry_scan *scan)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(reader->track.id));
	mulberry_begin_scan_with(scan, reader->table, reader->key, &key, 1, reader->snapshot);
}

bool
mulberry_next_packet(mulberry_scan *scan, int32 *sequence, Datum *data)
{
	HeapTuple row;

	CHECK_FOR_INTERRUPTS();
	row = mulberry_next_tuple(scan, ForwardScanDirection);
	if (row == NULL)
		return false;
	mulberry_read_packet(row, sequence, data);
	return true;
}
