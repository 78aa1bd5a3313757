/*
 * test_gateway_database.c
 *	  Units that nobody waits for: others go first, but not for ever, and half of the sessions are never theirs.
 *
 * Link with: -I../http -I.. -I/usr/include/postgresql
 */
#define _GNU_SOURCE
#include "check.h"
#include "../../gateway/database.c"
#include "../../gateway/queue.c"

#define SESSIONS 4
#define UNITS 20

static int64_t now = HTTP_SECOND;
static gw_database *database;

int64_t
http_clock(void)
{
	return now;
}

bool
http_loop_set_timer(http_loop *loop, http_timer *timer, int64_t at)
{
	(void) loop;
	(void) timer;
	(void) at;
	return true;
}

void
http_loop_clear_timer(http_loop *loop, http_timer *timer)
{
	(void) loop;
	(void) timer;
}

void
http_loop_defer(http_loop *loop, http_task *task)
{
	(void) loop;
	(void) task;
}

void
http_loop_cancel(http_loop *loop, http_task *task)
{
	(void) loop;
	(void) task;
}

void
gw_session_start(gw_session *session, const gw_session_owner *owner)
{
	session->owner = owner;
	session->state = GW_SESSION_READY;
}

bool
gw_session_renew(gw_session *session)
{
	(void) session;
	return false;
}

void
gw_session_run(gw_session *session, gw_unit *unit)
{
	session->state = GW_SESSION_BUSY;
	session->unit = unit;
}

void
gw_session_end(gw_session *session)
{
	(void) session;
}

static void
done(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	(void) unit;
	(void) outcome;
	(void) identity;
	(void) result;
}

static void
begin(void)
{
	database =
		gw_database_new(NULL, &(gw_database_options){ .conninfo = "", .connections = SESSIONS });
}

static void
add(gw_unit *unit, bool behind)
{
	*unit = (gw_unit){ .behind = behind, .done = done };
	gw_database_add(database, unit);
}

/* Sessions that have units that nobody waits for, and those that have others. */
static int
count(bool behind)
{
	int n = 0;

	for (int i = 0; i < SESSIONS; i++)
		n += database->sessions[i].state == GW_SESSION_BUSY &&
			 database->sessions[i].unit->behind == behind;
	return n;
}

/* A session is ready again; returns what it has then. */
static const gw_unit *
turn(int i)
{
	database->sessions[i].state = GW_SESSION_READY;
	database->sessions[i].unit = NULL;
	dispatch(database);
	return database->sessions[i].unit;
}

static void
half_at_most(void)
{
	static gw_unit units[UNITS];

	begin();
	for (int i = 0; i < UNITS; i++)
		add(&units[i], i < UNITS / 2);
	dispatch(database);
	check_int(count(false), SESSIONS);
	for (int i = 0; i < SESSIONS; i++)
		check(turn(i) != NULL && !database->sessions[i].unit->behind);
	/* all have waited by now */
	now += WAIT_BEHIND;
	for (int i = 0; i < SESSIONS; i++)
		check(turn(i) != NULL);
	check_int(count(true), gw_database_for_behind(database));
	check_int(count(false), SESSIONS - gw_database_for_behind(database));
	gw_database_free(database);
}

static void
no_end_of_others(void)
{
	static gw_unit behind;
	static gw_unit others[UNITS];
	int turns = 0;

	begin();
	add(&behind, true);
	for (int i = 0; i < UNITS; i++)
		add(&others[i], false);
	dispatch(database);
	while (turns < UNITS - SESSIONS && turn(0) != &behind)
	{
		now += WAIT_BEHIND / 10;
		turns++;
	}
	check_int(turns, 10);
	gw_database_free(database);
}

int
main(void)
{
	check_run("half at most", half_at_most);
	check_run("no end of others", no_end_of_others);
	return check_done();
}
