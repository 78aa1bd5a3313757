/*
 * feed.c
 *	  The one session by which the database tells a gateway something unasked.
 */
#include "feed.h"

#include <errno.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "gateway.h"
#include "listen.h"
#include "log.h"
#include "orders.h"
#include "session.h"

#define MAX_PAUSE (32 * HTTP_SECOND)
#define CONNECT_TIME (10 * HTTP_SECOND)
#define ANSWER_TIME (30 * HTTP_SECOND)
#define USES_EVERY (30 * HTTP_SECOND)
#define MAX_USES 1000

#define TOKENS "mulberry_tokens" /* and GW_ORDERS_CHANNEL */
#define TOO_MANY_SUBSCRIPTIONS "54000"

/* Of all tenants; what is stored always, packets by the thousand only while somebody here hears them. */
#define SUBSCRIPTION(delivery)                                                                     \
	"SELECT s.tenant, s.channel, s.last_seq FROM mulberry.subscribe(kinds => ARRAY("               \
	"SELECT k.event FROM mulberry.event_kinds() AS k WHERE k.delivery = '" delivery "')) AS s"
#define EVENTS SUBSCRIPTION("stored")
#define EVENTS_AND_PACKETS EVENTS " UNION ALL " SUBSCRIPTION("packet")
#define EVERYTHING "SELECT tenant, channel, last_seq FROM mulberry.subscribe()"

typedef enum feed_state
{
	WAITING,	 /* for the time to try again */
	CONNECTING,	 /* PQconnectPoll() */
	ASKING,		 /* LISTEN is under way */
	SUBSCRIBING, /* subscribe() is */
	LISTENING,
	TELLING /* listening, and a statement is under way */
} feed_state;

struct gw_feed
{
	gw_gateway *gateway;
	http_loop *loop;
	const char *conninfo;
	gw_identities *identities;
	PGresult *channels; /* of subscribe(): tenant, channel, last_seq */
	bool fresh;			/* not subscribed yet since it connected */
	bool missed;		/* events of a tenant came before it was listened to */
	bool again;			/* they have changed */
	bool wants_packets; /* somebody does */
	bool hears_packets;
	bool leaves_packets;   /* with the next subscription */
	bool hears_everything; /* there are more tenants than a session may choose from */
	PGconn *pg;
	feed_state state;
	http_watch watch;
	http_timer timer;
	int64_t pause;
	bool refused;  /* the last statement */
	bool too_many; /* because there are more tenants than a session may choose from */
};

static void begin(gw_feed *feed);

static void
lose(gw_feed *feed, const char *why)
{
	gw_log(GW_ERROR, "the session that listens to the database was lost", "%.*s",
		   (int) strcspn(why, "\n"), why);
	http_loop_remove(&feed->watch);
	PQfinish(feed->pg);
	feed->pg = NULL;
	feed->state = WAITING;
	feed->hears_packets = false;
	gw_supervisors_heard(feed->gateway->supervisors);
	feed->pause = feed->pause == 0				? HTTP_SECOND / 4
				  : feed->pause * 2 > MAX_PAUSE ? MAX_PAUSE
												: feed->pause * 2;
	http_loop_set_timer(feed->loop, &feed->timer, http_clock() + feed->pause);
}

