/*
 * poster_database.c
 *	  Packets of calls to ingest_packets(), in batches, each of which is a transaction; see poster.h.
 */
#include "poster_kinds.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "program/arrays.h"

#define SECOND INT64_C(1000000000)
#define POSTGRES_EPOCH INT64_C(946684800000000) /* 2000-01-01 in microseconds since 1970 */
#define ANSWER_TIME (60 * SECOND)				/* beyond the server's own statement_timeout */
#define SLICE 200 /* milliseconds after which the deadline is looked at */
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
	/* of all calls of its packets, whose texts they are; a packet of another kind goes into the next one */
	const char *tenant;
	const char *encoding;
	const char *sample_rate;
	int n;
	bool again; /* it was sent over a session that was lost */
} batch;

typedef struct database_poster
{
	edge_poster poster; /* first */
	edge_server *server;
	batch batches[RING];
	int first;		/* the oldest that was not answered */
	int under_way;	/* of those from there on; the next one is being filled */
	bool prepared;	/* this session */
	bool pipelined; /* it is ours alone */
} database_poster;

static database_poster *
of(edge_poster *poster)
{
	return (database_poster *) poster;
}

static batch *
batch_at(database_poster *poster, int i)
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
	b->tenant = b->encoding = b->sample_rate = NULL;
	b->n = 0;
	b->again = false;
}

static edge_exit
lost(database_poster *poster)
{
	const char *message = PQerrorMessage(poster->server->pg);

	return edge_server_say(poster->server, EDGE_EXIT_UNREACHABLE,
						   "the session with the database: %.*s", (int) strcspn(message, "\n"),
						   message);
}

/* Waits until something can be read, or written where that is wanted; UNREACHABLE when that takes too long. */
static edge_exit
wait_for(database_poster *poster, short events, int64_t until)
{
	while (!edge_poster_is_over(&poster->poster) && edge_clock() < until)
	{
		struct pollfd socket = { .fd = PQsocket(poster->server->pg), .events = events };

		if (poll(&socket, 1, SLICE) > 0)
			return EDGE_EXIT_OK;
	}
	return edge_server_say(poster->server, EDGE_EXIT_UNREACHABLE, "the database does not answer");
}

