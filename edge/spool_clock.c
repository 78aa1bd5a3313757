/*
 * spool_clock.c
 *	  The latest time that was ever known for sure, in a file beside the segments.
 *
 * Two places are written in turn, each a record as in a segment, so that one is good whenever the power fails.
 */
#include "spool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define CLOCK_NAME "latest-time"
#define CLOCK_PLACE 4096
#define MINUTE_US INT64_C(60000000)

void
spool_clock_open(edge_spool *spool)
{
	uint8_t bytes[MB_SPOOL_BLOCK];
	mb_spool_record record;
	mb_spool_loss loss;
	size_t used;

	spool->latest = spool->latest_written = MB_SPOOL_NO_TIME;
	spool->clock_fd =
		openat(spool->directory_fd, CLOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (spool->clock_fd < 0)
		spool->clock_fd =
			openat(spool->directory_fd, CLOCK_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	for (int i = 0; i < 2 && spool->clock_fd >= 0; i++)
	{
		if (pread(spool->clock_fd, bytes, sizeof(bytes), i * CLOCK_PLACE) != sizeof(bytes))
			continue;
		mb_spool_reader_begin(&spool->scan);
		if (mb_spool_read(&spool->scan, bytes, sizeof(bytes), &used, &record, &loss) !=
				MB_SPOOL_RECORD ||
			record.wall_us <= spool->latest)
			continue;
		spool->latest = spool->latest_written = record.wall_us;
		spool->clock_slot = i;
	}
}

int64_t
edge_spool_latest(const edge_spool *spool)
{
	return spool->latest;
}

void
edge_spool_raise_latest(edge_spool *spool, int64_t wall_us, bool at_once)
{
	mb_spool_record record = { .number = 1 };
	uint8_t bytes[MB_SPOOL_BLOCK];

	if (wall_us > spool->latest)
		spool->latest = wall_us;
	if (spool->clock_fd < 0 || spool->latest == spool->latest_written)
		return;
	if (!at_once && spool->latest_written != MB_SPOOL_NO_TIME &&
		spool->latest - spool->latest_written < MINUTE_US)
		return;
	record.wall_us = spool->latest;
	mb_spool_write(&record, bytes);
	if (pwrite(spool->clock_fd, bytes, sizeof(bytes), (1 - spool->clock_slot) * CLOCK_PLACE) !=
			(ssize_t) sizeof(bytes) ||
		fdatasync(spool->clock_fd) < 0)
		return;
	spool->clock_slot = 1 - spool->clock_slot;
	spool->latest_written = spool->latest;
}

void
spool_clock_close(edge_spool *spool)
{
	if (spool->clock_fd < 0)
		return;
	edge_spool_raise_latest(spool, spool->latest, true);
	close(spool->clock_fd);
}
