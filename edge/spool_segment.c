/*
 * spool_segment.c
 *	  One segment of the spool: its file, its records, which of them are acknowledged.
 */
#include "spool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a disk cannot read is read in pieces of this size, so that no more is lost than that. */
#define SECTOR 4096
#define SCAN_PIECE 32768

spool_segment *
spool_segment_of(uint64_t first, uint64_t size)
{
	spool_segment *segment = calloc(1, sizeof(*segment));
	size_t bits = size / MB_SPOOL_BLOCK / 8 + 1;

	if (segment == NULL)
		return NULL;
	segment->acknowledged = calloc(2, bits);
	if (segment->acknowledged == NULL)
	{
		free(segment);
		return NULL;
	}
	segment->in_hand = segment->acknowledged + bits;
	segment->first = first;
	segment->last = first - 1;
	segment->size = size;
	segment->fd = -1;
	return segment;
}

void
spool_segment_shut(spool_segment *segment)
{
	if (segment->fd >= 0)
		close(segment->fd);
	segment->fd = -1;
}

void
spool_segment_free(spool_segment *segment)
{
	spool_segment_shut(segment);
	free(segment->memory);
	free(segment->acknowledged);
	free(segment);
}

static const char *
name_of(const spool_segment *segment, char name[32])
{
	snprintf(name, 32, "%016" PRIx64 ".spool", segment->first);
	return name;
}

