/*
 * test_gateway_ingest.c
 *	  How packets become batches: no more calls in one than there may be, whatever they are called; fewer where the database takes fewer,
 *	  and more again later; of what the gateway itself wants stored the packets of a call in one batch, and few batches at a time.
 *
 * Link with: -I../http -I.. -I/usr/include/postgresql
 */
#define _GNU_SOURCE
#include "check.h"
#include "../../gateway/ingest.c"
#include "../../program/arrays.c"
#include "../../program/text.c"

#define FOR_BEHIND 2 /* connections */
#define MAX_UNITS 600

static int64_t now;
static gw_unit *units[MAX_UNITS];
static int n_units;
static const char *error;
static int n_unavailable; /* requests that were answered so */
static int n_stored;
static gw_gateway gateway;
static gw_identity identity;

int64_t
http_clock(void)
{
	return now;
}

http_id
http_request_id(const http_request *request)
{
	(void) request;
	return (http_id){ 0 };
}

void
gw_log(gw_level level, const char *message, const char *format, ...)
{
	(void) level;
	(void) message;
	(void) format;
}

void
gw_answer(gw_gateway *of, http_id id, int status, const program_text *body)
{
	(void) of;
	(void) id;
	(void) status;
	(void) body;
}

void
gw_answer_detail(gw_gateway *of, http_id id, int status, const char *format, ...)
{
	(void) of;
	(void) id;
	(void) status;
	(void) format;
}

void
gw_answer_outcome(gw_gateway *of, http_id id, gw_identity *whose, gw_outcome outcome,
				  const PGresult *result)
{
	(void) of;
	(void) id;
	(void) whose;
	(void) result;
	n_unavailable += outcome == GW_UNAVAILABLE;
}

int
gw_status_of(const char *sqlstate)
{
	(void) sqlstate;
	return 400;
}

const char *
gw_sqlstate(const PGresult *result)
{
	(void) result;
	return error;
}

gw_identity *
gw_identity_hold(gw_identity *held)
{
	return held;
}

void
gw_identity_release(gw_identity *held)
{
	(void) held;
}

void
gw_identity_is_used(gw_identity *used)
{
	(void) used;
}

void
gw_unit_for(gw_unit *unit, const gw_identity *whose)
{
	(void) unit;
	(void) whose;
}

void
gw_database_add(gw_database *database, gw_unit *unit)
{
	(void) database;
	units[n_units++] = unit;
}

int
gw_database_for_behind(const gw_database *database)
{
	(void) database;
	return FOR_BEHIND;
}

char *
PQgetvalue(const PGresult *result, int row, int column)
{
	(void) result;
	(void) row;
	(void) column;
	return (char *) "";
}

int
PQgetlength(const PGresult *result, int row, int column)
{
	(void) result;
	(void) row;
	(void) column;
	return 0;
}

int
PQgetisnull(const PGresult *result, int row, int column)
{
	(void) result;
	(void) row;
	(void) column;
	return 1;
}

int
PQntuples(const PGresult *result)
{
	(void) result;
	return 0;
}

int
PQnfields(const PGresult *result)
{
	(void) result;
	return 1;
}

static void
begin(void)
{
	gateway.ingest = gw_ingest_new(&gateway);
	now = HTTP_SECOND;
	error = NULL;
	n_units = n_unavailable = n_stored = 0;
}

/* What becomes of all units. */
static void
answer(gw_outcome outcome, const char *sqlstate)
{
	int n = n_units;

	n_units = 0;
	error = sqlstate;
	for (int i = 0; i < n; i++)
	{
		if (outcome != GW_UNAVAILABLE)
			units[i]->send(units[i]);
		units[i]->done(units[i], outcome, NULL, NULL);
	}
}

static void
end(void)
{
	answer(GW_COMMITTED, NULL);
	gw_ingest_free(gateway.ingest);
}

static const batch *
unit(int i)
{
	return (const batch *) units[i];
}

static void
post(const char *call_id, int64_t sequence)
{
	gw_call call = { .gateway = &gateway,
					 .identity = &identity,
					 .segments = { { call_id, strlen(call_id) } },
					 .n_segments = 1 };

	gw_ingest_add(&call, &(gw_packet){ .sequence = sequence, .data = "", .timestamp = NAN });
}

static void
post_calls(int n)
{
	char name[24];

	for (int i = 0; i < n; i++)
	{
		snprintf(name, sizeof(name), "call %d", i);
		post(name, 0);
	}
}

static void
is_stored(gw_stored *packet, bool committed, const char *sqlstate)
{
	(void) packet;
	(void) committed;
	(void) sqlstate;
	n_stored++;
}

