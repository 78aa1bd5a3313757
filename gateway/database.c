/*
 * database.c
 *	  Connections to PostgreSQL, over which units of work are sent: libpq in pipeline mode, never waiting.
 */
#include "database.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "log.h"
#include "queue.h"

#define CONNECT_TIME (10 * HTTP_SECOND)
#define ANSWER_TIME (40 * HTTP_SECOND) /* beyond the server's own statement_timeout */
#define LIFETIME (1800 * HTTP_SECOND)  /* memory of a backend grows with what it has seen */
#define WAIT_TIME (10 * HTTP_SECOND)   /* of a unit for its connection */
#define MAX_PAUSE (32 * HTTP_SECOND)

static const struct
{
	const char *name;
	const char *text;
} statements[GW_STATEMENTS] = {
	[GW_INGEST] = { "ingest",
					"SELECT * FROM mulberry.ingest_packets($1::text[], $2::bigint[], $3::bytea[], "
					"$4::timestamptz[], $5, $6::integer, NULL, $7::text[])" },
	[GW_COMPLETE] = { "complete",
					  "SELECT * FROM mulberry.complete_call($1::text, $2::integer, NULL, $3)" },
	[GW_EVENTS] = { "events", "SELECT seq, prev, event, call_id, message FROM "
							  "mulberry.events_since($1::bigint, $2::integer, $3)" },
};

#define AUTHENTICATE "authenticate"
#define AUTHENTICATE_TEXT                                                                          \
	"SELECT id, name, access, tenant, seconds_left FROM mulberry.authenticate($1)"
#define ANONYMOUS "anonymous"
#define ANONYMOUS_TEXT "SELECT mulberry.authenticate_anonymous($1, $2)"

typedef enum connection_state
{
	WAITING,	/* for the time to try again */
	CONNECTING, /* PQconnectPoll() */
	PREPARING,	/* the first pipeline: what every session begins with */
	READY,
	BUSY
} connection_state;

typedef struct connection
{
	gw_database *database;
	PGconn *pg;
	connection_state state;
	http_watch watch;
	http_timer timer; /* the next try, or the end of patience */
	int64_t begun;	  /* the connection */
	int failures;	  /* in a row */

	/* the unit under way */
	gw_unit *unit;
	int results; /* that have ended, within its pipeline */
	PGresult *identity;
	PGresult *result;
	PGresult *error; /* the first one */
} connection;

struct gw_database
{
	http_loop *loop;
	char *conninfo;
	connection *connections;
	int n;
	gw_queue queue;
	http_task task;
	http_timer patience;
	bool failing; /* the last attempt to connect was in vain, and none is up */
	gw_database_counters counters;
};

static void begin(connection *c);
static void lose(connection *c, const char *why);
static void read_results(connection *c);

const char *
gw_sqlstate(const PGresult *result)
{
	const char *state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return state == NULL ? "" : state;
}

static void
notice(void *arg, const char *message)
{
	gw_log(GW_WARNING, "the database says", "%.*s", (int) strcspn(message, "\n"), message);
}

void
gw_log_notices(PGconn *pg)
{
	PQsetNoticeProcessor(pg, notice, NULL);
}

/* libpq ends its messages with a line feed, and may have several lines. */
static void
complain(const char *what, const char *message)
{
	gw_log(GW_ERROR, what, "%.*s", (int) strcspn(message, "\n"), message);
}

/* ---------------------------------------------------------------------------
 * Units
 * ---------------------------------------------------------------------------
 */

void
gw_database_add(gw_database *database, gw_unit *unit)
{
	unit->give_up = http_clock() + WAIT_TIME;
	gw_queue_add(&database->queue, unit);
	http_loop_defer(database->loop, &database->task);
	if (database->patience.place == 0)
		http_loop_set_timer(database->loop, &database->patience, unit->give_up);
}

bool
gw_database_up(const gw_database *database)
{
	for (int i = 0; i < database->n; i++)
	{
		if (database->connections[i].state >= READY)
			return true;
	}
	return false;
}