int
spool_segment_create(edge_spool *spool, spool_segment *segment, const char **what)
{
	char name[32];
	int error;

	*what = "make a segment";
	/* one of that name is left of a process that ended before it was anything */
	if (unlinkat(spool->directory_fd, name_of(segment, name), 0) < 0 && errno != ENOENT)
		return errno;
	segment->fd =
		openat(spool->directory_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (segment->fd < 0)
		return errno;
	*what = "take the room of a segment";
	do
		error = posix_fallocate(segment->fd, 0, (off_t) segment->size);
	while (error == EINTR);
	if (error == 0)
	{
		*what = "write a segment through";
		if (fsync(segment->fd) < 0 || fsync(spool->directory_fd) < 0)
			error = errno;
	}
	if (error != 0)
	{
		unlinkat(spool->directory_fd, name, 0);
		spool_segment_shut(segment);
		return error;
	}
	spool->disk_bytes += segment->size;
	return 0;
}

void
spool_segment_unlink(edge_spool *spool, spool_segment *segment)
{
	char name[32];

	if (segment->memory != NULL)
		spool->memory_bytes -= segment->size;
	else
	{
		/* one that cannot be deleted comes again with the next process, and again as duplicates */
		unlinkat(spool->directory_fd, name_of(segment, name), 0);
		spool->disk_bytes -= segment->size;
	}
}

/* Opens the file if it is not; false when it cannot be. */
static bool
open_file(edge_spool *spool, spool_segment *segment)
{
	char name[32];

	if (segment->fd < 0)
		segment->fd =
			openat(spool->directory_fd, name_of(segment, name), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (segment->fd < 0 && (errno == EROFS || errno == EACCES))
		segment->fd = openat(spool->directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return segment->fd >= 0;
}

void
spool_segment_end(edge_spool *spool, spool_segment *segment)
{
	/* a disk that takes nothing any more leaves it as it is */
	if (segment->memory == NULL && segment->used < segment->size && open_file(spool, segment) &&
		ftruncate(segment->fd, (off_t) segment->used) == 0)
	{
		spool->disk_bytes -= segment->size - segment->used;
		segment->size = segment->used;
	}
	spool_segment_shut(segment);
}

size_t
spool_segment_read(edge_spool *spool, spool_segment *segment, uint64_t at, uint8_t *bytes, size_t n)
{
	size_t done = 0;

	if (at >= segment->used)
		return 0;
	n = n < segment->used - at ? n : (size_t) (segment->used - at);
	if (segment->memory != NULL)
	{
		memcpy(bytes, segment->memory + at, n);
		return n;
	}
	if (!open_file(spool, segment))
		return 0;
	while (done < n)
	{
		size_t piece = SECTOR - (at + done) % SECTOR;
		ssize_t got = pread(segment->fd, bytes + done, n - done, (off_t) (at + done));

		if (got > 0)
		{
			done += (size_t) got;
			continue;
		}
		if (got < 0 && errno == EINTR)
			continue;
		/* what comes behind it may be readable */
		piece = piece < n - done ? piece : n - done;
		if (got < 0)
		{
			got = pread(segment->fd, bytes + done, piece, (off_t) (at + done));
			if (got > 0)
			{
				done += (size_t) got;
				continue;
			}
		}
		memset(bytes + done, 0xFF, piece);
		done += piece;
	}
	return n;
}

/* The place of a number among the bits; false when it has none. */
static bool
place_of(const spool_segment *segment, uint64_t number, uint64_t *place)
{
	*place = number - segment->first;
	return number >= segment->first && *place < segment->size / MB_SPOOL_BLOCK;
}

bool
spool_segment_has(const spool_segment *segment, const uint8_t *bits, uint64_t number)
{
	uint64_t place;

	return place_of(segment, number, &place) && bits[place / 8] & 1 << place % 8;
}

bool
spool_segment_mark(spool_segment *segment, uint8_t *bits, uint64_t number)
{
	uint64_t place;

	if (!place_of(segment, number, &place) || bits[place / 8] & 1 << place % 8)
		return false;
	bits[place / 8] |= (uint8_t) (1 << place % 8);
	return true;
}

void
spool_segment_clear(spool_segment *segment, uint8_t *bits, uint64_t number)
{
	uint64_t place;

	if (place_of(segment, number, &place))
		bits[place / 8] &= (uint8_t) ~(1 << place % 8);
}

static void
report_loss(edge_spool *spool, const spool_segment *segment, const mb_spool_loss *loss)
{
	edge_spool_report report = { .event = loss->last ? EDGE_SPOOL_TORN : EDGE_SPOOL_DAMAGED };

	report.segment = segment->first;
	report.bytes = loss->bytes;
	report.records = loss->records;
	spool->damaged += loss->bytes;
	spool_report(spool, &report);
}

/* Records of the damaged end of a segment, as far as the next one tells. */
static uint64_t
missing_behind(const spool_segment *segment)
{
	if (segment->next == NULL || segment->next->first <= segment->last + 1)
		return 0;
	return segment->next->first - segment->last - 1;
}

/*
 * The next segment's records are not this one's, which had them, too, when the disk failed (rescue() in spool.c). They were
 * marked as acknowledged here; those that the next one turns out to lack are to come from here after all.
 */
static void
take_back(edge_spool *spool, spool_segment *segment)
{
	spool_segment *next = segment->next;

	if (next == NULL || segment->last < next->first)
		return;
	if (!next->scanned)
		spool_segment_scan(spool, next);
	for (uint64_t number = next->last + 1; number <= segment->last; number++)
	{
		if (!spool_segment_has(segment, segment->acknowledged, number))
			continue;
		spool_segment_clear(segment, segment->acknowledged, number);
		segment->left++;
	}
}

bool
spool_segment_scan(edge_spool *spool, spool_segment *segment)
{
	static const size_t piece = SCAN_PIECE;
	uint8_t *bytes = malloc(piece);
	mb_spool_record record;
	mb_spool_loss loss;
	uint64_t behind = segment->next != NULL ? segment->next->first : UINT64_MAX;
	uint64_t end = 0;
	bool lost;

	if (bytes == NULL || !open_file(spool, segment))
	{
		free(bytes);
		return false;
	}
	segment->scanned = true;
	mb_spool_reader_begin(&spool->scan);
	spool->scan.expected = segment->first;
	for (uint64_t at = 0; at < segment->used;)
	{
		size_t n = spool_segment_read(spool, segment, at, bytes, piece);
		size_t done = 0;
		mb_spool_outcome outcome;

		do
		{
			size_t used;

			outcome = mb_spool_read(&spool->scan, bytes + done, n - done, &used, &record, &loss);
			done += used;
			if (outcome == MB_SPOOL_LOSS)
				report_loss(spool, segment, &loss);
			if (outcome == MB_SPOOL_RECORD &&
				record.number - segment->first < segment->size / MB_SPOOL_BLOCK)
			{
				segment->records++;
				if (record.number >= behind)
					spool_segment_mark(segment, segment->acknowledged, record.number);
				else
					segment->left++;
				if (record.number > segment->last || segment->records == 1)
					segment->last = record.number;
			}
		} while (outcome != MB_SPOOL_MORE);
		at += n;
	}
	free(bytes);
	end = spool->scan.end;
	lost = mb_spool_read_end(&spool->scan, &loss);
	loss.records = missing_behind(segment);
	loss.last = loss.records == 0;
	if (lost)
		report_loss(spool, segment, &loss);
	segment->used = end;
	spool_segment_end(spool, segment);
	take_back(spool, segment);
	return true;
}