static bool
flush(gw_feed *feed)
{
	int left = PQflush(feed->pg);

	if (left < 0)
	{
		lose(feed, PQerrorMessage(feed->pg));
		return false;
	}
	http_loop_change(&feed->watch, left > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
	return true;
}

static void
listening(gw_feed *feed)
{
	feed->state = LISTENING;
	http_loop_set_timer(feed->loop, &feed->timer, http_clock() + USES_EVERY);
}

static void
connect_further(gw_feed *feed)
{
	PostgresPollingStatusType next = PQconnectPoll(feed->pg);

	http_loop_remove(&feed->watch);
	feed->watch.fd = PQsocket(feed->pg);
	if (next == PGRES_POLLING_FAILED || feed->watch.fd < 0)
		lose(feed, PQerrorMessage(feed->pg));
	else if (!http_loop_add(feed->loop, &feed->watch,
							next == PGRES_POLLING_WRITING ? EPOLLOUT : EPOLLIN))
		lose(feed, strerror(errno));
	else if (next == PGRES_POLLING_OK)
	{
		feed->state = ASKING;
		if (PQsetnonblocking(feed->pg, 1) != 0 ||
			!PQsendQuery(feed->pg, "LISTEN " TOKENS "; LISTEN " GW_ORDERS_CHANNEL))
			lose(feed, PQerrorMessage(feed->pg));
		else
			(void) flush(feed);
	}
}

static void
subscribe(gw_feed *feed)
{
	const char *statement = feed->hears_everything ? EVERYTHING
							: feed->leaves_packets ? "SELECT mulberry.unsubscribe(); " EVENTS
							: feed->wants_packets  ? EVENTS_AND_PACKETS
												   : EVENTS;

	feed->state = SUBSCRIBING;
	feed->again = false;
	/* what comes between the two on a channel that is given up, is not heard */
	feed->missed = feed->missed || feed->leaves_packets;
	feed->hears_packets = feed->hears_everything || (feed->wants_packets && !feed->leaves_packets);
	feed->leaves_packets = false;
	http_loop_set_timer(feed->loop, &feed->timer, http_clock() + ANSWER_TIME);
	if (!PQsendQuery(feed->pg, statement))
		lose(feed, PQerrorMessage(feed->pg));
	else
		(void) flush(feed);
}

/* A statement has ended. */
static void
statement_ended(gw_feed *feed)
{
	switch (feed->state)
	{
		case ASKING:
			if (feed->refused)
				lose(feed, "LISTEN is refused: is this a standby?");
			else
				subscribe(feed);
			break;
		case SUBSCRIBING:
			if (feed->refused && feed->too_many && !feed->hears_everything)
			{
				feed->hears_everything = true;
				subscribe(feed);
				break;
			}
			if (feed->refused)
			{
				lose(feed, "subscribe() is refused");
				break;
			}
			feed->pause = 0;
			listening(feed);
			if (feed->hears_packets)
				gw_supervisors_heard(feed->gateway->supervisors);
			/* what came before we listened, we have not heard of */
			if (feed->fresh)
			{
				gw_identities_forget(feed->identities, NULL);
				gw_listeners_revoked(feed->gateway->media, NULL);
				gw_orders_missed(feed->gateway->media);
			}
			if (feed->fresh || feed->missed)
			{
				gw_supervisors_missed(feed->gateway->supervisors);
				gw_agents_look(feed->gateway->agents);
			}
			feed->fresh = feed->missed = false;
			break;
		case TELLING:
			listening(feed);
			break;
		default:
			break;
	}
}

/* Columns of subscribe(). */
enum
{
	TENANT,
	CHANNEL,
	LAST_SEQ
};

/* Whether what is listened to has such a tenant, or channel. */
static bool
has(const gw_feed *feed, int column, const char *value)
{
	for (int i = 0; i < PQntuples(feed->channels); i++)
	{
		if (strcmp(PQgetvalue(feed->channels, i, column), value) == 0)
			return true;
	}
	return false;
}

/* A channel that is new, of a new tenant or in another one's place, may have had events before it was listened to. */
static void
take_channels(gw_feed *feed, PGresult *channels)
{
	for (int i = 0; i < PQntuples(channels); i++)
	{
		if (!has(feed, CHANNEL, PQgetvalue(channels, i, CHANNEL)) &&
			strcmp(PQgetvalue(channels, i, LAST_SEQ), "0") != 0)
			feed->missed = true;
	}
	PQclear(feed->channels);
	feed->channels = channels;
}

static bool
says_resubscribe(const char *payload)
{
	json_t *message =
		strstr(payload, "\"resubscribe\"") == NULL ? NULL : json_loads(payload, 0, NULL);
	const char *event = json_string_value(json_object_get(message, "event"));
	bool says = event != NULL && strcmp(event, "resubscribe") == 0;

	json_decref(message);
	return says;
}

static void
take_note(gw_feed *feed, const PGnotify *note)
{
	if (strcmp(note->relname, TOKENS) == 0)
	{
		gw_identities_forget(feed->identities, note->extra);
		gw_supervisors_revoked(feed->gateway->supervisors, note->extra);
		gw_agents_revoked(feed->gateway->agents, note->extra);
		gw_listeners_revoked(feed->gateway->media, note->extra);
		return;
	}
	if (strcmp(note->relname, GW_ORDERS_CHANNEL) == 0)
	{
		gw_orders_told(feed->gateway->media, note->extra);
		return;
	}
	if (says_resubscribe(note->extra))
		feed->again = true;
	for (int i = 0; i < PQntuples(feed->channels); i++)
	{
		const char *tenant = PQgetvalue(feed->channels, i, TENANT);

		if (strcmp(PQgetvalue(feed->channels, i, CHANNEL), note->relname) != 0)
			continue;
		gw_supervisors_event(feed->gateway->supervisors, tenant, note->extra);
		gw_agents_event(feed->gateway->agents, tenant, note->extra);
	}
}

static void
read_input(gw_feed *feed)
{
	PGnotify *note;

	while (feed->state >= ASKING && feed->state != LISTENING && !PQisBusy(feed->pg))
	{
		PGresult *result = PQgetResult(feed->pg);
		ExecStatusType status = PQresultStatus(result);

		if (result == NULL)
		{
			statement_ended(feed);
			continue;
		}
		feed->refused = status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK;
		feed->too_many = feed->refused && strcmp(gw_sqlstate(result), TOO_MANY_SUBSCRIPTIONS) == 0;
		if (feed->refused)
			gw_log(GW_ERROR, "the database refused a statement", "%.*s",
				   (int) strcspn(PQresultErrorMessage(result), "\n"), PQresultErrorMessage(result));
		if (feed->state == SUBSCRIBING && status == PGRES_TUPLES_OK && PQnfields(result) == 3)
			take_channels(feed, result);
		else
			PQclear(result);
	}
	while (feed->pg != NULL && (note = PQnotifies(feed->pg)) != NULL)
	{
		take_note(feed, note);
		PQfreemem(note);
	}
	if (feed->state == LISTENING && (feed->again || (feed->wants_packets && !feed->hears_packets)))
		subscribe(feed);
}

static void
ready(void *arg, uint32_t events)
{
	gw_feed *feed = arg;

	if (feed->state == CONNECTING)
	{
		connect_further(feed);
		return;
	}
	if ((events & EPOLLOUT) != 0 && !flush(feed))
		return;
	if (!PQconsumeInput(feed->pg))
		lose(feed, PQerrorMessage(feed->pg));
	else
		read_input(feed);
}

/* Tells the database which tokens were used since the last time. */
static void
tell_uses(gw_feed *feed)
{
	program_text ids = { 0 };
	int n = gw_identities_take_used(feed->identities, MAX_USES, &ids);
	const char *values[] = { ids.data };

	if (n == 0 || ids.failed)
		listening(feed);
	else if (!PQsendQueryParams(feed->pg, "SELECT mulberry.note_token_uses($1)", 1, NULL, values,
								NULL, NULL, 0))
		lose(feed, PQerrorMessage(feed->pg));
	else if (flush(feed))
	{
		feed->state = TELLING;
		http_loop_set_timer(feed->loop, &feed->timer, http_clock() + ANSWER_TIME);
	}
	program_text_free(&ids);
}

static void
due(void *arg)
{
	gw_feed *feed = arg;

	if (feed->state == WAITING)
		begin(feed);
	else if (feed->state != LISTENING)
		lose(feed, "it does not answer");
	else if (feed->hears_packets && !feed->hears_everything &&
			 gw_supervisors_count(feed->gateway->supervisors) == 0)
	{
		feed->wants_packets = false;
		feed->leaves_packets = true;
		subscribe(feed);
	}
	else
		tell_uses(feed);
}

static void
begin(gw_feed *feed)
{
	static const char *const names[] = { "application_name",
										 "client_encoding",
										 "connect_timeout",
										 "tcp_user_timeout",
										 "keepalives_idle",
										 "dbname",
										 NULL };
	const char *values[] = { "mulberry-gateway feed", "UTF8", "10", "20000", "10",
							 feed->conninfo,		  NULL };

	feed->pg = PQconnectStartParams(names, values, 1);
	feed->state = CONNECTING;
	feed->refused = false;
	feed->fresh = true;
	feed->hears_everything = false;
	feed->watch.fd = PQsocket(feed->pg);
	if (feed->pg == NULL || PQstatus(feed->pg) == CONNECTION_BAD || feed->watch.fd < 0)
		lose(feed, feed->pg == NULL ? "out of memory" : PQerrorMessage(feed->pg));
	else if (!http_loop_add(feed->loop, &feed->watch, EPOLLOUT))
		lose(feed, strerror(errno));
	else
	{
		gw_log_notices(feed->pg);
		http_loop_set_timer(feed->loop, &feed->timer, http_clock() + CONNECT_TIME);
	}
}

gw_feed *
gw_feed_new(gw_gateway *gateway)
{
	gw_feed *feed = calloc(1, sizeof(*feed));

	if (feed == NULL)
		return NULL;
	feed->gateway = gateway;
	feed->loop = gateway->loop;
	feed->conninfo = gateway->options->database;
	feed->identities = gateway->identities;
	feed->watch = (http_watch){ .fd = -1, .ready = ready, .arg = feed };
	feed->timer = (http_timer){ .due = due, .arg = feed };
	begin(feed);
	return feed;
}

void
gw_feed_free(gw_feed *feed)
{
	http_loop_clear_timer(feed->loop, &feed->timer);
	http_loop_remove(&feed->watch);
	PQfinish(feed->pg);
	PQclear(feed->channels);
	free(feed);
}

void
gw_feed_hear(gw_feed *feed, const char *tenant)
{
	if (tenant[0] != '\0' && has(feed, TENANT, tenant))
		return;
	feed->again = true;
	if (feed->state == LISTENING)
		subscribe(feed);
}

bool
gw_feed_hear_packets(gw_feed *feed)
{
	feed->wants_packets = true;
	if (feed->state == LISTENING && !feed->hears_packets)
		subscribe(feed);
	return feed->state == WAITING || feed->state == CONNECTING ||
		   (feed->state != SUBSCRIBING && feed->hears_packets);
}

bool
gw_feed_up(const gw_feed *feed)
{
	return feed->state >= LISTENING;
}
