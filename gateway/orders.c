/*
 * orders.c
 *	  Reads what supervisors want of a stream, and does it.
 *
 * An order has a number, and a stream knows the one that it has done last: so one is done once, whatever is heard of it, and how often.
 */
#include "orders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/utf8.h"
#include "log.h"
#include "media_session.h"
#include "talk.h"

#define MAX_REASON 100 /* bytes: it is that of a socket's end as well */

static const gw_statement read_orders = {
	"read_call_orders",
	"SELECT id, kind, text FROM mulberry.read_call_orders($1::bigint, $2::bigint)", true
};

typedef struct reading
{
	gw_unit unit;
	gw_media *media;
	char session[24]; /* which may be gone when the answer comes */
	char after[24];
} reading;

static gw_media_session *
find(gw_media *media, const char *id)
{
	for (gw_media_session *s = media->sessions; s != NULL; s = s->next)
	{
		if (s->state == GW_MEDIA_OPEN && s->link != NULL && strcmp(s->id, id) == 0)
			return s;
	}
	return NULL;
}

static void look(gw_media_session *session);

/* True when the stream has ended by it. */
static bool
carry_out(gw_media_session *session, const char *kind, const char *text)
{
	char reason[MAX_REASON + 1];

	if (strcmp(kind, "leave") == 0)
	{
		snprintf(reason, sizeof(reason), "%s", text);
		reason[mb_utf8_prefix(reason, strlen(reason))] = '\0';
		gw_media_end(session, 1000, reason);
		return true;
	}
	if (session->talk != NULL)
		gw_talk_say(session->talk, text);
	else
		gw_log(GW_WARNING, "nobody speaks in a call", "call %s", session->call_id);
	return false;
}

static void
have_read(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	reading *r = (reading *) unit;
	gw_media_session *session = find(r->media, r->session);

	free(r);
	if (session == NULL)
		return;
	session->reading_orders = false;
	if (outcome != GW_COMMITTED)
		gw_log(GW_WARNING, "orders of supervisors could not be read", "call %s", session->call_id);
	for (int i = 0; outcome == GW_COMMITTED && i < PQntuples(result); i++)
	{
		session->order = strtoll(PQgetvalue(result, i, 0), NULL, 10);
		if (carry_out(session, PQgetvalue(result, i, 1), PQgetvalue(result, i, 2)))
			return;
	}
	if (session->more_orders)
		look(session);
}

static void
look(gw_media_session *session)
{
	reading *r;

	session->more_orders = session->reading_orders;
	if (session->reading_orders)
		return;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return;
	session->reading_orders = true;
	r->media = session->media;
	snprintf(r->session, sizeof(r->session), "%s", session->id);
	snprintf(r->after, sizeof(r->after), "%lld", (long long) session->order);
	r->unit.statement = &read_orders;
	r->unit.n_parameters = 2;
	r->unit.values[0] = r->session;
	r->unit.values[1] = r->after;
	r->unit.done = have_read;
	gw_media_ask(session->media, &r->unit);
}

void
gw_orders_told(gw_media *media, const char *session)
{
	gw_media_session *found = find(media, session);

	if (found != NULL)
		look(found);
}

void
gw_orders_missed(gw_media *media)
{
	for (gw_media_session *s = media->sessions; s != NULL; s = s->next)
	{
		if (s->state == GW_MEDIA_OPEN && s->link != NULL)
			look(s);
	}
}
