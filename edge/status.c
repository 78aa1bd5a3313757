/*
 * status.c
 *	  What a program says of itself in the database; see status.h.
 */
#include "status.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/text/utf8.h"

#define SECOND INT64_C(1000000000)
#define EVERY (10 * SECOND)
#define AFTER_CHANGE SECOND
#define AFTER_FAILURE (60 * SECOND)
#define THROTTLED "/sys/devices/platform/soc/soc:firmware/get_throttled"
#define UNDER_VOLTAGE 0x1 /* bits of it */
#define UNDER_VOLTAGE_BEFORE 0x10000
#define TEXT 512

/* What a change is a change of, and reported soon. */
typedef struct said
{
	char state[32];
	char device[TEXT];
	char call_id[TEXT];
	char problem[TEXT];
	char own_problem[TEXT]; /* of who has the device */
	uint64_t dropped;
} said;

struct edge_status
{
	const char *program;
	const char *tenant;
	char name[TEXT];
	int64_t begun;

	/* the reporter's */
	said reported;
	int64_t at;
	int64_t pause; /* until the next one */
	bool complained;

	pthread_mutex_t mutex; /* of all below */
	said now;
	edge_status_device device; /* without its texts */
	edge_status_posting posting;
};

/* Texts that come from devices may be in whatever encoding, and have no end. */
static void
copy(char *to, size_t size, const char *from)
{
	size_t left = from == NULL ? 0 : strlen(from);
	size_t n = 0;

	memset(to, 0, size);
	while (left > 0)
	{
		size_t length = mb_utf8_length(from, left);

		if (n + 4 >= size)
			return;
		if (length == 0)
		{
			length = 1;
			to[n] = '?';
		}
		else
			memcpy(to + n, (unsigned char) *from < ' ' ? " " : from, length);
		n += length;
		from += length;
		left -= length;
	}
}

edge_status *
edge_status_new(const char *program, const char *name, const char *tenant)
{
	edge_status *status = calloc(1, sizeof(*status));
	char host[64] = "edge";

	if (status == NULL)
		return NULL;
	gethostname(host, sizeof(host) - 1);
	copy(status->name, 200, name == NULL ? host : name);
	status->program = program;
	status->tenant = tenant;
	status->begun = edge_clock();
	status->posting.spool = -1;
	pthread_mutex_init(&status->mutex, NULL);
	return status;
}

void
edge_status_free(edge_status *status)
{
	if (status == NULL)
		return;
	pthread_mutex_destroy(&status->mutex);
	free(status);
}

void
edge_status_set_device(edge_status *status, const edge_status_device *device)
{
	pthread_mutex_lock(&status->mutex);
	status->device = *device;
	copy(status->now.state, sizeof(status->now.state), device->state);
	copy(status->now.device, sizeof(status->now.device), device->device);
	copy(status->now.call_id, sizeof(status->now.call_id), device->call_id);
	copy(status->now.own_problem, sizeof(status->now.own_problem), device->problem);
	pthread_mutex_unlock(&status->mutex);
}

void
edge_status_set_posting(edge_status *status, const edge_status_posting *posting)
{
	pthread_mutex_lock(&status->mutex);
	status->posting = *posting;
	copy(status->now.problem, sizeof(status->now.problem), posting->problem);
	status->now.dropped = posting->dropped;
	pthread_mutex_unlock(&status->mutex);
}

const char *
edge_under_voltage(void)
{
	FILE *file = fopen(THROTTLED, "r");
	unsigned bits = 0;

	if (file == NULL)
		return NULL;
	if (fscanf(file, "%x", &bits) != 1)
		bits = 0;
	fclose(file);
	return (bits & UNDER_VOLTAGE) != 0			? "now"
		   : (bits & UNDER_VOLTAGE_BEFORE) != 0 ? "before"
												: NULL;
}

/* Says it to the server; *now is what is said. */
static edge_exit
report(edge_status *status, edge_server *server, const said *now, const edge_status_device *device,
	   const edge_status_posting *posting)
{
	/* Not flushed: it comes again. The server makes the JSON, so that nothing need be quoted here. */
	static const char text[] =
		"SELECT pg_catalog.set_config('synchronous_commit', 'off', true), "
		"mulberry.report_edge_status($1, $2, pg_catalog.jsonb_strip_nulls("
		"pg_catalog.jsonb_build_object("
		"'version', '" MULBERRY_VERSION "', 'state', $4::text, 'device', $5::text, "
		"'call_id', $6::text, 'problem', $7::text, 'under_voltage', $8::text, "
		"'running', $9::float8, 'heard', $10::float8, 'lost', $11::float8, 'late', $12::float8, "
		"'overruns', $13::int8, 'suspends', $14::int8, 'departures', $15::int8, "
		"'waiting', $16::int8, 'acknowledged', $17::int8, 'dropped', $18::int8, "
		"'spool', $19::int8)), $3)";
	char numbers[11][32];
	const char *values[19] = { status->name, status->program, status->tenant };
	const double seconds[] = { (double) (edge_clock() - status->begun) / SECOND, device->heard,
							   device->lost, device->late };
	const uint64_t counts[] = { device->overruns, device->suspends,		 device->departures,
								posting->waiting, posting->acknowledged, posting->dropped };
	const char *problem = now->own_problem[0] != '\0' ? now->own_problem : now->problem;
	const char *texts[] = { now->state, now->device, now->call_id, problem };
	PGresult *result = NULL;
	edge_exit outcome;

	for (int i = 0; i < 4; i++)
	{
		values[3 + i] = texts[i][0] == '\0' ? NULL : texts[i];
		snprintf(numbers[i], sizeof(numbers[i]), "%.3f", seconds[i]);
		values[8 + i] = numbers[i];
	}
	values[7] = edge_under_voltage();
	for (int i = 0; i < 6; i++)
	{
		snprintf(numbers[4 + i], sizeof(numbers[4 + i]), "%" PRIu64, counts[i]);
		values[12 + i] = numbers[4 + i];
	}
	snprintf(numbers[10], sizeof(numbers[10]), "%" PRId64, posting->spool);
	values[18] = posting->spool < 0 ? NULL : numbers[10];
	outcome = edge_server_query(server, &result, text, 19, values);
	PQclear(result);
	return outcome;
}

edge_exit
edge_status_report(edge_server *server, void *arg)
{
	edge_status *status = arg;
	edge_status_device device;
	edge_status_posting posting;
	said now;
	bool changed;
	bool ended;
	edge_exit outcome;

	pthread_mutex_lock(&status->mutex);
	now = status->now;
	device = status->device;
	posting = status->posting;
	pthread_mutex_unlock(&status->mutex);
	changed = memcmp(&now, &status->reported, sizeof(now)) != 0;
	ended = strcmp(now.state, "ended") == 0 && changed;
	if (now.state[0] == '\0' ||
		(status->at != 0 && !ended &&
		 edge_clock() - status->at <
			 (changed && status->pause == EVERY ? AFTER_CHANGE : status->pause)))
		return EDGE_EXIT_OK;
	outcome = report(status, server, &now, &device, &posting);
	status->at = edge_clock();
	status->pause = outcome == EDGE_EXIT_OK ? EVERY : AFTER_FAILURE;
	if (outcome == EDGE_EXIT_OK)
	{
		status->reported = now;
		return outcome;
	}
	if (PQstatus(server->pg) != CONNECTION_OK)
		return EDGE_EXIT_UNREACHABLE;
	if (!status->complained)
		edge_complain("the status cannot be reported: %s", server->problem);
	status->complained = true;
	return EDGE_EXIT_OK;
}
