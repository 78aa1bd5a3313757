/*
 * spool_take.c
 *	  Taking records out of the spool: what comes next, what is acknowledged; see spool.h.
 */
#include "spool_internal.h"

#include <string.h>

#define PIECE 4096

/* Reading begins anew with this segment; NULL: with the oldest. */
static void
read_from(edge_spool *spool, spool_segment *segment)
{
	if (spool->reading != NULL && spool->reading != spool->current)
		spool_segment_shut(spool->reading);
	spool->reading = segment;
	spool->read_at = 0;
	mb_spool_reader_begin(&spool->reader);
}

bool
edge_spool_next(edge_spool *spool, mb_spool_record *record)
{
	uint8_t bytes[PIECE];
	mb_spool_loss loss; /* told when the segment was looked through */

	for (;;)
	{
		spool_segment *segment = spool->reading;
		mb_spool_outcome outcome;
		size_t used;
		size_t n;

		if (segment == NULL)
		{
			if (spool->oldest == NULL)
				return false;
			read_from(spool, spool->oldest);
			continue;
		}
		n = 0;
		if (segment->scanned || spool_segment_scan(spool, segment))
		{
			if (segment->left == 0 && segment != spool->current)
			{
				spool_remove(spool, segment);
				continue;
			}
			n = spool_segment_read(spool, segment, spool->read_at, bytes, sizeof(bytes));
		}
		/* all of it was read, or it cannot be opened now */
		if (n == 0)
		{
			if (segment->next == NULL)
				return false;
			read_from(spool, segment->next);
			continue;
		}
		do
		{
			outcome = mb_spool_read(&spool->reader, bytes, n, &used, record, &loss);
			spool->read_at += used;
			n -= used;
			memmove(bytes, bytes + used, n);
		} while (outcome == MB_SPOOL_LOSS);
		if (outcome == MB_SPOOL_RECORD &&
			!spool_segment_has(segment, segment->acknowledged, record->number) &&
			spool_segment_mark(segment, segment->in_hand, record->number))
			return true;
	}
}

void
edge_spool_acknowledge(edge_spool *spool, uint64_t number)
{
	spool_segment *segment = spool->oldest;

	/* one that lies in two segments is done with in the first, and comes from the second */
	while (segment != NULL && (!segment->scanned || number > segment->last ||
							   !spool_segment_mark(segment, segment->acknowledged, number)))
		segment = segment->next;
	if (segment == NULL)
		return;
	segment->left--;
	if (segment->left == 0 && segment != spool->current)
		spool_remove(spool, segment);
}

bool
edge_spool_let_go(edge_spool *spool, uint64_t number)
{
	bool found = false;

	for (spool_segment *segment = spool->oldest; segment != NULL; segment = segment->next)
	{
		if (!segment->scanned || number > segment->last ||
			!spool_segment_has(segment, segment->in_hand, number) ||
			spool_segment_has(segment, segment->acknowledged, number))
			continue;
		spool_segment_clear(segment, segment->in_hand, number);
		found = true;
	}
	/* it may lie before where reading stands */
	if (found)
		read_from(spool, NULL);
	return found;
}

uint64_t
edge_spool_number(const edge_spool *spool)
{
	return spool->next;
}

void
edge_spool_release(edge_spool *spool)
{
	for (spool_segment *segment = spool->oldest; segment != NULL; segment = segment->next)
		memset(segment->in_hand, 0, segment->size / MB_SPOOL_BLOCK / 8 + 1);
	read_from(spool, NULL);
}