int
gw_database_retry_after(const gw_database *database)
{
	int64_t soonest = MAX_PAUSE;
	int64_t now = http_clock();

	for (int i = 0; i < database->n; i++)
	{
		const connection *c = &database->connections[i];

		if (c->state == WAITING && c->timer.at - now < soonest)
			soonest = c->timer.at - now;
	}
	return soonest <= HTTP_SECOND ? 1 : (int) ((soonest + HTTP_SECOND - 1) / HTTP_SECOND);
}

const gw_database_counters *
gw_database_count(gw_database *database)
{
	database->counters.connections = database->counters.busy = 0;
	for (int i = 0; i < database->n; i++)
	{
		database->counters.connections += database->connections[i].state >= READY;
		database->counters.busy += database->connections[i].state == BUSY;
	}
	database->counters.waiting = database->queue.n;
	return &database->counters;
}

/* Takes from the queue what has waited too long, or what nobody can take. */
static void
give_up(gw_database *database)
{
	int64_t now = http_clock();
	bool hopeless = database->failing && !gw_database_up(database);

	database->counters.timeouts += (uint64_t) gw_queue_give_up(&database->queue, now, hopeless);
	if (database->queue.first != NULL && database->patience.place == 0)
		http_loop_set_timer(database->loop, &database->patience, now + HTTP_SECOND);
}

static void
patience_is_over(void *arg)
{
	give_up(arg);
}

/* ---------------------------------------------------------------------------
 * One connection
 * ---------------------------------------------------------------------------
 */

static void
forget_results(connection *c)
{
	PQclear(c->identity);
	PQclear(c->result);
	PQclear(c->error);
	c->identity = c->result = c->error = NULL;
	c->results = 0;
}

static int64_t
pause_after(int failures)
{
	int64_t pause = HTTP_SECOND / 8;
	uint32_t random = 0;

	for (int i = 1; i < failures && pause < MAX_PAUSE; i++)
		pause *= 2;
	if (pause > MAX_PAUSE)
		pause = MAX_PAUSE;
	/* half of it by chance, so that many do not come at once */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = 0;
	return pause / 2 + (int64_t) (random % (uint32_t) (pause / 2 + 1));
}

static void
lose(connection *c, const char *why)
{
	gw_database *database = c->database;
	gw_unit *unit = c->unit;

	if (c->state >= READY)
		database->counters.lost++;
	complain(c->state >= READY ? "a connection to the database was lost"
							   : "no connection to the database",
			 why);
	http_loop_remove(&c->watch);
	PQfinish(c->pg);
	c->pg = NULL;
	c->unit = NULL;
	forget_results(c);
	c->failures++;
	c->state = WAITING;
	http_loop_set_timer(database->loop, &c->timer, http_clock() + pause_after(c->failures));
	if (unit != NULL)
	{
		unit->again = true;
		database->counters.sent_again++;
		gw_queue_put_back(&database->queue, unit);
	}
	if (!gw_database_up(database))
		database->failing = database->failing || c->failures > 1 || unit == NULL;
	http_loop_defer(database->loop, &database->task);
}

/* Sends what libpq has buffered; false when the connection is lost. */
static bool
flush(connection *c)
{
	int left = PQflush(c->pg);

	if (left < 0)
	{
		lose(c, PQerrorMessage(c->pg));
		return false;
	}
	http_loop_change(&c->watch, left > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
	return true;
}

/* The first pipeline of a session. */
static bool
prepare(connection *c)
{
	c->state = PREPARING;
	if (PQsetnonblocking(c->pg, 1) != 0 || !PQenterPipelineMode(c->pg) ||
		!PQsendQueryParams(c->pg, "SELECT mulberry.require_authentication()", 0, NULL, NULL, NULL,
						   NULL, 0) ||
		!PQsendPrepare(c->pg, AUTHENTICATE, AUTHENTICATE_TEXT, 0, NULL) ||
		!PQsendPrepare(c->pg, ANONYMOUS, ANONYMOUS_TEXT, 0, NULL))
		return false;
	for (int i = 0; i < GW_STATEMENTS; i++)
	{
		if (!PQsendPrepare(c->pg, statements[i].name, statements[i].text, 0, NULL))
			return false;
	}
	return PQpipelineSync(c->pg) && flush(c);
}

/* Connecting goes on. */
static void
connect_further(connection *c)
{
	PostgresPollingStatusType next = PQconnectPoll(c->pg);

	/* another address, or without TLS: libpq has another socket, which may have the same number */
	http_loop_remove(&c->watch);
	c->watch.fd = PQsocket(c->pg);
	if (next == PGRES_POLLING_FAILED || c->watch.fd < 0)
		lose(c, PQerrorMessage(c->pg));
	else if (!http_loop_add(c->database->loop, &c->watch,
							next == PGRES_POLLING_WRITING ? EPOLLOUT : EPOLLIN))
		lose(c, strerror(errno));
	else if (next == PGRES_POLLING_OK && !prepare(c) && c->pg != NULL)
		lose(c, PQerrorMessage(c->pg));
}

static void
ready(void *arg, uint32_t events)
{
	connection *c = arg;

	if (c->state == CONNECTING)
	{
		connect_further(c);
		return;
	}
	if ((events & EPOLLOUT) != 0 && !flush(c))
		return;
	if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP)) == 0)
		return;
	if (!PQconsumeInput(c->pg))
	{
		/* an answer may have come before the end: it tells more than the end does */
		read_results(c);
		if (c->pg != NULL)
			lose(c, PQerrorMessage(c->pg));
		return;
	}
	read_results(c);
}

