/*
 * keeper.c
 *	  A thread that keeps what was captured in the spool; see keeper.h.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "clock.h"
#include "thread.h"

#define SECOND INT64_C(1000000000)
#define GATHER (SECOND / 10) /* what comes within that goes into the spool together */
#define STACK (256 * 1024)

struct edge_keeper
{
	edge_keeper_options options;
	uint8_t boot[EDGE_BOOT_ID];
	uint64_t first_number;
	_Atomic int64_t latest;

	edge_worker worker; /* its mutex is that of what was handed over */
	edge_item *first;
	edge_item **last;
	uint64_t waiting; /* packets */
	uint64_t late;	  /* packets that were dropped because the disk did not answer */
	/* of these what was not said yet */
	edge_item *first_late;
	int64_t last_late;
	uint64_t n_late;
	bool ended;				 /* the thread */
	edge_keeper_state state; /* as it was a second ago at most */

	pthread_mutex_t spool_mutex; /* held while the disk is waited for */
	edge_spool *spool;
	atomic_bool behind;
	uint64_t unknown; /* records that are none of ours */
	int disk_error;
};

/* ---------------------------------------------------------------------------
 * What is said
 * ---------------------------------------------------------------------------
 */

static void
say(edge_keeper *k, const char *text)
{
	edge_complain("%s", text);
	if (k->options.said != NULL)
		k->options.said(k->options.arg, text);
}

static void
on_report(void *context, const edge_spool_report *report)
{
	edge_keeper *k = context;
	char text[512];

	switch (report->event)
	{
		case EDGE_SPOOL_DROPPED:
			snprintf(text, sizeof(text),
					 "the spool is full, dropped: call %.*s%s%.*s, packets %" PRId64 " to %" PRId64
					 ", %.3f s",
					 (int) report->call_length, report->call,
					 report->track_length > 0 ? ", track " : "", (int) report->track_length,
					 report->track, report->first, report->last,
					 (double) report->duration_us / 1000000);
			break;
		case EDGE_SPOOL_DAMAGED:
			snprintf(text, sizeof(text),
					 "the spool is damaged: %" PRIu64 " bytes of segment %016" PRIx64
					 " cannot be read, at least %" PRIu64 " records",
					 report->bytes, report->segment, report->records);
			break;
		case EDGE_SPOOL_TORN:
			snprintf(text, sizeof(text),
					 "the spool's segment %016" PRIx64 " ends in what was being written when the "
					 "power failed, %" PRIu64 " bytes",
					 report->segment, report->bytes);
			break;
		case EDGE_SPOOL_DISK_LOST:
			k->disk_error = report->error;
			snprintf(
				text, sizeof(text),
				"the spool's disk takes nothing, could not %s: %s; what is captured is kept in "
				"memory",
				report->what, strerror(report->error));
			break;
		case EDGE_SPOOL_DISK_BACK:
			k->disk_error = 0;
			snprintf(text, sizeof(text), "the spool's disk is back");
			break;
	}
	say(k, text);
}

/* ---------------------------------------------------------------------------
 * The thread
 * ---------------------------------------------------------------------------
 */

static void
wait_until(edge_keeper *k, int64_t nanoseconds, bool for_more)
{
	struct timespec at = edge_condition_until(nanoseconds);

	pthread_mutex_lock(&k->worker.mutex);
	while (!k->worker.stopping && (for_more || k->first == NULL))
	{
		if (pthread_cond_timedwait(&k->worker.change, &k->worker.mutex, &at) != 0)
			break;
	}
	pthread_mutex_unlock(&k->worker.mutex);
}

/* What may be asked for without waiting for the disk. */
static void
publish(edge_keeper *k)
{
	edge_keeper_state state = { .disk_error = k->disk_error };

	edge_spool_look(k->spool, &state.spool);
	state.dropped = state.spool.dropped + k->unknown;
	pthread_mutex_lock(&k->worker.mutex);
	state.dropped += k->late;
	k->state = state;
	pthread_mutex_unlock(&k->worker.mutex);
}

static void
keep(edge_keeper *k, edge_item *list)
{
	pthread_mutex_lock(&k->spool_mutex);
	for (edge_item *item = list; item != NULL; item = item->next)
	{
		mb_spool_record record;

		edge_item_to_record(item, k->boot, &record);
		item->number = edge_spool_put(k->spool, &record, true);
	}
	k->latest = edge_spool_latest(k->spool);
	pthread_mutex_unlock(&k->spool_mutex);
}

