/*
 * spool.c
 *	  Taking records into the spool and writing them through; see spool.h.
 *
 * What has been written but not written through is kept in memory as well: after a failed fdatasync() nobody
 * knows what of it is on the disk, and a second one would not tell.
 */
#include "spool_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

void
edge_spool_defaults(edge_spool_options *options)
{
	options->segment_bytes = EDGE_SPOOL_SEGMENT;
	options->memory_bytes = EDGE_SPOOL_MEMORY;
	options->free_percent = EDGE_SPOOL_FREE_PERCENT;
	options->sync_us = 1000000;
	options->retry_us = 10000000;
}

static void
append(edge_spool *spool, spool_segment *segment)
{
	spool_segment **link = &spool->oldest;

	while (*link != NULL)
		link = &(*link)->next;
	*link = segment;
}

/* A segment for records from this number on, in memory. */
static spool_segment *
begin_in_memory(edge_spool *spool, uint64_t first)
{
	spool_segment *segment = spool_segment_of(first, SPOOL_PIECE);

	while (spool->memory_bytes + SPOOL_PIECE > spool->options.memory_bytes &&
		   spool_drop_oldest(spool, true))
		;
	if (segment != NULL)
		segment->memory = malloc(SPOOL_PIECE);
	if (segment == NULL || segment->memory == NULL)
	{
		if (segment != NULL)
			spool_segment_free(segment);
		return NULL;
	}
	segment->scanned = true;
	spool->memory_bytes += SPOOL_PIECE;
	append(spool, segment);
	spool->current = segment;
	return segment;
}

/* Nothing is left to be written through. */
static void
all_safe(edge_spool *spool)
{
	spool->safe = spool->next - 1;
	spool->unsynced_bytes = 0;
	spool->sync_at = INT64_MAX;
}

/* What was not written through goes from the segment on disk into one in memory. */
static void
rescue(edge_spool *spool)
{
	spool_segment *from = spool->current;
	spool_segment *to;
	uint64_t first = spool->first_unsynced;

	spool->current = NULL;
	if (from == NULL || from->memory != NULL || spool->unsynced_bytes == 0)
		return;
	to = begin_in_memory(spool, first);
	if (to == NULL)
		return;
	memcpy(to->memory, spool->unsynced, spool->unsynced_bytes);
	to->used = spool->unsynced_bytes;
	from->used -= spool->unsynced_bytes;
	for (uint64_t number = first; number <= from->last; number++)
	{
		to->records++;
		from->records--;
		if (spool_segment_has(from, from->acknowledged, number))
			spool_segment_mark(to, to->acknowledged, number);
		else
		{
			to->left++;
			from->left--;
		}
		if (spool_segment_has(from, from->in_hand, number))
			spool_segment_mark(to, to->in_hand, number);
	}
	to->last = from->last;
	from->last = first - 1;
	spool_segment_shut(from);
	spool->unsynced_bytes = 0;
	spool->sync_at = INT64_MAX;
	if (from->left == 0)
		spool_remove(spool, from);
}

static void
lose_disk(edge_spool *spool, int error, const char *what)
{
	edge_spool_report report = { .event = EDGE_SPOOL_DISK_LOST, .error = error, .what = what };
	bool known = spool->disk_lost;

	spool->disk_lost = true;
	spool->retry_at = spool->now + spool->options.retry_us;
	rescue(spool);
	if (!known)
		spool_report(spool, &report);
}

/* Writes through what is not yet; what everybody has acknowledged does not need it. */
static void
sync_now(edge_spool *spool)
{
	spool_segment *current = spool->current;

	spool->sync_at = INT64_MAX;
	if (current == NULL || current->memory != NULL || spool->unsynced_bytes == 0)
		return;
	if (current->left > 0 && fdatasync(current->fd) < 0)
		lose_disk(spool, errno, "write a segment through");
	else
		all_safe(spool);
}

/* The segment under way gets no more records. */
static void
end_current(edge_spool *spool)
{
	spool_segment *ended = spool->current;

	sync_now(spool);
	if (spool->current == NULL || spool->current != ended)
		return;
	spool->current = NULL;
	if (ended->left == 0)
		spool_remove(spool, ended);
	else
		spool_segment_end(spool, ended);
}