/* Packets of a call of the gateway's own; returns how many left. */
static int
store(const char *call_id, const char *encoding, int n)
{
	static gw_stored packets[MAX_ROWS];
	gw_stored *all[MAX_ROWS];

	for (int i = 0; i < n; i++)
	{
		packets[i] = (gw_stored){ .call_id = call_id,
								  .track = "caller",
								  .encoding = encoding,
								  .sample_rate = "8000",
								  .sequence = i,
								  .data = "",
								  .done = is_stored };
		all[i] = &packets[i];
	}
	return gw_ingest_store(&gateway, &identity, all, n);
}

/* Two beginnings that come to the same, whatever stands behind them. */
static void
names_that_come_to_the_same(void)
{
	static const char *const beginnings[] = { "8yn0iYCKYHlIj4-BwPqk", "GReLUrM4wMqfg9yzV3KQ" };

	begin();
	check(sum_of((http_text){ beginnings[0], 20 }) == sum_of((http_text){ beginnings[1], 20 }));
	for (int i = 0; i < 260; i++)
	{
		char name[40];

		snprintf(name, sizeof(name), "%s%d", beginnings[i % 2], i / 2);
		post(name, 0);
		post(name, 1);
	}
	check_int(n_units, 2);
	check_int(unit(0)->n_calls, MAX_CALLS);
	check_int(unit(0)->n, 2 * MAX_CALLS);
	check_int(unit(1)->n_calls, 260 - MAX_CALLS);
	end();
}

static void
fewer_calls_and_more_again(void)
{
	begin();
	post_calls(MAX_CALLS);
	post("one more", 0);
	check_int(n_units, 2);
	answer(GW_FAILED, TOO_MANY_CALLS);
	/* nobody is to blame but for a batch of one call */
	check_int(n_unavailable, MAX_CALLS);
	check_int(gateway.ingest->max_calls, MAX_CALLS / 2);
	post_calls(MAX_CALLS);
	check_int(n_units, 2);
	/* the smaller one was sent first: the larger one tells nothing new */
	gateway.ingest->max_calls = 20;
	answer(GW_FAILED, TOO_MANY_CALLS);
	check_int(gateway.ingest->max_calls, 20);
	now += GROW_AFTER - 1;
	post_calls(MAX_CALLS);
	check_int(n_units, 10);
	answer(GW_COMMITTED, NULL);
	now += 1;
	post_calls(MAX_CALLS);
	check_int(n_units, 5);
	/* in vain: the next attempt comes later */
	answer(GW_FAILED, TOO_MANY_CALLS);
	check_int(gateway.ingest->max_calls, 20);
	now += 2 * GROW_AFTER - 1;
	post_calls(MAX_CALLS);
	check_int(n_units, 10);
	answer(GW_COMMITTED, NULL);
	for (int i = 0; i < 4; i++)
	{
		now += 2 * GROW_AFTER;
		post_calls(1);
	}
	answer(GW_COMMITTED, NULL);
	post_calls(MAX_CALLS);
	check_int(n_units, 1);
	end();
}

/* They leave over different connections, and which is stored first nobody knows. */
static void
a_call_that_straddles(void)
{
	begin();
	check_int(store("first", "mulaw", MAX_ROWS - 20), MAX_ROWS - 20);
	check_int(store("second", "mulaw", 50), 20);
	check_int(n_units, 1);
	check_int(store("third", "mulaw", 50), 50);
	check_int(n_units, 2);
	answer(GW_COMMITTED, NULL);
	check_int(n_stored, MAX_ROWS + 50);
	end();
}

static void
few_batches_of_our_own(void)
{
	static const char *const encodings[] = { "mulaw", "alaw", "pcm_s16le", "pcm_f32le" };

	begin();
	for (int i = 0; i < 2 * FOR_BEHIND; i++)
		check_int(store("a call", encodings[i], 1), 1);
	check_int(store("a call", "pcm_s24le", 1), 0);
	check_int(store("a call", "mulaw", 1), 1);
	/* a client has its own, which others do not stand behind */
	post_calls(1);
	check_int(n_units, 2 * FOR_BEHIND + 1);
	check(unit(0)->unit.behind);
	check(!unit(2 * FOR_BEHIND)->unit.behind);
	answer(GW_UNAVAILABLE, NULL);
	check_int(n_stored, 2 * FOR_BEHIND + 1);
	check_int(store("a call", "pcm_s24le", 1), 1);
	end();
}

int
main(void)
{
	check_run("names that come to the same", names_that_come_to_the_same);
	check_run("fewer calls, and more again", fewer_calls_and_more_again);
	check_run("a call that straddles", a_call_that_straddles);
	check_run("few batches of our own", few_batches_of_our_own);
	return check_done();
}
