/*
 * database.c
 *	  The sessions that units are sent over, and the queue of those that wait for one.
 */
#include "database.h"

#include <stdlib.h>
#include <string.h>

#include "queue.h"
#include "session.h"

#define WAIT_TIME (10 * HTTP_SECOND)		/* of a unit for its session */
#define WAIT_BEHIND (50 * HTTP_MILLISECOND) /* of one that nobody waits for while others go first */

struct gw_database
{
	http_loop *loop;
	char *conninfo;
	gw_session_owner owner;
	gw_session *sessions;
	int n;
	gw_queue queue;
	gw_queue behind; /* units that nobody waits for */
	http_task task;
	http_timer patience;
	bool failing; /* the last attempt to connect was in vain, and none is up */
	gw_database_counters counters;
};

static gw_queue *
queue_of(gw_database *database, const gw_unit *unit)
{
	return unit->behind ? &database->behind : &database->queue;
}

void
gw_database_add(gw_database *database, gw_unit *unit)
{
	unit->give_up = http_clock() + WAIT_TIME;
	gw_queue_add(queue_of(database, unit), unit);
	http_loop_defer(database->loop, &database->task);
	if (database->patience.place == 0)
		http_loop_set_timer(database->loop, &database->patience, unit->give_up);
}

bool
gw_database_up(const gw_database *database)
{
	for (int i = 0; i < database->n; i++)
	{
		if (database->sessions[i].state >= GW_SESSION_READY)
			return true;
	}
	return false;
}

int
gw_database_retry_after(const gw_database *database)
{
	int64_t soonest = GW_MAX_PAUSE;
	int64_t now = http_clock();

	for (int i = 0; i < database->n; i++)
	{
		const gw_session *s = &database->sessions[i];

		if (s->state == GW_SESSION_WAITING && s->timer.at - now < soonest)
			soonest = s->timer.at - now;
	}
	return soonest <= HTTP_SECOND ? 1 : (int) ((soonest + HTTP_SECOND - 1) / HTTP_SECOND);
}

const gw_database_counters *
gw_database_count(gw_database *database)
{
	database->counters.connections = database->counters.busy = 0;
	for (int i = 0; i < database->n; i++)
	{
		database->counters.connections += database->sessions[i].state >= GW_SESSION_READY;
		database->counters.busy += database->sessions[i].state == GW_SESSION_BUSY;
	}
	database->counters.waiting = database->queue.n + database->behind.n;
	return &database->counters;
}

static bool
is_hopeless(const gw_database *database)
{
	return database->failing && !gw_database_up(database);
}

/* Takes from the queue what has waited too long, or what nobody can take. */
static void
give_up(gw_database *database)
{
	int64_t now = http_clock();
	bool hopeless = is_hopeless(database);

	database->counters.timeouts += (uint64_t) gw_queue_give_up(&database->queue, now, hopeless);
	database->counters.timeouts += (uint64_t) gw_queue_give_up(&database->behind, now, hopeless);
	if ((database->queue.first != NULL || database->behind.first != NULL) &&
		database->patience.place == 0)
		http_loop_set_timer(database->loop, &database->patience, now + HTTP_SECOND);
}

static void
patience_is_over(void *arg)
{
	give_up(arg);
}

static void
ready(void *context)
{
	gw_database *database = context;

	database->failing = false;
	http_loop_defer(database->loop, &database->task);
}

static void
lost(void *context, const gw_session *session, bool was_up, gw_unit *unit, bool known)
{
	gw_database *database = context;

	database->counters.lost += was_up;
	if (!gw_database_up(database))
		database->failing = database->failing || session->failures > 1 || unit == NULL;
	if (unit != NULL && !known && unit->statement != NULL && !unit->statement->repeatable)
		unit->done(unit, GW_UNKNOWN, NULL, NULL);
	else if (unit != NULL)
	{
		unit->again = unit->again || !known;
		database->counters.sent_again++;
		gw_queue_put_back(queue_of(database, unit), unit);
	}
	http_loop_defer(database->loop, &database->task);
}

int
gw_database_for_behind(const gw_database *database)
{
	return database->n > 1 ? database->n / 2 : 1;
}

/* The next that may be sent; NULL: none.  Where there is no end of others, those behind have their turn as well. */
static gw_unit *
next_unit(gw_database *database)
{
	const gw_unit *behind = database->behind.first;
	int n = 0;

	if (database->queue.first != NULL &&
		(behind == NULL || http_clock() < behind->give_up - WAIT_TIME + WAIT_BEHIND))
		return gw_queue_take(&database->queue);
	for (int i = 0; i < database->n; i++)
		n += database->sessions[i].state == GW_SESSION_BUSY && database->sessions[i].unit->behind;
	return gw_queue_take(n < gw_database_for_behind(database) ? &database->behind
															  : &database->queue);
}

/* Units go to the sessions that are ready. */
static void
dispatch(void *arg)
{
	gw_database *database = arg;

	/* those that have waited too long have the timer: there may be thousands that have not */
	if (is_hopeless(database))
		give_up(database);
	for (int i = 0; i < database->n; i++)
	{
		gw_session *session = &database->sessions[i];
		gw_unit *unit;

		if (session->state != GW_SESSION_READY ||
			(database->queue.first == NULL && database->behind.first == NULL) ||
			gw_session_renew(session))
			continue;
		unit = next_unit(database);
		if (unit == NULL)
			return;
		database->counters.units++;
		gw_session_run(session, unit);
	}
}

gw_database *
gw_database_new(http_loop *loop, const gw_database_options *options)
{
	gw_database *database = calloc(1, sizeof(*database));

	if (database == NULL)
		return NULL;
	database->loop = loop;
	gw_queue_init(&database->queue);
	gw_queue_init(&database->behind);
	database->task = (http_task){ .run = dispatch, .arg = database };
	database->patience = (http_timer){ .due = patience_is_over, .arg = database };
	database->conninfo = strdup(options->conninfo);
	database->n = options->connections;
	database->sessions = calloc((size_t) database->n, sizeof(gw_session));
	database->owner = (gw_session_owner){ .context = database,
										  .loop = loop,
										  .conninfo = database->conninfo,
										  .for_role = options->for_role,
										  .ready = ready,
										  .lost = lost };
	if (database->conninfo == NULL || database->sessions == NULL)
	{
		free(database->conninfo);
		free(database->sessions);
		free(database);
		return NULL;
	}
	for (int i = 0; i < database->n; i++)
		gw_session_start(&database->sessions[i], &database->owner);
	return database;
}

void
gw_database_free(gw_database *database)
{
	gw_unit *unit;

	for (int i = 0; i < database->n; i++)
		gw_session_end(&database->sessions[i]);
	while ((unit = gw_queue_take(&database->queue)) != NULL ||
		   (unit = gw_queue_take(&database->behind)) != NULL)
		unit->done(unit, GW_UNAVAILABLE, NULL, NULL);
	http_loop_clear_timer(database->loop, &database->patience);
	http_loop_cancel(database->loop, &database->task);
	free(database->sessions);
	free(database->conninfo);
	free(database);
}
