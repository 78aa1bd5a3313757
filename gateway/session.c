/*
 * session.c
 *	  One session with PostgreSQL; see session.h.
 */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "log.h"

#define CONNECT_TIME (10 * HTTP_SECOND)
#define ANSWER_TIME (40 * HTTP_SECOND) /* beyond the server's own statement_timeout */
#define LIFETIME (1800 * HTTP_SECOND)  /* memory of a backend grows with what it has seen */

#define AUTHENTICATE "authenticate"
#define AUTHENTICATE_TEXT                                                                          \
	"SELECT id, name, access, tenant, seconds_left, clock_timestamp() FROM "                       \
	"mulberry.authenticate($1)"
#define ANONYMOUS "anonymous"
#define ANONYMOUS_TEXT "SELECT mulberry.authenticate_anonymous($1, $2), clock_timestamp()"

static void begin(gw_session *s);
static void read_results(gw_session *s);

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
 * Connecting
 * ---------------------------------------------------------------------------
 */

static void
forget_results(gw_session *s)
{
	PQclear(s->identity);
	PQclear(s->result);
	PQclear(s->error);
	s->identity = s->result = s->error = NULL;
	s->preparing = NULL;
	s->results = 0;
}

static int64_t
pause_after(int failures)
{
	int64_t pause = HTTP_SECOND / 8;
	uint32_t random = 0;

	for (int i = 1; i < failures && pause < GW_MAX_PAUSE; i++)
		pause *= 2;
	if (pause > GW_MAX_PAUSE)
		pause = GW_MAX_PAUSE;
	/* half of it by chance, so that many do not come at once */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = 0;
	return pause / 2 + (int64_t) (random % (uint32_t) (pause / 2 + 1));
}

/* What has become of the unit under way is not known, unless the caller knows that it was rolled back. */
static void
lose_with(gw_session *s, const char *why, bool known)
{
	const gw_session_owner *owner = s->owner;
	gw_unit *unit = s->unit;
	bool was_up = s->state >= GW_SESSION_READY;

	complain(was_up ? "a connection to the database was lost" : "no connection to the database",
			 why);
	http_loop_remove(&s->watch);
	PQfinish(s->pg);
	s->pg = NULL;
	s->unit = NULL;
	forget_results(s);
	s->failures++;
	s->state = GW_SESSION_WAITING;
	http_loop_set_timer(owner->loop, &s->timer, http_clock() + pause_after(s->failures));
	owner->lost(owner->context, s, was_up, unit, known);
}

static void
lose(gw_session *s, const char *why)
{
	lose_with(s, why, false);
}

/* Sends what libpq has buffered; false when the connection is lost. */
static bool
flush(gw_session *s)
{
	int left = PQflush(s->pg);

	if (left < 0)
	{
		lose(s, PQerrorMessage(s->pg));
		return false;
	}
	http_loop_change(&s->watch, left > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
	return true;
}

/* The first pipeline of a session. */
static bool
prepare(gw_session *s)
{
	s->state = GW_SESSION_PREPARING;
	if (PQsetnonblocking(s->pg, 1) != 0 || !PQenterPipelineMode(s->pg))
		return false;
	if (s->owner->for_role)
		return PQpipelineSync(s->pg) && flush(s);
	if (!PQsendQueryParams(s->pg, "SELECT mulberry.require_authentication()", 0, NULL, NULL, NULL,
						   NULL, 0) ||
		!PQsendPrepare(s->pg, AUTHENTICATE, AUTHENTICATE_TEXT, 0, NULL) ||
		!PQsendPrepare(s->pg, ANONYMOUS, ANONYMOUS_TEXT, 0, NULL))
		return false;
	return PQpipelineSync(s->pg) && flush(s);
}

/* Connecting goes on. */
static void
connect_further(gw_session *s)
{
	PostgresPollingStatusType next = PQconnectPoll(s->pg);

	/* another address, or without TLS: libpq has another socket, which may have the same number */
	http_loop_remove(&s->watch);
	s->watch.fd = PQsocket(s->pg);
	if (next == PGRES_POLLING_FAILED || s->watch.fd < 0)
		lose(s, PQerrorMessage(s->pg));
	else if (!http_loop_add(s->owner->loop, &s->watch,
							next == PGRES_POLLING_WRITING ? EPOLLOUT : EPOLLIN))
		lose(s, strerror(errno));
	else if (next == PGRES_POLLING_OK && !prepare(s) && s->pg != NULL)
		lose(s, PQerrorMessage(s->pg));
}

static void
ready(void *arg, uint32_t events)
{
	gw_session *s = arg;

	if (s->state == GW_SESSION_CONNECTING)
	{
		connect_further(s);
		return;
	}
	if ((events & EPOLLOUT) != 0 && !flush(s))
		return;
	if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP)) == 0)
		return;
	if (!PQconsumeInput(s->pg))
	{
		/* an answer may have come before the end: it tells more than the end does */
		read_results(s);
		if (s->pg != NULL)
			lose(s, PQerrorMessage(s->pg));
		return;
	}
	read_results(s);
}

