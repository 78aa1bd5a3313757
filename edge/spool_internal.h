/*
 * spool_internal.h
 *	  What the files of the spool share.
 */
#ifndef EDGE_SPOOL_INTERNAL_H
#define EDGE_SPOOL_INTERNAL_H

#include "spool.h"

/* Bytes that were written and not yet written through; kept, because a disk that fails then has lost them. */
#define SPOOL_UNSYNCED (128 * 1024)
/* One piece of memory while the disk takes nothing. */
#define SPOOL_PIECE (128 * 1024)

typedef struct spool_segment
{
	struct spool_segment *next; /* the next younger one */
	uint64_t first;				/* number of its first record */
	uint64_t last;				/* of its last one; first - 1: none */
	uint64_t size;				/* room, in bytes */
	uint64_t used;				/* of it */
	uint64_t records;			/* that can be read */
	uint64_t left;				/* of them not acknowledged */
	uint8_t *memory;			/* NULL: it is a file */
	int fd;						/* -1: closed */
	bool scanned;				/* records and left are known */
	uint8_t *acknowledged;		/* a bit a number */
	uint8_t *in_hand;			/* a bit a number */
} spool_segment;

struct edge_spool
{
	edge_spool_options options;
	char *directory;
	int directory_fd;
	spool_segment *oldest;
	spool_segment *current; /* the youngest, which is written; NULL: none yet */
	uint64_t next;			/* number */
	uint64_t safe;
	uint64_t disk_bytes;
	uint64_t memory_bytes;
	uint64_t dropped;
	uint64_t damaged;
	bool disk_lost;
	int64_t retry_at;
	int64_t sync_at; /* INT64_MAX: nothing is to be written through */
	int64_t now;
	uint8_t *unsynced;
	size_t unsynced_bytes;
	uint64_t first_unsynced; /* number */

	/* where reading stands */
	spool_segment *reading; /* NULL: before the oldest */
	uint64_t read_at;
	mb_spool_reader reader;
	mb_spool_reader scan;

	int clock_fd;
	int clock_slot;
	int64_t latest;
	int64_t latest_written;
};

/* spool_segment.c: one segment. */
extern spool_segment *spool_segment_of(uint64_t first, uint64_t size);
extern void spool_segment_free(spool_segment *segment);
/* Makes the file, takes the room and makes both outlive the power; 0, or errno with *what set. */
extern int spool_segment_create(edge_spool *spool, spool_segment *segment, const char **what);
extern void spool_segment_unlink(edge_spool *spool, spool_segment *segment);
/* It is not written any more: gives back the room it did not need, and closes its file. */
extern void spool_segment_end(edge_spool *spool, spool_segment *segment);
/* Closes its file, which is opened again when it is read: a long outage makes more segments than files may be open. */
extern void spool_segment_shut(spool_segment *segment);
/* Reads up to n bytes; what the disk cannot read is filled with what no record is. 0: the file cannot be opened now. */
extern size_t spool_segment_read(edge_spool *spool, spool_segment *segment, uint64_t at,
								 uint8_t *bytes, size_t n);
/*
 * Looks through a segment of an earlier process, reports its damage and ends it. False when it cannot be opened now, which
 * is no damage: it stays as it is.
 */
extern bool spool_segment_scan(edge_spool *spool, spool_segment *segment);
/* Whether the number is of this segment and its bit set; sets it. */
extern bool spool_segment_has(const spool_segment *segment, const uint8_t *bits, uint64_t number);
extern bool spool_segment_mark(spool_segment *segment, uint8_t *bits, uint64_t number);
extern void spool_segment_clear(spool_segment *segment, uint8_t *bits, uint64_t number);

/* spool_room.c: what goes when there is no room. */
/* Drops the oldest segment on disk, or in memory; false when there is none but the one that is written. */
extern bool spool_drop_oldest(edge_spool *spool, bool memory);
/* Takes a segment out of the list, deletes and frees it. */
extern void spool_remove(edge_spool *spool, spool_segment *segment);
/* Makes room on disk for one more segment of so many bytes; 0, or errno with *what set. */
extern int spool_make_room(edge_spool *spool, uint64_t bytes, const char **what);
extern void spool_report(edge_spool *spool, const edge_spool_report *report);

/* spool_clock.c */
extern void spool_clock_open(edge_spool *spool);
extern void spool_clock_close(edge_spool *spool);

#endif /* EDGE_SPOOL_INTERNAL_H */