/* Says what was dropped while the disk did not answer. */
static void
say_late(edge_keeper *k)
{
	char text[512];
	edge_item *first;

	pthread_mutex_lock(&k->worker.mutex);
	first = k->first_late;
	if (first != NULL)
		snprintf(text, sizeof(text),
				 "the spool's disk did not answer, dropped: call %s%s%s, packets %" PRId64
				 " to %" PRId64 ", %.3f s",
				 first->call_id, first->track == NULL ? "" : ", track ",
				 first->track == NULL ? "" : first->track, first->sequence, k->last_late,
				 (double) k->n_late * EDGE_BLOCK_MS / 1000);
	k->first_late = NULL;
	k->n_late = 0;
	pthread_mutex_unlock(&k->worker.mutex);
	if (first != NULL)
		say(k, text);
	free(first);
}

static void *
run(void *arg)
{
	edge_keeper *k = arg;
	bool stopping = false;

	while (!stopping)
	{
		edge_item *list;

		wait_until(k, SECOND, false);
		wait_until(k, GATHER, true);
		pthread_mutex_lock(&k->worker.mutex);
		stopping = k->worker.stopping;
		list = k->first;
		k->first = NULL;
		k->last = &k->first;
		k->waiting = 0;
		pthread_mutex_unlock(&k->worker.mutex);
		say_late(k);
		if (list != NULL)
		{
			keep(k, list);
			k->options.kept(k->options.arg, list);
		}
		pthread_mutex_lock(&k->spool_mutex);
		edge_spool_turn(k->spool, edge_clock() / 1000, stopping);
		publish(k);
		pthread_mutex_unlock(&k->spool_mutex);
	}
	return NULL;
}

/* ---------------------------------------------------------------------------
 * Begin and end
 * ---------------------------------------------------------------------------
 */

edge_exit
edge_keeper_check(const char *directory, int free_percent, char problem[static 512])
{
	static const char name[] = "check";
	struct statvfs disk;
	edge_exit status = EDGE_EXIT_OK;
	int directory_fd;
	int fd;

	(void) !mkdir(directory, 0700);
	directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory_fd < 0)
	{
		snprintf(problem, 512, "spool \"%s\": %s", directory, strerror(errno));
		return EDGE_EXIT_SPOOL;
	}
	fd = openat(directory_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || pwrite(fd, name, sizeof(name), 0) != (ssize_t) sizeof(name) || fsync(fd) < 0)
	{
		status = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? EDGE_EXIT_SPOOL_FULL
																	  : EDGE_EXIT_SPOOL;
		snprintf(problem, 512, "spool \"%s\": %s", directory, strerror(errno));
	}
	else if (fstatvfs(directory_fd, &disk) == 0 &&
			 (double) disk.f_bavail * (double) disk.f_frsize <
				 (double) disk.f_blocks * (double) disk.f_frsize / 100 * free_percent +
					 EDGE_SPOOL_SEGMENT)
	{
		status = EDGE_EXIT_SPOOL_FULL;
		snprintf(problem, 512, "spool \"%s\": less than %d %% of the disk are free", directory,
				 free_percent);
	}
	if (fd >= 0)
	{
		close(fd);
		unlinkat(directory_fd, name, 0);
	}
	close(directory_fd);
	return status;
}

static bool
open_spool(edge_keeper *k, char problem[static 512])
{
	edge_spool_options options = { 0 };
	edge_spool_state state;

	edge_spool_defaults(&options);
	options.directory = k->options.directory;
	options.max_bytes = k->options.bytes;
	options.memory_bytes = k->options.memory_bytes;
	options.free_percent = k->options.free_percent;
	options.sync_us = k->options.sync_ms * INT64_C(1000);
	options.now_us = edge_clock() / 1000;
	options.report = on_report;
	options.context = k;
	k->spool = edge_spool_open(&options);
	if (k->spool == NULL)
	{
		snprintf(problem, 512, "spool \"%s\": %s", k->options.directory,
				 errno == EWOULDBLOCK ? "another process has it" : strerror(errno));
		return false;
	}
	edge_spool_look(k->spool, &state);
	k->behind = state.segments > 0;
	k->first_number = edge_spool_number(k->spool);
	k->latest = edge_spool_latest(k->spool);
	return true;
}

