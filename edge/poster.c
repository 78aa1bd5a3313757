/*
 * poster.c
 *	  Packets of a call to ingest_packets(); see poster.h.
 */
#include "poster.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "program/arrays.h"

#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)
#define POSTGRES_EPOCH INT64_C(946684800000000) /* 2000-01-01 in microseconds since 1970 */
#define ANSWER_TIME (60 * SECOND)				/* beyond the server's own statement_timeout */
#define SLICE 200 /* milliseconds after which the deadline is looked at */
#define MAX_PAUSE (30 * SECOND)
#define PARAMETERS 8
#define RING (EDGE_POSTER_UNDER_WAY + 1) /* and the one that is being filled */

static const char ingest[] =
	"SELECT r.status, r.sqlstate, r.message, count(*), min(r.sequence)"
	"  FROM mulberry.ingest_packets($1, $2, $3, $4, $5, $6, $7, $8) AS r GROUP BY 1, 2, 3";

typedef struct batch
{
	program_array call_ids;
	program_array sequences;
	program_array data;
	program_array sent_at;
	program_array tracks;
	int n;
	bool again; /* it was sent over a session that was lost */
} batch;

struct edge_poster
{
	edge_server *server;
	edge_poster_options options;
	batch batches[RING];
	int first;		/* the oldest that was not answered */
	int under_way;	/* of those from there on; the next one is being filled */
	bool prepared;	/* this session */
	bool pipelined; /* it is ours alone */
	edge_poster_counters counters;
};

static batch *
batch_at(edge_poster *poster, int i)
{
	return &poster->batches[(poster->first + i) % RING];
}

static void
empty(batch *b)
{
	program_array *arrays[] = { &b->call_ids, &b->sequences, &b->data, &b->sent_at, &b->tracks };

	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
		program_array_free(arrays[i]);
	b->call_ids.element = b->tracks.element = PROGRAM_OID_TEXT;
	b->sequences.element = PROGRAM_OID_INT8;
	b->data.element = PROGRAM_OID_BYTEA;
	b->sent_at.element = PROGRAM_OID_TIMESTAMPTZ;
	b->n = 0;
	b->again = false;
}

edge_poster *
edge_poster_new(edge_server *server, const edge_poster_options *options)
{
	edge_poster *poster = calloc(1, sizeof(*poster));

	if (poster == NULL)
		return NULL;
	poster->server = server;
	poster->options = *options;
	for (int i = 0; i < RING; i++)
		empty(&poster->batches[i]);
	return poster;
}

void
edge_poster_free(edge_poster *poster)
{
	if (poster == NULL)
		return;
	for (int i = 0; i < RING; i++)
		empty(&poster->batches[i]);
	free(poster);
}

const edge_poster_counters *
edge_poster_count(const edge_poster *poster)
{
	return &poster->counters;
}

static bool
is_over(const edge_poster *poster)
{
	int64_t deadline = poster->options.deadline == NULL ? 0 : *poster->options.deadline;

	return deadline != 0 && edge_clock() >= deadline;
}

static edge_exit
lost(edge_poster *poster)
{
	const char *message = PQerrorMessage(poster->server->pg);

	return edge_server_say(poster->server, EDGE_EXIT_UNREACHABLE,
						   "the session with the database: %.*s", (int) strcspn(message, "\n"),
						   message);
}

/* Waits until something can be read, or written where that is wanted; UNREACHABLE when that takes too long. */
static edge_exit
wait_for(edge_poster *poster, short events, int64_t until)
{
	while (!is_over(poster) && edge_clock() < until)
	{
		struct pollfd socket = { .fd = PQsocket(poster->server->pg), .events = events };

		if (poll(&socket, 1, SLICE) > 0)
			return EDGE_EXIT_OK;
	}
	return edge_server_say(poster->server, EDGE_EXIT_UNREACHABLE, "the database does not answer");
}

/* The statement is prepared, and from then on only batches go over the session. */
static edge_exit
prepare(edge_poster *poster)
{
	PGconn *pg = poster->server->pg;
	edge_exit status = EDGE_EXIT_OK;

	if (!poster->prepared)
	{
		PGresult *result = PQprepare(pg, "ingest", ingest, 0, NULL);

		status = edge_server_judge(poster->server, result);
		PQclear(result);
	}
	if (status != EDGE_EXIT_OK)
		return status;
	poster->prepared = true;
	if (PQsetnonblocking(pg, 1) != 0 || !PQenterPipelineMode(pg))
		return lost(poster);
	poster->pipelined = true;
	return EDGE_EXIT_OK;
}

/* The session is its owner's again. */
static edge_exit
release(edge_poster *poster)
{
	PGconn *pg = poster->server->pg;

	if (!poster->pipelined)
		return EDGE_EXIT_OK;
	poster->pipelined = false;
	if (pg == NULL || (PQexitPipelineMode(pg) && PQsetnonblocking(pg, 0) == 0))
		return EDGE_EXIT_OK;
	return lost(poster);
}

