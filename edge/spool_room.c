/*
 * spool_room.c
 *	  Room for the spool: its bounds, what is dropped when they are reached, and how that is reported.
 */
#include "spool_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/* Tracks whose losses are counted side by side; with more of them, a track is reported in parts. */
#define TRACKS 8

/* What is dropped of one track. */
typedef struct loss
{
	char call[MB_SPOOL_MAX_NAME];
	char track[MB_SPOOL_MAX_NAME];
	edge_spool_report report;
} loss;

void
spool_report(edge_spool *spool, const edge_spool_report *report)
{
	if (report->event == EDGE_SPOOL_DROPPED)
		spool->dropped += report->records;
	if (spool->options.report != NULL)
		spool->options.report(spool->options.context, report);
}

static void
add_loss(edge_spool *spool, loss *losses, size_t *n, const mb_spool_record *record)
{
	loss *found = NULL;

	for (size_t i = 0; i < *n && found == NULL; i++)
	{
		const edge_spool_report *report = &losses[i].report;

		if (report->call_length == record->call_length &&
			report->track_length == record->track_length &&
			memcmp(losses[i].call, record->call, record->call_length) == 0 &&
			memcmp(losses[i].track, record->track, record->track_length) == 0)
			found = &losses[i];
	}
	if (found == NULL)
	{
		if (*n == TRACKS)
		{
			spool_report(spool, &losses[0].report);
			found = &losses[0];
		}
		else
			found = &losses[(*n)++];
		memset(&found->report, 0, sizeof(found->report));
		memcpy(found->call, record->call, record->call_length);
		memcpy(found->track, record->track, record->track_length);
		found->report.event = EDGE_SPOOL_DROPPED;
		found->report.call = found->call;
		found->report.call_length = record->call_length;
		found->report.track = found->track;
		found->report.track_length = record->track_length;
		found->report.first = found->report.last = record->sequence;
	}
	if (record->sequence < found->report.first)
		found->report.first = record->sequence;
	if (record->sequence > found->report.last)
		found->report.last = record->sequence;
	found->report.records++;
	found->report.duration_us += record->duration_us;
}

/* Says which records of a segment are given up. */
static void
report_dropped(edge_spool *spool, spool_segment *segment)
{
	loss *losses = calloc(TRACKS, sizeof(*losses));
	uint8_t *bytes = malloc(SPOOL_PIECE);
	size_t n = 0;
	mb_spool_record record;
	mb_spool_loss damage;

	mb_spool_reader_begin(&spool->scan);
	for (uint64_t at = 0; losses != NULL && bytes != NULL && at < segment->used;)
	{
		size_t got = spool_segment_read(spool, segment, at, bytes, SPOOL_PIECE);
		size_t done = 0;
		mb_spool_outcome outcome;

		if (got == 0)
			break;
		do
		{
			size_t used;

			outcome =
				mb_spool_read(&spool->scan, bytes + done, got - done, &used, &record, &damage);
			done += used;
			/* what has no duration is no audio */
			if (outcome == MB_SPOOL_RECORD && record.duration_us > 0 &&
				!spool_segment_has(segment, segment->acknowledged, record.number))
				add_loss(spool, losses, &n, &record);
		} while (outcome != MB_SPOOL_MORE);
		at += got;
	}
	for (size_t i = 0; i < n; i++)
		spool_report(spool, &losses[i].report);
	free(bytes);
	free(losses);
}

void
spool_remove(edge_spool *spool, spool_segment *segment)
{
	spool_segment **link = &spool->oldest;

	while (*link != segment)
		link = &(*link)->next;
	*link = segment->next;
	if (spool->reading == segment)
	{
		/* reading goes on with what was behind it */
		spool->reading = segment->next;
		spool->read_at = 0;
		mb_spool_reader_begin(&spool->reader);
	}
	if (spool->current == segment)
		spool->current = NULL;
	spool_segment_unlink(spool, segment);
	spool_segment_free(segment);
}

bool
spool_drop_oldest(edge_spool *spool, bool memory)
{
	spool_segment *segment = spool->oldest;

	while (segment != NULL && (segment == spool->current || (segment->memory != NULL) != memory))
		segment = segment->next;
	if (segment == NULL)
		return false;
	if (!segment->scanned)
		spool_segment_scan(spool, segment);
	report_dropped(spool, segment);
	spool_remove(spool, segment);
	return true;
}

int
spool_make_room(edge_spool *spool, uint64_t bytes, const char **what)
{
	struct statvfs disk;

	while (spool->disk_bytes + bytes > spool->options.max_bytes && spool_drop_oldest(spool, false))
		;
	for (;;)
	{
		uint64_t unit;
		uint64_t wanted;
		uint64_t free_bytes;

		*what = "look at the disk";
		if (fstatvfs(spool->directory_fd, &disk) < 0)
			return errno;
		unit = disk.f_frsize;
		free_bytes = (uint64_t) disk.f_bavail * unit;
		wanted =
			bytes + (uint64_t) disk.f_blocks * unit / 100 * (uint64_t) spool->options.free_percent;
		if (free_bytes >= wanted)
			return 0;
		/* what is ours goes when that is enough; a disk that others filled is no reason to drop it */
		*what = "keep the disk's share for others free";
		if (wanted - free_bytes > spool->disk_bytes || !spool_drop_oldest(spool, false))
			return ENOSPC;
	}
}