/* Makes sure that there is a segment with room for so many bytes. */
static bool
have_room(edge_spool *spool, size_t size)
{
	spool_segment *segment = spool->current;
	const char *what = "take memory for a segment";
	int error = ENOMEM;

	if (segment != NULL && segment->used + size <= segment->size)
		return true;
	end_current(spool);
	/* what was rescued meanwhile may have room */
	segment = spool->current;
	if (segment != NULL && segment->used + size <= segment->size)
		return true;
	if (!spool->disk_lost)
	{
		error = spool_make_room(spool, spool->options.segment_bytes, &what);
		segment = error == 0 ? spool_segment_of(spool->next, spool->options.segment_bytes) : NULL;
		if (segment != NULL)
		{
			error = spool_segment_create(spool, segment, &what);
			if (error == 0)
			{
				segment->scanned = true;
				append(spool, segment);
				spool->current = segment;
				return true;
			}
			spool_segment_free(segment);
		}
		lose_disk(spool, error, what);
	}
	return begin_in_memory(spool, spool->next) != NULL;
}

/* All of it, or errno. */
static int
write_all(int fd, const uint8_t *bytes, size_t n, uint64_t at)
{
	for (size_t done = 0; done < n;)
	{
		ssize_t written = pwrite(fd, bytes + done, n - done, (off_t) (at + done));

		if (written > 0)
			done += (size_t) written;
		else if (written == 0)
			return ENOSPC;
		else if (errno != EINTR)
			return errno;
	}
	return 0;
}

/* Puts the record's blocks into the segment under way; false when the disk takes nothing. */
static bool
write_blocks(edge_spool *spool, const uint8_t *blocks, size_t size)
{
	spool_segment *current = spool->current;
	int error;

	if (current->memory != NULL)
	{
		memcpy(current->memory + current->used, blocks, size);
		return true;
	}
	if (spool->unsynced_bytes + size > SPOOL_UNSYNCED)
	{
		sync_now(spool);
		if (spool->current != current)
			return false;
	}
	error = write_all(current->fd, blocks, size, current->used);
	if (error != 0)
	{
		lose_disk(spool, error, "write into a segment");
		return false;
	}
	if (spool->unsynced_bytes == 0)
		spool->first_unsynced = spool->next;
	memcpy(spool->unsynced + spool->unsynced_bytes, blocks, size);
	spool->unsynced_bytes += size;
	if (spool->sync_at == INT64_MAX)
		spool->sync_at = spool->now + spool->options.sync_us;
	return true;
}

uint64_t
edge_spool_put(edge_spool *spool, const mb_spool_record *record, bool in_hand)
{
	mb_spool_record numbered = *record;
	uint8_t blocks[MB_SPOOL_MAX_RECORD];
	size_t size = mb_spool_size(record);
	spool_segment *current;

	if (size == 0)
		return 0;
	numbered.number = spool->next;
	mb_spool_write(&numbered, blocks);
	/* the second time it goes to memory */
	if (!have_room(spool, size) ||
		(!write_blocks(spool, blocks, size) &&
		 (!have_room(spool, size) || !write_blocks(spool, blocks, size))))
		return 0;
	current = spool->current;
	current->used += size;
	current->last = spool->next;
	current->records++;
	current->left++;
	if (in_hand)
		spool_segment_mark(current, current->in_hand, spool->next);
	if (record->wall_us != MB_SPOOL_NO_TIME)
		edge_spool_raise_latest(spool, record->wall_us, false);
	return spool->next++;
}

/* Writes a segment from memory to disk; 0, or errno with *what set. */
static int
save(edge_spool *spool, spool_segment *segment, const char **what)
{
	uint8_t *memory = segment->memory;
	uint64_t size = segment->size;
	int error = spool_make_room(spool, segment->used, what);

	if (error != 0)
		return error;
	segment->memory = NULL;
	segment->size = segment->used;
	error = spool_segment_create(spool, segment, what);
	if (error == 0)
	{
		*what = "write into a segment";
		error = write_all(segment->fd, memory, segment->used, 0);
		if (error == 0 && fdatasync(segment->fd) < 0)
			error = errno;
		if (error != 0)
			spool_segment_unlink(spool, segment);
		spool_segment_shut(segment);
	}
	if (error != 0)
	{
		segment->memory = memory;
		segment->size = size;
		return error;
	}
	spool->memory_bytes -= size;
	free(memory);
	return 0;
}

/* Whether the disk takes something again; what is in memory goes there. */
static void
retry_disk(edge_spool *spool)
{
	edge_spool_report back = { .event = EDGE_SPOOL_DISK_BACK };
	spool_segment *current = spool->current;
	spool_segment *segment;
	const char *what;

	spool->retry_at = spool->now + spool->options.retry_us;
	spool->current = NULL;
	do
	{
		segment = spool->oldest;
		while (segment != NULL && segment->memory == NULL)
			segment = segment->next;
		if (segment != NULL && segment->left == 0)
			spool_remove(spool, segment);
		else if (segment != NULL && save(spool, segment, &what) != 0)
		{
			/* the youngest is the last to be saved */
			spool->current = current;
			return;
		}
	} while (segment != NULL);
	spool->disk_lost = false;
	all_safe(spool);
	spool_report(spool, &back);
}