static void
try_again(void *arg)
{
	connection *c = arg;

	if (c->state == WAITING)
		begin(c);
	else
		lose(c, c->state == BUSY ? "it does not answer" : "connecting takes too long");
}

static void
begin(connection *c)
{
	/* what stands first may be said otherwise in the connection string, which comes last */
	static const char *const names[] = { "application_name", "client_encoding",
										 "connect_timeout",	 "tcp_user_timeout",
										 "keepalives_idle",	 "options",
										 "dbname",			 NULL };
	const char *values[] = {
		"mulberry-gateway",
		"UTF8",
		"10",
		"20000",
		"10",
		"-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s",
		c->database->conninfo,
		NULL
	};

	c->pg = PQconnectStartParams(names, values, 1);
	c->begun = http_clock();
	c->state = CONNECTING;
	c->watch.fd = PQsocket(c->pg);
	if (c->pg == NULL || PQstatus(c->pg) == CONNECTION_BAD || c->watch.fd < 0)
		lose(c, c->pg == NULL ? "out of memory" : PQerrorMessage(c->pg));
	else if (!http_loop_add(c->database->loop, &c->watch, EPOLLOUT))
		lose(c, strerror(errno));
	else
	{
		gw_log_notices(c->pg);
		http_loop_set_timer(c->database->loop, &c->timer, c->begun + CONNECT_TIME);
	}
}

/* ---------------------------------------------------------------------------
 * A unit's way
 * ---------------------------------------------------------------------------
 */

static bool
send_unit(connection *c, gw_unit *unit)
{
	const char *whom[] = { unit->token != NULL ? unit->token : unit->access, unit->tenant };

	if (unit->send != NULL)
	{
		unit->send(unit);
		unit->send = NULL;
	}
	c->unit = unit;
	c->state = BUSY;
	forget_results(c);
	c->database->counters.units++;
	http_loop_set_timer(c->database->loop, &c->timer, http_clock() + ANSWER_TIME);
	if (!PQsendQueryPrepared(c->pg, unit->token != NULL ? AUTHENTICATE : ANONYMOUS,
							 unit->token != NULL ? 1 : 2, whom, NULL, NULL, 0))
		return false;
	if (unit->statement != GW_NOTHING &&
		!PQsendQueryPrepared(c->pg, statements[unit->statement].name, unit->n_parameters,
							 unit->values, unit->lengths, unit->formats, 0))
		return false;
	return PQpipelineSync(c->pg) != 0;
}

static void
dispatch(void *arg)
{
	gw_database *database = arg;

	give_up(database);
	for (int i = 0; i < database->n && database->queue.first != NULL; i++)
	{
		connection *c = &database->connections[i];

		if (c->state != READY)
			continue;
		if (http_clock() - c->begun > LIFETIME)
		{
			http_loop_remove(&c->watch);
			PQfinish(c->pg);
			begin(c);
			continue;
		}
		if (!send_unit(c, gw_queue_take(&database->queue)))
			lose(c, PQerrorMessage(c->pg));
		else
			(void) flush(c);
	}
}