/* The statement is prepared, and from then on only batches go over the session. */
static edge_exit
prepare(database_poster *poster)
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
release(database_poster *poster)
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
send_batch(database_poster *poster, batch *b)
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
	values[4] = b->encoding;
	values[5] = b->sample_rate;
	values[6] = b->tenant;
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
judge_batch(database_poster *poster, const batch *b, const PGresult *result)
{
	edge_exit status = edge_server_judge(poster->server, result);

	for (int i = 0; status == EDGE_EXIT_OK && i < PQntuples(result); i++)
	{
		const char *what = PQgetvalue(result, i, 0);
		uint64_t n = strtoull(PQgetvalue(result, i, 3), NULL, 10);

		if (strcmp(what, "duplicate") == 0)
			poster->poster.counters.duplicates += b->again ? 0 : n;
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
next_result(database_poster *poster, PGresult **result)
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
take_answer(database_poster *poster)
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
	poster->poster.counters.acknowledged += (uint64_t) b->n;
	edge_poster_answered(&poster->poster);
	empty(b);
	poster->first = (poster->first + 1) % RING;
	poster->under_way--;
	return EDGE_EXIT_OK;
}

/* ---------------------------------------------------------------------------
 * Sessions that come and go
 * ---------------------------------------------------------------------------
 */

/* A session that is prepared, and all that was under way is so again. */
static edge_exit
again(edge_poster *abstract)
{
	database_poster *poster = of(abstract);
	edge_exit status = EDGE_EXIT_OK;

	if (poster->server->pg == NULL)
	{
		status = edge_server_connect(poster->server);
		poster->poster.counters.sessions++;
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
disconnect(edge_poster *abstract)
{
	database_poster *poster = of(abstract);

	edge_server_disconnect(poster->server);
	poster->prepared = poster->pipelined = false;
}

static edge_exit
answer_or_recover(database_poster *poster)
{
	return edge_poster_recover(&poster->poster, take_answer(poster));
}

static edge_exit
send_all(edge_poster *abstract)
{
	database_poster *poster = of(abstract);
	edge_exit status = EDGE_EXIT_OK;

	if (batch_at(poster, poster->under_way)->n == 0)
		return EDGE_EXIT_OK;
	while (status == EDGE_EXIT_OK && poster->under_way == EDGE_POSTER_UNDER_WAY)
		status = answer_or_recover(poster);
	if (status != EDGE_EXIT_OK)
		return status;
	if (!poster->pipelined)
		status = edge_poster_recover(abstract, again(abstract));
	if (status != EDGE_EXIT_OK)
		return status;
	poster->poster.counters.sent += (uint64_t) batch_at(poster, poster->under_way)->n;
	poster->under_way++;
	return edge_poster_recover(abstract,
							   send_batch(poster, batch_at(poster, poster->under_way - 1)));
}

static edge_exit
finish(edge_poster *abstract)
{
	database_poster *poster = of(abstract);
	edge_exit status = send_all(abstract);

	/* one that is lost while it is released is begun again, and released then */
	do
	{
		while (status == EDGE_EXIT_OK && poster->under_way > 0)
			status = answer_or_recover(poster);
		if (status == EDGE_EXIT_OK)
			status = edge_poster_recover(abstract, release(poster));
	} while (status == EDGE_EXIT_OK && poster->pipelined);
	return status;
}

static uint64_t
forget(edge_poster *abstract)
{
	database_poster *poster = of(abstract);
	uint64_t n = 0;

	for (int i = 0; i < RING; i++)
	{
		n += (uint64_t) poster->batches[i].n;
		empty(&poster->batches[i]);
	}
	poster->under_way = 0;
	disconnect(abstract);
	return n;
}

static bool
is_same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static edge_exit
add(edge_poster *abstract, const edge_packet *packet)
{
	database_poster *poster = of(abstract);
	batch *b = batch_at(poster, poster->under_way);
	const edge_call *call = packet->call;

	if (b->n > 0 && (!is_same(b->tenant, call->tenant) || !is_same(b->encoding, call->encoding) ||
					 !is_same(b->sample_rate, call->sample_rate)))
	{
		edge_exit status = send_all(abstract);

		if (status != EDGE_EXIT_OK)
			return status;
		b = batch_at(poster, poster->under_way);
	}
	b->tenant = call->tenant;
	b->encoding = call->encoding;
	b->sample_rate = call->sample_rate;
	program_array_add(&b->call_ids, call->id, strlen(call->id));
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
	return ++b->n < EDGE_POSTER_BATCH ? EDGE_EXIT_OK : send_all(abstract);
}

/* ---------------------------------------------------------------------------
 * Calls
 * ---------------------------------------------------------------------------
 */

/* The session is there, and free for something else. */
static edge_exit
have_session(database_poster *poster)
{
	edge_exit status = EDGE_EXIT_OK;

	if (poster->server->pg == NULL)
		status = again(&poster->poster);
	return status == EDGE_EXIT_OK ? release(poster) : status;
}

static edge_exit
begin_call(edge_poster *poster, const edge_call *call, edge_track *tracks, int n)
{
	edge_exit status = have_session(of(poster));

	return status == EDGE_EXIT_OK ? edge_call_begin(of(poster)->server, call, tracks, n) : status;
}

static edge_exit
describe_call(edge_poster *poster, const edge_call *call)
{
	edge_exit status = have_session(of(poster));

	return status == EDGE_EXIT_OK ? edge_call_describe(of(poster)->server, call) : status;
}

static edge_exit
complete_call(edge_poster *poster, const edge_call *call, const edge_track *tracks,
			  const int64_t *totals, int n, int64_t *missing)
{
	edge_exit status = have_session(of(poster));

	return status == EDGE_EXIT_OK
			   ? edge_call_complete(of(poster)->server, call, tracks, totals, n, missing)
			   : status;
}

static edge_exit
run(edge_poster *poster, edge_exit (*what)(edge_server *server, void *arg), void *arg)
{
	edge_exit status = have_session(of(poster));

	return status == EDGE_EXIT_OK ? what(of(poster)->server, arg) : status;
}

static const char *
problem(const edge_poster *poster)
{
	return ((const database_poster *) poster)->server->problem;
}

static void
free_poster(edge_poster *poster)
{
	for (int i = 0; i < RING; i++)
		empty(&of(poster)->batches[i]);
	free(poster);
}

static const edge_poster_kind database_kind = { .add = add,
												.send = send_all,
												.finish = finish,
												.begin = begin_call,
												.describe = describe_call,
												.complete = complete_call,
												.run = run,
												.disconnect = disconnect,
												.again = again,
												.forget = forget,
												.problem = problem,
												.free = free_poster };

edge_poster *
edge_poster_to_database(edge_server *server, const edge_poster_options *options)
{
	database_poster *poster = calloc(1, sizeof(*poster));

	if (poster == NULL)
		return NULL;
	poster->poster = (edge_poster){ .kind = &database_kind, .options = *options };
	poster->server = server;
	for (int i = 0; i < RING; i++)
		empty(&poster->batches[i]);
	return &poster->poster;
}