edge_keeper *
edge_keeper_start(const edge_keeper_options *options, edge_exit *status, char problem[static 512])
{
	edge_keeper *k = calloc(1, sizeof(*k));

	*status = EDGE_EXIT_FAILED;
	snprintf(problem, 512, "out of memory");
	if (k == NULL)
		return NULL;
	k->options = *options;
	k->last = &k->first;
	edge_boot_id(k->boot);
	if (!open_spool(k, problem))
	{
		*status = EDGE_EXIT_SPOOL;
		free(k);
		return NULL;
	}
	pthread_mutex_init(&k->spool_mutex, NULL);
	if (edge_worker_start(&k->worker, STACK, run, k))
		return k;
	edge_keeper_free(k);
	return NULL;
}

void
edge_keeper_stop(edge_keeper *k)
{
	edge_worker_stop(&k->worker);
	k->ended = true;
}

void
edge_keeper_free(edge_keeper *k)
{
	if (k == NULL)
		return;
	edge_spool_close(k->spool);
	free(k);
}

/* ---------------------------------------------------------------------------
 * Whoever records
 * ---------------------------------------------------------------------------
 */

/* Notes what was dropped; true: the item is kept for that. Those of another call or track than the first go with it. */
static bool
is_late_too(edge_keeper *k, edge_item *item)
{
	bool first = k->first_late == NULL;

	if (first)
		k->first_late = item;
	k->last_late = item->sequence;
	k->n_late++;
	return first;
}

bool
edge_keeper_take(edge_keeper *k, edge_item *item)
{
	edge_item *dropped = NULL;
	bool kept;

	pthread_mutex_lock(&k->worker.mutex);
	if (item->kind == EDGE_ITEM_PACKET && k->waiting >= k->options.most)
	{
		edge_item **place = &k->first;

		while (*place != NULL && (*place)->kind != EDGE_ITEM_PACKET)
			place = &(*place)->next;
		dropped = *place;
		if (dropped != NULL)
		{
			*place = dropped->next;
			if (k->last == &dropped->next)
				k->last = place;
			k->waiting--;
			k->late++;
		}
	}
	/* only the first one wakes it, which then waits for those that come soon */
	if (k->first == NULL)
		pthread_cond_signal(&k->worker.change);
	item->next = NULL;
	*k->last = item;
	k->last = &item->next;
	k->waiting += item->kind == EDGE_ITEM_PACKET;
	kept = dropped == NULL;
	if (dropped != NULL && is_late_too(k, dropped))
		dropped = NULL;
	pthread_mutex_unlock(&k->worker.mutex);
	free(dropped);
	return kept;
}

/* ---------------------------------------------------------------------------
 * Whoever posts
 * ---------------------------------------------------------------------------
 */

bool
edge_keeper_is_behind(edge_keeper *k)
{
	return k->behind;
}

edge_item *
edge_keeper_next(edge_keeper *k)
{
	mb_spool_record record;
	edge_item *item = NULL;
	bool is_ours = false;

	pthread_mutex_lock(&k->spool_mutex);
	while (item == NULL && !is_ours && edge_spool_next(k->spool, &record))
	{
		item = edge_item_of_record(&record, k->boot, &is_ours);
		if (item != NULL)
			break;
		/* what there is no memory for comes again; what another version wrote does not */
		if (is_ours)
			edge_spool_let_go(k->spool, record.number);
		else
		{
			edge_spool_acknowledge(k->spool, record.number);
			k->unknown++;
		}
	}
	k->behind = is_ours;
	pthread_mutex_unlock(&k->spool_mutex);
	return item;
}

void
edge_keeper_acknowledge(edge_keeper *k, uint64_t number)
{
	if (number == 0)
		return;
	pthread_mutex_lock(&k->spool_mutex);
	edge_spool_acknowledge(k->spool, number);
	pthread_mutex_unlock(&k->spool_mutex);
}

void
edge_keeper_let_go(edge_keeper *k, uint64_t number)
{
	if (number == 0)
		return;
	pthread_mutex_lock(&k->spool_mutex);
	if (edge_spool_let_go(k->spool, number))
		k->behind = true;
	pthread_mutex_unlock(&k->spool_mutex);
}

uint64_t
edge_keeper_first(const edge_keeper *k)
{
	return k->first_number;
}

int64_t
edge_keeper_latest(const edge_keeper *k)
{
	return k->latest;
}

void
edge_keeper_look(edge_keeper *k, edge_keeper_state *state)
{
	if (k->ended)
		publish(k);
	pthread_mutex_lock(&k->worker.mutex);
	*state = k->state;
	pthread_mutex_unlock(&k->worker.mutex);
}