void
edge_spool_turn(edge_spool *spool, int64_t now_us, bool at_once)
{
	spool->now = now_us;
	if (spool->disk_lost && now_us >= spool->retry_at)
		retry_disk(spool);
	if (at_once || now_us >= spool->sync_at)
		sync_now(spool);
}

uint64_t
edge_spool_safe(const edge_spool *spool)
{
	return spool->safe;
}

void
edge_spool_look(const edge_spool *spool, edge_spool_state *state)
{
	memset(state, 0, sizeof(*state));
	state->disk_bytes = spool->disk_bytes;
	state->memory_bytes = spool->memory_bytes;
	state->disk_lost = spool->disk_lost;
	state->dropped = spool->dropped;
	state->damaged = spool->damaged;
	for (const spool_segment *segment = spool->oldest; segment != NULL; segment = segment->next)
	{
		state->segments++;
		state->left += segment->left;
		state->memory_left += segment->memory != NULL ? segment->left : 0;
	}
}

/* A segment that an earlier process left, in its place in the list. */
static void
take_old(edge_spool *spool, const char *name)
{
	spool_segment **link = &spool->oldest;
	spool_segment *segment;
	struct stat file;
	uint64_t first;

	if (strspn(name, "0123456789abcdef") != 16 || strcmp(name + 16, ".spool") != 0)
		return;
	first = strtoull(name, NULL, 16);
	if (fstatat(spool->directory_fd, name, &file, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISREG(file.st_mode))
		return;
	segment = spool_segment_of(first, (uint64_t) file.st_size);
	if (segment == NULL)
		return;
	segment->used = segment->size;
	while (*link != NULL && (*link)->first < first)
		link = &(*link)->next;
	segment->next = *link;
	*link = segment;
	spool->disk_bytes += segment->size;
}

/* What was left, and which number comes next. */
static bool
take_inventory(edge_spool *spool)
{
	int fd = openat(spool->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	spool_segment *youngest;

	if (directory == NULL)
		return false;
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
		take_old(spool, entry->d_name);
	closedir(directory);
	do
	{
		youngest = spool->oldest;
		while (youngest != NULL && youngest->next != NULL)
			youngest = youngest->next;
		if (youngest == NULL)
			break;
		if (!spool_segment_scan(spool, youngest))
		{
			/* nobody knows which numbers are in it, and a segment of the same name would take its place */
			spool->next = youngest->first + youngest->size / MB_SPOOL_BLOCK + 1;
			break;
		}
		if (youngest->last >= spool->next)
			spool->next = youngest->last + 1;
		if (youngest->left > 0)
			break;
		spool_remove(spool, youngest);
	} while (true);
	spool->safe = spool->next - 1;
	return true;
}

/* Makes the directory's own name outlive the power; a place that does not take that is found out when it is written. */
static void
sync_parent(int directory_fd)
{
	int parent = openat(directory_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (parent < 0)
		return;
	(void) !fsync(parent);
	close(parent);
}

edge_spool *
edge_spool_open(const edge_spool_options *options)
{
	edge_spool *spool = calloc(1, sizeof(*spool));
	int error;

	if (spool == NULL)
		return NULL;
	spool->options = *options;
	spool->next = 1;
	spool->now = options->now_us;
	spool->sync_at = INT64_MAX;
	spool->unsynced = malloc(SPOOL_UNSYNCED);
	if (spool->unsynced == NULL)
	{
		free(spool);
		return NULL;
	}
	/* what is wrong with it, opening it says */
	(void) !mkdir(options->directory, 0700);
	spool->directory_fd = open(options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spool->directory_fd >= 0 && flock(spool->directory_fd, LOCK_EX | LOCK_NB) == 0 &&
		take_inventory(spool))
	{
		sync_parent(spool->directory_fd);
		spool_clock_open(spool);
		return spool;
	}
	error = errno;
	if (spool->directory_fd >= 0)
		close(spool->directory_fd);
	free(spool->unsynced);
	free(spool);
	errno = error;
	return NULL;
}

void
edge_spool_close(edge_spool *spool)
{
	spool_segment *current;

	end_current(spool);
	if (spool->disk_lost)
		retry_disk(spool);
	while (spool_drop_oldest(spool, true))
		;
	while ((current = spool->oldest) != NULL)
	{
		spool->oldest = current->next;
		spool_segment_end(spool, current);
		spool_segment_free(current);
	}
	spool_clock_close(spool);
	close(spool->directory_fd);
	free(spool->unsynced);
	free(spool);
}