static void
try_again(void *arg)
{
	gw_session *s = arg;

	if (s->state == GW_SESSION_WAITING)
		begin(s);
	else
		lose(s, s->state == GW_SESSION_BUSY ? "it does not answer" : "connecting takes too long");
}

static void
begin(gw_session *s)
{
	static const char options[] = "-c timezone=UTC -c statement_timeout=30s -c lock_timeout=10s "
								  "-c idle_in_transaction_session_timeout=60s";
	/* what stands first may be said otherwise in the connection string, which comes last */
	static const char *const names[] = { "application_name", "client_encoding",
										 "connect_timeout",	 "tcp_user_timeout",
										 "keepalives_idle",	 "options",
										 "dbname",			 NULL };
	const char *values[] = { "mulberry-gateway", "UTF8", "10", "20000", "10", options,
							 s->owner->conninfo, NULL };

	s->pg = PQconnectStartParams(names, values, 1);
	s->begun = http_clock();
	s->n_prepared = 0;
	s->state = GW_SESSION_CONNECTING;
	s->watch.fd = PQsocket(s->pg);
	if (s->pg == NULL || PQstatus(s->pg) == CONNECTION_BAD || s->watch.fd < 0)
		lose(s, s->pg == NULL ? "out of memory" : PQerrorMessage(s->pg));
	else if (!http_loop_add(s->owner->loop, &s->watch, EPOLLOUT))
		lose(s, strerror(errno));
	else
	{
		gw_log_notices(s->pg);
		http_loop_set_timer(s->owner->loop, &s->timer, s->begun + CONNECT_TIME);
	}
}

/* ---------------------------------------------------------------------------
 * A unit's way
 * ---------------------------------------------------------------------------
 */

/* The statement of a unit, which is prepared within the same pipeline when it is not yet. */
static bool
send_statement(gw_session *s, const gw_unit *unit)
{
	const gw_statement *statement = unit->statement;
	bool known = false;

	for (int i = 0; i < s->n_prepared && !known; i++)
		known = s->prepared[i] == statement;
	if (!known && s->n_prepared == GW_MAX_STATEMENTS)
		return PQsendQueryParams(s->pg, statement->text, unit->n_parameters, NULL, unit->values,
								 unit->lengths, unit->formats, unit->binary) != 0;
	if (!known)
	{
		s->preparing = statement;
		if (!PQsendPrepare(s->pg, statement->name, statement->text, 0, NULL))
			return false;
	}
	return PQsendQueryPrepared(s->pg, statement->name, unit->n_parameters, unit->values,
							   unit->lengths, unit->formats, unit->binary) != 0;
}

static bool
send_unit(gw_session *s, gw_unit *unit)
{
	const char *whom[] = { unit->token != NULL ? unit->token : unit->access, unit->tenant };

	if (unit->send != NULL)
	{
		unit->send(unit);
		unit->send = NULL;
	}
	if (unit->again && unit->resend != NULL)
	{
		unit->resend(unit);
		unit->resend = NULL;
	}
	s->unit = unit;
	s->state = GW_SESSION_BUSY;
	forget_results(s);
	http_loop_set_timer(s->owner->loop, &s->timer, http_clock() + ANSWER_TIME);
	return (s->owner->for_role ||
			PQsendQueryPrepared(s->pg, unit->token != NULL ? AUTHENTICATE : ANONYMOUS,
								unit->token != NULL ? 1 : 2, whom, NULL, NULL, 0)) &&
		   (unit->statement == NULL || send_statement(s, unit)) && PQpipelineSync(s->pg) != 0;
}