static edge_exit
send_batch(edge_poster *poster, batch *b)
{
	PGconn *pg = poster->server->pg;
	program_array *arrays[] = { &b->call_ids, &b->sequences, &b->data, &b->sent_at };
	const char *values[PARAMETERS] = { NULL };
	int lengths[PARAMETERS] = { 0 };
	int formats[PARAMETERS] = { 1, 1, 1, 1, 0, 0, 0, 1 };
	int left;

	for (int i = 0; i < PARAMETERS; i++)
	{
		program_array *array = i < 4 ? arrays[i] : i == 7 ? &b->tracks : NULL;
		const program_text *bytes = array == NULL ? NULL : program_array_finish(array);

		if (bytes == NULL)
			continue;
		if (bytes->failed)
			return edge_server_say(poster->server, EDGE_EXIT_FAILED, "out of memory");
		values[i] = bytes->data;
		lengths[i] = (int) bytes->length;
	}
	values[4] = poster->options.encoding;
	values[5] = poster->options.sample_rate;
	values[6] = poster->options.tenant;
	if (!PQsendQueryPrepared(pg, "ingest", PARAMETERS, values, lengths, formats, 0) ||
		!PQpipelineSync(pg))
		return lost(poster);
	while ((left = PQflush(pg)) > 0)
	{
		edge_exit status = wait_for(poster, POLLIN | POLLOUT, edge_clock() + ANSWER_TIME);

		if (status != EDGE_EXIT_OK)
			return status;
		if (!PQconsumeInput(pg))
			return lost(poster);
	}
	return left < 0 ? lost(poster) : EDGE_EXIT_OK;
}

/* What the server says of a batch; OK when all of it has arrived. */
static edge_exit
judge_batch(edge_poster *poster, const batch *b, const PGresult *result)
{
	edge_exit status = edge_server_judge(poster->server, result);

	for (int i = 0; status == EDGE_EXIT_OK && i < PQntuples(result); i++)
	{
		const char *what = PQgetvalue(result, i, 0);
		uint64_t n = strtoull(PQgetvalue(result, i, 3), NULL, 10);

		if (strcmp(what, "duplicate") == 0)
			poster->counters.duplicates += b->again ? 0 : n;
		else if (strcmp(what, "accepted") != 0)
			status = edge_server_say(
				poster->server,
				PQgetisnull(result, i, 1) ? EDGE_EXIT_REFUSED
										  : edge_exit_of_state(PQgetvalue(result, i, 1)),
				"packet %s: %s", PQgetvalue(result, i, 4), PQgetvalue(result, i, 2));
	}
	return status;
}

/* The next result there is, NULL at the end of a statement's. */
static edge_exit
next_result(edge_poster *poster, PGresult **result)
{
	PGconn *pg = poster->server->pg;
	int64_t until = edge_clock() + ANSWER_TIME;

	while (PQisBusy(pg))
	{
		edge_exit status = wait_for(poster, POLLIN, until);

		if (status != EDGE_EXIT_OK)
			return status;
		if (!PQconsumeInput(pg))
			return lost(poster);
	}
	*result = PQgetResult(pg);
	return EDGE_EXIT_OK;
}

/* Waits for the answer to the oldest batch, which is done with then. */
static edge_exit
take_answer(edge_poster *poster)
{
	batch *b = batch_at(poster, 0);
	edge_exit status = EDGE_EXIT_OK;
	bool synced = false;

	while (!synced)
	{
		PGresult *result = NULL;
		edge_exit read = next_result(poster, &result);

		if (read != EDGE_EXIT_OK)
			return read;
		synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
		if (result != NULL && !synced && status == EDGE_EXIT_OK)
			status = judge_batch(poster, b, result);
		PQclear(result);
		if (PQstatus(poster->server->pg) == CONNECTION_BAD)
			return status == EDGE_EXIT_OK ? lost(poster) : status;
	}
	if (status != EDGE_EXIT_OK)
		return status;
	poster->counters.acknowledged += (uint64_t) b->n;
	poster->counters.answered = edge_clock();
	empty(b);
	poster->first = (poster->first + 1) % RING;
	poster->under_way--;
	return EDGE_EXIT_OK;
}

/* ---------------------------------------------------------------------------
 * Sessions that come and go
 * ---------------------------------------------------------------------------
 */

/* Half of it by chance, so that many do not come at once. */
static void
pause_for(const edge_poster *poster, int64_t pause)
{
	uint32_t random = 0;
	int64_t until;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = 0;
	until = edge_clock() + pause / 2 + (int64_t) random % (pause / 2 + 1);
	while (!is_over(poster) && edge_clock() < until)
		nanosleep(&(struct timespec){ .tv_nsec = 20 * MILLISECOND }, NULL);
}