/* The pipeline has come to its end, and the server has committed or not. */
static void
finish(connection *c)
{
	gw_database *database = c->database;
	gw_unit *unit = c->unit;
	bool first = c->state == PREPARING;
	char why[200];

	if (first && c->error != NULL)
	{
		snprintf(why, sizeof(why), "%s", PQresultErrorMessage(c->error));
		lose(c, why);
		return;
	}
	http_loop_clear_timer(database->loop, &c->timer);
	c->state = READY;
	c->failures = 0;
	database->failing = false;
	http_loop_defer(database->loop, &database->task);
	if (first)
	{
		forget_results(c);
		return;
	}
	/* a plan, or a statement, that the database does not know any more: the session begins anew */
	if (c->error != NULL && !unit->again &&
		(strcmp(gw_sqlstate(c->error), "0A000") == 0 ||
		 strcmp(gw_sqlstate(c->error), "26000") == 0))
	{
		lose(c, "the session's plans are outdated");
		return;
	}
	c->unit = NULL;
	if (c->error == NULL)
		unit->done(unit, GW_COMMITTED, c->identity, c->result);
	else
		unit->done(unit, c->identity == NULL ? GW_REFUSED : GW_FAILED, c->identity, c->error);
	forget_results(c);
}

static void
keep(PGresult **place, PGresult *result)
{
	PQclear(*place);
	*place = result;
}

static void
read_results(connection *c)
{
	int nothing = 0;

	while (c->pg != NULL && c->state >= PREPARING && !PQisBusy(c->pg) && nothing < 2)
	{
		PGresult *result = PQgetResult(c->pg);

		if (result == NULL)
		{
			c->results += nothing++ == 0;
			continue;
		}
		nothing = 0;
		switch (PQresultStatus(result))
		{
			case PGRES_PIPELINE_SYNC:
				PQclear(result);
				if (c->state == READY)
				{
					lose(c, "an answer to nothing that was asked");
					return;
				}
				finish(c);
				break;
			case PGRES_TUPLES_OK:
				/* whom first, then the statement */
				keep(c->results == 0 ? &c->identity : &c->result, result);
				break;
			case PGRES_COMMAND_OK:
			case PGRES_PIPELINE_ABORTED:
				PQclear(result);
				break;
			default:
				if (c->error == NULL)
					c->error = result;
				else
					PQclear(result);
		}
	}
}

/* ---------------------------------------------------------------------------
 * All of it
 * ---------------------------------------------------------------------------
 */

gw_database *
gw_database_new(http_loop *loop, const gw_database_options *options)
{
	gw_database *database = calloc(1, sizeof(*database));

	if (database == NULL)
		return NULL;
	database->loop = loop;
	gw_queue_init(&database->queue);
	database->task = (http_task){ .run = dispatch, .arg = database };
	database->patience = (http_timer){ .due = patience_is_over, .arg = database };
	database->conninfo = strdup(options->conninfo);
	database->n = options->connections;
	database->connections = calloc((size_t) database->n, sizeof(connection));
	if (database->conninfo == NULL || database->connections == NULL)
	{
		free(database->conninfo);
		free(database->connections);
		free(database);
		return NULL;
	}
	for (int i = 0; i < database->n; i++)
	{
		connection *c = &database->connections[i];

		c->database = database;
		c->watch = (http_watch){ .fd = -1, .ready = ready, .arg = c };
		c->timer = (http_timer){ .due = try_again, .arg = c };
		begin(c);
	}
	return database;
}

void
gw_database_free(gw_database *database)
{
	gw_unit *unit;

	for (int i = 0; i < database->n; i++)
	{
		connection *c = &database->connections[i];

		http_loop_clear_timer(database->loop, &c->timer);
		http_loop_remove(&c->watch);
		PQfinish(c->pg);
		if (c->unit != NULL)
			c->unit->done(c->unit, GW_UNKNOWN, NULL, NULL);
		forget_results(c);
	}
	while ((unit = gw_queue_take(&database->queue)) != NULL)
		unit->done(unit, GW_UNAVAILABLE, NULL, NULL);
	http_loop_clear_timer(database->loop, &database->patience);
	http_loop_cancel(database->loop, &database->task);
	free(database->connections);
	free(database->conninfo);
	free(database);
}
