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

/*
 * Packets in the order of their sequences.  The index says which comes next and where it lies.  Most lie behind one another as they
 * came, and sequences are whole numbers: a row that has the track's id and the next sequence is the next packet, without the
 * index, for a tenth of what it costs to ask that.  All of these on a page are looked for at once.
 */
typedef struct mulberry_packet_scan
{
	const mulberry_packet_reader *reader;
	mulberry_scan scan;
	int32 next;			/* sequence of the first packet in hand */
	OffsetNumber place; /* on its page of the packet read last; 0: not known */
	int in_line;		/* so many have come from the index that lie behind one another */
	int wanted;			/* at so many the index is left */
	int64 followed;		/* packets since then; -1: it is asked */
	int at;				/* packets in hand, from here to there */
	int n;
	const struct varlena *data[MaxHeapTuplesPerPage];
	unsigned size;			   /* of their rows, mostly */
	ptrdiff_t distance_behind; /* to the page behind theirs; 0: not known */
} mulberry_packet_scan;

/* Opens a track, as the snapshot sees it (NULL: as it is now); false when it is gone. */
extern bool mulberry_open_packets(mulberry_packet_reader *reader, int64 track, Snapshot snapshot);

extern void mulberry_close_packets(mulberry_packet_reader *reader);

extern void
mulberry_begin_packets(const mulberry_packet_reader *reader, mulberry_packet_scan *scan);

/* Has packets in hand when there are none; false when there is none behind the last. */
extern bool mulberry_more_packets(mulberry_packet_scan *scan);

/* The next packet; its data are as they are stored, perhaps out of line. */
static pg_attribute_always_inline bool
mulberry_next_packet(mulberry_packet_scan *scan, int32 *sequence, const struct varlena **data)
{
	if (scan->at == scan->n && !mulberry_more_packets(scan))
		return false;
	*sequence = scan->next++;
	*data = scan->data[scan->at++];
	/* where this one lies, one on the next page does mostly */
	mulberry_prefetch((const char *) *data - MULBERRY_CACHE_LINE + scan->distance_behind,
					  scan->size);
	return true;
}

extern void mulberry_end_packets(mulberry_packet_scan *scan);

#endif /* MULBERRY_PACKET_READER_H */
