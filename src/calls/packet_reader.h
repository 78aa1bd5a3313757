/*
 * packet_reader.h
 *	  The packets of a track, one after another, as a snapshot sees them.
 */
#ifndef MULBERRY_PACKET_READER_H
#define MULBERRY_PACKET_READER_H

#include "server/compat.h"

#include "utils/rel.h"
#include "utils/snapshot.h"

#include "calls/calls.h"
#include "calls/tracks.h"
#include "server/relations.h"

typedef struct mulberry_packet_reader
{
	mulberry_call call;
	mulberry_track track;
	Relation table;
	Oid key;
	Snapshot snapshot;
	MemoryContext packet_context; /* for what is made of one packet: the caller resets it */
} mulberry_packet_reader;

/* Opens a track, as the snapshot sees it (NULL: as it is now); false when it is gone. */
extern bool mulberry_open_packets(mulberry_packet_reader *reader, int64 track, Snapshot snapshot);

extern void mulberry_close_packets(mulberry_packet_reader *reader);

extern void mulberry_begin_packets(const mulberry_packet_reader *reader, mulberry_scan *scan);

/* The next packet; its data are as they are stored, perhaps out of line. */
extern bool mulberry_next_packet(mulberry_scan *scan, int32 *sequence, Datum *data);

#endif /* MULBERRY_PACKET_READER_H */