/* A session that is prepared, and all that was under way is so again. */
static edge_exit
begin_again(edge_poster *poster)
{
	edge_exit status = EDGE_EXIT_OK;

	if (poster->server->pg == NULL)
	{
		status = edge_server_connect(poster->server);
		poster->counters.sessions++;
	}
	if (status == EDGE_EXIT_OK && !poster->pipelined)
		status = prepare(poster);
	for (int i = 0; status == EDGE_EXIT_OK && i < poster->under_way; i++)
	{
		batch_at(poster, i)->again = true;
		status = send_batch(poster, batch_at(poster, i));
	}
	return status;
}

static void
disconnect(edge_poster *poster)
{
	edge_server_disconnect(poster->server);
	poster->prepared = poster->pipelined = false;
}

/* Whether time may mend that, as far as there is patience. */
static bool
may_pass(const edge_poster *poster, edge_exit status, int64_t since)
{
	int patience = poster->options.patience;

	if (status == EDGE_EXIT_OK || status == EDGE_EXIT_REFUSED || is_over(poster))
		return false;
	return patience < 0 ||
		   (status == EDGE_EXIT_UNREACHABLE && edge_clock() - since < patience * SECOND);
}

static void
notice(const edge_poster *poster, bool connected)
{
	if (poster->options.notice != NULL)
		poster->options.notice(poster->options.arg, connected);
}

/* Makes of a failure that time may mend a new session, for as long as there is patience. */
static edge_exit
recover(edge_poster *poster, edge_exit status)
{
	int64_t begun = edge_clock();
	int64_t pause = SECOND / 8;
	bool was_lost = false;

	while (may_pass(poster, status, begun))
	{
		was_lost = true;
		notice(poster, false);
		disconnect(poster);
		pause_for(poster, pause);
		pause = pause * 2 < MAX_PAUSE ? pause * 2 : MAX_PAUSE;
		status = begin_again(poster);
	}
	if (was_lost && status == EDGE_EXIT_OK)
		notice(poster, true);
	return status;
}

static edge_exit
answer_or_recover(edge_poster *poster)
{
	return recover(poster, take_answer(poster));
}

edge_exit
edge_poster_send(edge_poster *poster)
{
	edge_exit status = EDGE_EXIT_OK;

	if (batch_at(poster, poster->under_way)->n == 0)
		return EDGE_EXIT_OK;
	while (status == EDGE_EXIT_OK && poster->under_way == EDGE_POSTER_UNDER_WAY)
		status = answer_or_recover(poster);
	if (status != EDGE_EXIT_OK)
		return status;
	if (!poster->pipelined)
		status = recover(poster, begin_again(poster));
	if (status != EDGE_EXIT_OK)
		return status;
	poster->counters.sent += (uint64_t) batch_at(poster, poster->under_way)->n;
	poster->under_way++;
	return recover(poster, send_batch(poster, batch_at(poster, poster->under_way - 1)));
}

edge_exit
edge_poster_finish(edge_poster *poster)
{
	edge_exit status = edge_poster_send(poster);

	while (status == EDGE_EXIT_OK && poster->under_way > 0)
		status = answer_or_recover(poster);
	return status == EDGE_EXIT_OK ? release(poster) : status;
}

edge_exit
edge_poster_run(edge_poster *poster, edge_exit (*what)(edge_server *server, void *arg), void *arg)
{
	edge_exit status = edge_poster_finish(poster);

	if (status == EDGE_EXIT_OK && poster->server->pg == NULL)
		status = recover(poster, begin_again(poster));
	while (status == EDGE_EXIT_OK)
	{
		status = release(poster);
		if (status == EDGE_EXIT_OK)
			status = what(poster->server, arg);
		if (status == EDGE_EXIT_OK)
			return status;
		status = recover(poster, status);
	}
	return status;
}

uint64_t
edge_poster_forget(edge_poster *poster)
{
	uint64_t n = 0;

	for (int i = 0; i < RING; i++)
	{
		n += (uint64_t) poster->batches[i].n;
		empty(&poster->batches[i]);
	}
	poster->under_way = 0;
	disconnect(poster);
	return n;
}

edge_exit
edge_poster_add(edge_poster *poster, const edge_packet *packet)
{
	batch *b = batch_at(poster, poster->under_way);

	program_array_add(&b->call_ids, packet->call_id, strlen(packet->call_id));
	program_array_add_int64(&b->sequences, packet->sequence);
	program_array_add(&b->data, packet->data, packet->n);
	if (packet->sent_at == 0)
		program_array_add_null(&b->sent_at);
	else
		program_array_add_int64(&b->sent_at, packet->sent_at - POSTGRES_EPOCH);
	if (packet->track == NULL)
		program_array_add_null(&b->tracks);
	else
		program_array_add(&b->tracks, packet->track, strlen(packet->track));
	return ++b->n < EDGE_POSTER_BATCH ? EDGE_EXIT_OK : edge_poster_send(poster);
}
