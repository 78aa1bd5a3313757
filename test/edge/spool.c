/*
 * spool.c
 *	  build/edge-spool: the spool of mulberry-edge under the hands of a test.  Commands come on standard input, a line each;
 *	  what they answer ends with a line "done".
 *
 *		put CALL TRACK FIRST N		N records of 20 ms, "put SEQUENCE" for each once the spool has it
 *		flood CALL TRACK FIRST		the same for ever
 *		take N						the next N records, "got CALL TRACK SEQUENCE NUMBER"; all with N = 0
 *		acknowledge FIRST N			records by number
 *		release
 *		turn MS						so much time has gone by
 *		sync
 *		look
 *		limit BYTES					of files (RLIMIT_FSIZE), -1 for none
 *		files N						that may be open (RLIMIT_NOFILE), -1 for as many as before
 *		latest [MICROSECONDS]
 *		close
 *
 *	usage: edge-spool DIRECTORY MAX_BYTES SEGMENT_BYTES MEMORY_BYTES FREE_PERCENT
 *
 * A record's bytes follow from its sequence, so that each can be checked when it comes out.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "spool.h"

#define SIZE 320

static int64_t now_us = 1000000;

static void
fill(uint8_t bytes[SIZE], int64_t sequence)
{
	for (int i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t) (sequence * 7 + i * (sequence % 13 + 1));
}

static void
say(const char *format, ...)
{
	char line[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	/* one system call a line: what was said before a kill was said */
	(void) !write(STDOUT_FILENO, line, (size_t) n);
}

static void
report(void *context, const edge_spool_report *report)
{
	(void) context;
	switch (report->event)
	{
		case EDGE_SPOOL_DROPPED:
			say("dropped %.*s %.*s %" PRId64 " %" PRId64 " records %" PRIu64 " ms %" PRIu64 "\n",
				(int) report->call_length, report->call, (int) report->track_length, report->track,
				report->first, report->last, report->records, report->duration_us / 1000);
			break;
		case EDGE_SPOOL_DAMAGED:
		case EDGE_SPOOL_TORN:
			say("%s segment %" PRIx64 " bytes %" PRIu64 " records %" PRIu64 "\n",
				report->event == EDGE_SPOOL_TORN ? "torn" : "damaged", report->segment,
				report->bytes, report->records);
			break;
		case EDGE_SPOOL_DISK_LOST:
			say("disk lost: could not %s: %s\n", report->what, strerror(report->error));
			break;
		case EDGE_SPOOL_DISK_BACK:
			say("disk back\n");
			break;
	}
}

static void
put(edge_spool *spool, const char *call, const char *track, int64_t sequence)
{
	uint8_t bytes[SIZE];
	mb_spool_record record = { .kind = 1, .duration_us = 20000 };

	fill(bytes, sequence);
	record.sequence = sequence;
	record.wall_us = MB_SPOOL_NO_TIME;
	record.monotonic_us = now_us;
	record.call = call;
	record.call_length = strlen(call);
	record.track = track;
	record.track_length = strlen(track);
	record.bytes = bytes;
	record.length = SIZE;
	if (edge_spool_put(spool, &record, false) == 0)
		say("failed %" PRId64 "\n", sequence);
	else
		say("put %" PRId64 "\n", sequence);
}

static void
take(edge_spool *spool, int n)
{
	mb_spool_record record;
	uint8_t bytes[SIZE];

	for (int i = 0; (n == 0 || i < n) && edge_spool_next(spool, &record); i++)
	{
		fill(bytes, record.sequence);
		say("%s %.*s %.*s %" PRId64 " %" PRIu64 "\n",
			record.length == SIZE && memcmp(record.bytes, bytes, SIZE) == 0 ? "got" : "wrong",
			(int) record.call_length, record.call, (int) record.track_length, record.track,
			record.sequence, record.number);
	}
}

static void
look(const edge_spool *spool)
{
	edge_spool_state state;

	edge_spool_look(spool, &state);
	say("disk %" PRIu64 " memory %" PRIu64 " segments %u lost %d dropped %" PRIu64
		" damaged %" PRIu64 " safe %" PRIu64 "\n",
		state.disk_bytes, state.memory_bytes, state.segments, state.disk_lost, state.dropped,
		state.damaged, edge_spool_safe(spool));
}

/* A bound of this process; below zero: none but that which it came with. */
static void
bound(int resource, int64_t n)
{
	struct rlimit limit;

	getrlimit(resource, &limit);
	limit.rlim_cur = n < 0 ? limit.rlim_max : (rlim_t) n;
	setrlimit(resource, &limit);
}

/* False for "close". */
static bool
obey(edge_spool *spool, const char *line)
{
	char call[64];
	char track[64];
	int64_t first;
	int64_t n;

	if (sscanf(line, "put %63s %63s %" SCNd64 " %" SCNd64, call, track, &first, &n) == 4)
	{
		for (int64_t i = 0; i < n; i++)
			put(spool, call, track, first + i);
	}
	else if (sscanf(line, "flood %63s %63s %" SCNd64, call, track, &first) == 3)
	{
		for (;;)
		{
			put(spool, call, track, first++);
			now_us += 20000;
			edge_spool_turn(spool, now_us, false);
		}
	}
	else if (sscanf(line, "take %" SCNd64, &n) == 1)
		take(spool, (int) n);
	else if (sscanf(line, "acknowledge %" SCNd64 " %" SCNd64, &first, &n) == 2)
	{
		for (int64_t i = 0; i < n; i++)
		{
			edge_spool_acknowledge(spool, (uint64_t) (first + i));
			say("acknowledged %" PRId64 "\n", first + i);
		}
	}
	else if (strncmp(line, "release", 7) == 0)
		edge_spool_release(spool);
	else if (sscanf(line, "turn %" SCNd64, &n) == 1)
		edge_spool_turn(spool, now_us += n * 1000, false);
	else if (strncmp(line, "sync", 4) == 0)
		edge_spool_turn(spool, now_us, true);
	else if (strncmp(line, "look", 4) == 0)
		look(spool);
	else if (sscanf(line, "limit %" SCNd64, &n) == 1)
		bound(RLIMIT_FSIZE, n);
	else if (sscanf(line, "files %" SCNd64, &n) == 1)
		bound(RLIMIT_NOFILE, n);
	else if (strncmp(line, "latest", 6) == 0)
	{
		if (sscanf(line, "latest %" SCNd64, &first) == 1)
			edge_spool_raise_latest(spool, first, false);
		if (edge_spool_latest(spool) == MB_SPOOL_NO_TIME)
			say("latest none\n");
		else
			say("latest %" PRId64 "\n", edge_spool_latest(spool));
	}
	else
		return false;
	return true;
}

int
main(int argc, char **argv)
{
	edge_spool_options options = { 0 };
	edge_spool *spool;
	char line[256];

	if (argc != 6)
		return 2;
	signal(SIGXFSZ, SIG_IGN);
	edge_spool_defaults(&options);
	options.directory = argv[1];
	options.max_bytes = strtoull(argv[2], NULL, 10);
	options.segment_bytes = strtoull(argv[3], NULL, 10);
	options.memory_bytes = strtoull(argv[4], NULL, 10);
	options.free_percent = atoi(argv[5]);
	options.now_us = now_us;
	options.report = report;
	spool = edge_spool_open(&options);
	if (spool == NULL)
	{
		say("not opened: %s\n", strerror(errno));
		return 1;
	}
	say("done\n");
	while (fgets(line, sizeof(line), stdin) != NULL && obey(spool, line))
		say("done\n");
	edge_spool_close(spool);
	say("done\n");
	return 0;
}