void
gw_session_run(gw_session *s, gw_unit *unit)
{
	if (!send_unit(s, unit))
		lose(s, PQerrorMessage(s->pg));
	else
		(void) flush(s);
}

/* The pipeline has come to its end, and the server has committed or not. */
static void
finish(gw_session *s)
{
	const gw_session_owner *owner = s->owner;
	gw_unit *unit = s->unit;
	bool first = s->state == GW_SESSION_PREPARING;
	char why[200];

	if (first && s->error != NULL)
	{
		snprintf(why, sizeof(why), "%s", PQresultErrorMessage(s->error));
		lose(s, why);
		return;
	}
	http_loop_clear_timer(owner->loop, &s->timer);
	s->state = GW_SESSION_READY;
	s->failures = 0;
	owner->ready(owner->context);
	if (first)
	{
		forget_results(s);
		return;
	}
	/* a plan, or a statement, that the database does not know any more: the session begins anew */
	if (s->error != NULL && !unit->replanned &&
		(strcmp(gw_sqlstate(s->error), "0A000") == 0 ||
		 strcmp(gw_sqlstate(s->error), "26000") == 0))
	{
		unit->replanned = true;
		lose_with(s, "the session's plans are outdated", true);
		return;
	}
	s->unit = NULL;
	if (s->error == NULL)
		unit->done(unit, GW_COMMITTED, s->identity, s->result);
	else
		unit->done(unit, s->identity == NULL && !owner->for_role ? GW_REFUSED : GW_FAILED,
				   s->identity, s->error);
	forget_results(s);
}

static void
keep(PGresult **place, PGresult *result)
{
	PQclear(*place);
	*place = result;
}

static void
read_results(gw_session *s)
{
	int nothing = 0;

	while (s->pg != NULL && s->state >= GW_SESSION_PREPARING && !PQisBusy(s->pg) && nothing < 2)
	{
		PGresult *result = PQgetResult(s->pg);

		if (result == NULL)
		{
			s->results += nothing++ == 0;
			continue;
		}
		nothing = 0;
		switch (PQresultStatus(result))
		{
			case PGRES_PIPELINE_SYNC:
				PQclear(result);
				if (s->state == GW_SESSION_READY)
				{
					lose(s, "an answer to nothing that was asked");
					return;
				}
				finish(s);
				break;
			case PGRES_TUPLES_OK:
				/* whom first, then the statement */
				keep(s->results == 0 && !s->owner->for_role ? &s->identity : &s->result, result);
				break;
			case PGRES_COMMAND_OK:
				if (s->preparing != NULL && (s->results > 0 || s->owner->for_role))
				{
					s->prepared[s->n_prepared++] = s->preparing;
					s->preparing = NULL;
				}
				PQclear(result);
				break;
			case PGRES_PIPELINE_ABORTED:
				PQclear(result);
				break;
			default:
				if (s->error == NULL)
					s->error = result;
				else
					PQclear(result);
		}
	}
}

/* ---------------------------------------------------------------------------
 * Its beginning and its end
 * ---------------------------------------------------------------------------
 */

void
gw_session_start(gw_session *s, const gw_session_owner *owner)
{
	s->owner = owner;
	s->watch = (http_watch){ .fd = -1, .ready = ready, .arg = s };
	s->timer = (http_timer){ .due = try_again, .arg = s };
	begin(s);
}

bool
gw_session_renew(gw_session *s)
{
	if (http_clock() - s->begun <= LIFETIME)
		return false;
	http_loop_remove(&s->watch);
	PQfinish(s->pg);
	begin(s);
	return true;
}

void
gw_session_end(gw_session *s)
{
	http_loop_clear_timer(s->owner->loop, &s->timer);
	http_loop_remove(&s->watch);
	PQfinish(s->pg);
	if (s->unit != NULL)
		s->unit->done(s->unit, GW_UNKNOWN, NULL, NULL);
	forget_results(s);
}
