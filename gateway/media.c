/*
 * media.c
 *	  The life of a session: begun by the database, watched, ended, told to the database.  See media.h.
 */
#include "media_session.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "listen.h"
#include "engine.h"
#include "log.h"
#include "talk.h"

#define SILENT_FOR                                                                                 \
	(15 * HTTP_SECOND) /* without media: the other side is gone, whatever its socket says */
#define WATCH_EVERY HTTP_SECOND
#define STOP_WITHIN (10 * HTTP_SECOND) /* for what is heard to be stored when the gateway ends */
#define BUSY 1013					   /* come again later */
#define ASK_AGAIN HTTP_SECOND		   /* of what the database could not do */

static const gw_statement begin_media = {
	"begin_media",
	"SELECT refusal, session, tenant, call_id, recorded, seconds, opening, "
	"array_to_string(unsaid, ' | ') FROM mulberry.begin_media($1, $2, $3, $4, $5::jsonb, $6)",
	false
};

static const gw_statement end_media = {
	"end_media", "SELECT mulberry.end_media($1::bigint, $2, $3::jsonb, $4::jsonb)", true
};

typedef struct question
{
	gw_unit unit;
	gw_media *media;
	gw_media_session *session; /* NULL: gone */
	char *texts[5];
	program_text totals;
	program_text figures;
} question;

/* ---------------------------------------------------------------------------
 * The end
 * ---------------------------------------------------------------------------
 */

static void
free_session(gw_media_session *session)
{
	gw_media *media = session->media;

	for (gw_media_session **place = &media->sessions; *place != NULL; place = &(*place)->next)
	{
		if (*place == session)
		{
			*place = session->next;
			break;
		}
	}
	media->n--;
	http_loop_clear_timer(media->gateway->loop, &session->watchdog);
	http_loop_clear_timer(media->gateway->loop, &session->limit);
	gw_conduct_end(session);
	gw_play_end(&session->play);
	gw_tap_end(session->tap, NULL);
	gw_media_store_free(session);
	free(session->call_id);
	free(session);
}

static void
free_question(question *q)
{
	for (size_t i = 0; i < sizeof(q->texts) / sizeof(q->texts[0]); i++)
		free(q->texts[i]);
	program_text_free(&q->totals);
	program_text_free(&q->figures);
	free(q);
}

static void tell_end_again(void *arg);

static void
ended(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	question *q = (question *) unit;

	if (gw_may_pass(outcome, result))
	{
		/* a call whose end nobody knows is never processed */
		gw_log(GW_WARNING, "the end of a stream is not stored yet", "call %s", q->session->call_id);
		q->session->watchdog.due = tell_end_again;
		http_loop_set_timer(q->media->gateway->loop, &q->session->watchdog,
							http_clock() + ASK_AGAIN);
	}
	else
	{
		if (outcome != GW_COMMITTED)
			gw_log(GW_ERROR, "the end of a stream was not stored", "call %s: %s",
				   q->session->call_id, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
		free_session(q->session);
	}
	free_question(q);
}

/* What was kept is complete, and the call goes on elsewhere. */
static void
tell_end(gw_media_session *session)
{
	const gw_media_track *caller = &session->tracks[GW_TRACK_CALLER];
	const gw_media_track *agent = &session->tracks[GW_TRACK_AGENT];
	question *q = calloc(1, sizeof(*q));

	session->state = GW_MEDIA_ENDING;
	if (q == NULL)
	{
		free_session(session);
		return;
	}
	q->media = session->media;
	q->session = session;
	if (session->recorded)
		program_text_printf(&q->totals, "{\"caller\":%lld,\"agent\":%lld}",
							(long long) caller->sequence, (long long) agent->sequence);
	program_text_printf(
		&q->figures,
		"{\"heard_ms\":%llu,\"lost_ms\":%llu,\"said_ms\":%llu,\"cleared_ms\":%llu,\"digits\":%u,"
		"\"interruptions\":%u,\"underruns\":%u,\"dropped_packets\":%u",
		(unsigned long long) caller->samples * 1000 / GW_MEDIA_RATE,
		(unsigned long long) caller->lost * 1000 / GW_MEDIA_RATE,
		(unsigned long long) agent->samples * 1000 / GW_MEDIA_RATE,
		(unsigned long long) session->play.cleared * 1000 / GW_MEDIA_RATE, session->digits,
		session->interruptions, session->play.underruns, session->dropped);
	if (session->play.rtt >= 0)
		program_text_printf(&q->figures, ",\"rtt_ms\":%lld",
							(long long) session->play.rtt / HTTP_MILLISECOND);
	program_text_puts(&q->figures, "}");
	q->unit.statement = &end_media;
	q->unit.n_parameters = 4;
	q->unit.values[0] = session->id;
	q->unit.values[1] = session->reason;
	q->unit.values[2] = q->totals.data;
	q->unit.values[3] = q->figures.data;
	q->unit.done = ended;
	gw_media_ask(session->media, &q->unit);
}

static void
tell_end_again(void *arg)
{
	tell_end(arg);
}

void
gw_media_stored(gw_media_session *session)
{
	tell_end(session);
}

/* It has ended, for a reason: what is left to be done is the database's part. */
static void
finish(gw_media_session *session, const char *reason)
{
	http_loop *loop = session->media->gateway->loop;

	snprintf(session->reason, sizeof(session->reason), "%s", reason);
	http_loop_clear_timer(loop, &session->watchdog);
	http_loop_clear_timer(loop, &session->limit);
	gw_conduct_end(session);
	gw_play_end(&session->play);
	gw_tap_end(session->tap, "the call is over");
	session->tap = NULL;
	session->link = NULL;
	if (session->state != GW_MEDIA_OPEN)
		return; /* the database still has to say whose it was */
	gw_log(GW_INFO, "a stream has ended", "call %s: %s", session->call_id, session->reason);
	gw_media_store_end(session);
	session->state = GW_MEDIA_STORING;
	if (session->packets == NULL)
		tell_end(session);
}

void
gw_media_over(gw_media_session *session, const char *reason)
{
	if (session->link != NULL)
		finish(session, reason);
}

void
gw_media_end(gw_media_session *session, int code, const char *reason)
{
	const gw_media_peer *peer = session->peer;
	void *link = session->link;

	if (link == NULL)
		return;
	finish(session, reason);
	peer->close(link, code, reason);
}

/* ---------------------------------------------------------------------------
 * The beginning
 * ---------------------------------------------------------------------------
 */

/* For whom a tenant's packets are stored: a rule, as the database knows it for those without a token. */
static gw_media_tenant *
tenant_of(gw_media *media, const char *name)
{
	gw_media_tenant *t;

	for (t = media->tenants; t != NULL; t = t->next)
	{
		if (strcmp(t->name, name) == 0)
			return t;
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->identity = (gw_identity){ .standing = GW_GOOD,
								 .access = GW_ACCESS_INGEST,
								 .rule_access = "ingest",
								 .rule_tenant = t->name,
								 .users = 1 };
	t->next = media->tenants;
	media->tenants = t;
	return t;
}

static void
time_is_over(void *arg)
{
	gw_media_end(arg, 1000, "the longest duration of a call");
}

static void
watch(void *arg)
{
	gw_media_session *session = arg;
	int64_t now = http_clock();

	if (now - session->last_heard > SILENT_FOR)
	{
		gw_media_end(session, 1000, "no media for 15 seconds");
		return;
	}
	http_loop_set_timer(session->media->gateway->loop, &session->watchdog, now + WATCH_EVERY);
}

/* Not allowed, or the database does not say. */
static void
refuse(gw_media_session *session, int code, const char *why)
{
	void *link = session->link;

	gw_log(GW_WARNING, "a stream was refused", "%s: %s", session->peer->name, why);
	session->link = NULL;
	if (link != NULL)
		session->peer->close(link, code, why);
	free_session(session);
}

static void
open_session(gw_media_session *session, const PGresult *row)
{
	http_loop *loop = session->media->gateway->loop;
	size_t n = 0;
	unsigned char *opening;

	session->tenant = tenant_of(session->media, PQgetvalue(row, 0, 2));
	session->call_id = strdup(PQgetvalue(row, 0, 3));
	snprintf(session->id, sizeof(session->id), "%s", PQgetvalue(row, 0, 1));
	if (session->tenant == NULL || session->call_id == NULL)
	{
		refuse(session, BUSY, "out of memory");
		return;
	}
	session->state = GW_MEDIA_OPEN;
	if (PQgetvalue(row, 0, 4)[0] != 't')
		gw_media_store_keep(session, false);
	if (PQgetlength(row, 0, 7) > 0)
		gw_log(GW_WARNING, "a sentence has no audio", "call %s: %s", session->call_id,
			   PQgetvalue(row, 0, 7));
	if (session->link == NULL)
	{
		/* it has gone meanwhile */
		char reason[sizeof(session->reason)];

		memcpy(reason, session->reason, sizeof(reason));
		finish(session, reason);
		return;
	}
	gw_log(GW_INFO, "a stream has begun", "call %s of %s, by %s", session->call_id,
		   session->tenant->name, session->peer->name);
	http_loop_set_timer(loop, &session->limit,
						session->begun + atoll(PQgetvalue(row, 0, 5)) * HTTP_SECOND);
	opening = PQunescapeBytea((const unsigned char *) PQgetvalue(row, 0, 6), &n);
	gw_conduct_begin(session, (const char *) opening, n);
	PQfreemem(opening);
}

static void
begun(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	question *q = (question *) unit;
	gw_media_session *session = q->session;

	session->media->n_beginning--;
	free_question(q);
	if (outcome == GW_COMMITTED && PQgetisnull(result, 0, 0))
		open_session(session, result);
	else if (outcome == GW_COMMITTED)
		refuse(session, 1008, PQgetvalue(result, 0, 0));
	else if (outcome == GW_UNAVAILABLE || outcome == GW_UNKNOWN)
		refuse(session, BUSY, "the database cannot be reached");
	else
	{
		gw_log(GW_ERROR, "the database refused a stream", "%s",
			   PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
		refuse(session, BUSY, "the database refused it");
	}
}

static void
heard_of_ours(void *arg, const uint8_t *audio, size_t n)
{
	gw_media_session *session = arg;

	gw_media_store_agent(session, audio, n);
	gw_tap_agent(session->tap, session->play.encoding, audio, n);
}

static void
all_was_heard(void *arg)
{
	gw_conduct_said(arg);
}

gw_media_session *
gw_media_open(gw_media *media, const gw_media_peer *peer, void *link, mb_encoding encoding,
			  const gw_media_proof *proof)
{
	const char *texts[] = { peer->name, proof->token, proof->url, proof->signature, proof->params };
	gw_media_session *session = calloc(1, sizeof(*session));
	question *q = calloc(1, sizeof(*q));
	bool fine = session != NULL && q != NULL && gw_media_store_begin(session, encoding);
	struct timespec utc;

	for (int i = 0; i < 5 && fine; i++)
	{
		q->texts[i] = texts[i] == NULL ? NULL : strdup(texts[i]);
		q->unit.values[i] = q->texts[i];
		fine = texts[i] == NULL || q->texts[i] != NULL;
	}
	if (!fine)
	{
		if (session != NULL)
			gw_media_store_free(session);
		free(session);
		if (q != NULL)
			free_question(q);
		return NULL;
	}
	clock_gettime(CLOCK_REALTIME, &utc);
	session->media = media;
	session->number = media->made++;
	session->peer = peer;
	session->link = link;
	session->recorded = true; /* until it is known */
	session->begun = session->zero = session->last_heard = http_clock();
	session->zero_utc = (int64_t) utc.tv_sec * HTTP_SECOND + utc.tv_nsec / 1000;
	gw_play_begin(&session->play, media->gateway->loop, peer, link, encoding);
	session->play.heard = heard_of_ours;
	session->play.done = all_was_heard;
	session->play.arg = session;
	session->watchdog = (http_timer){ .due = watch, .arg = session };
	session->limit = (http_timer){ .due = time_is_over, .arg = session };
	http_loop_set_timer(media->gateway->loop, &session->watchdog, session->begun + WATCH_EVERY);
	session->next = media->sessions;
	media->sessions = session;
	media->n++;
	media->n_beginning++;
	q->media = media;
	q->session = session;
	q->unit.statement = &begin_media;
	q->unit.values[5] = mb_encoding_name(encoding);
	q->unit.n_parameters = 6;
	q->unit.done = begun;
	gw_media_ask(media, &q->unit);
	return session;
}

/* ---------------------------------------------------------------------------
 * What the peer tells
 * ---------------------------------------------------------------------------
 */

void
gw_media_heard(gw_media_session *session, const uint8_t *audio, size_t n, int64_t at, int64_t lost)
{
	int64_t now = http_clock();
	int64_t lasts = (int64_t) (n / mb_encoding_sample_size(session->play.encoding)) * HTTP_SECOND /
					GW_MEDIA_RATE;

	if (session->link == NULL)
		return;
	if (at < 0)
		at = now - session->zero - lasts > 0 ? now - session->zero - lasts : 0;
	else if (!session->clocked || now - session->zero < at + lasts)
	{
		/* what ends now ends at "at + lasts"; what came late was only delayed, so the earliest counts */
		session->zero_utc += now - (at + lasts) - session->zero;
		session->zero = now - (at + lasts);
		session->clocked = true;
	}
	session->last_heard = now;
	gw_media_store_caller(session, audio, n, at, lost);
	gw_tap_caller(session->tap, session->play.encoding, audio, n);
	gw_conduct_heard(session, audio, n, at);
}

bool
gw_media_is_key(const char *text)
{
	return text != NULL && strlen(text) == 1 && strchr("0123456789ABCD*#", *text) != NULL;
}

void
gw_media_digit(gw_media_session *session, char digit)
{
	if (session->link != NULL)
		gw_conduct_digit(session, digit);
}

void
gw_media_marked(gw_media_session *session, unsigned number)
{
	if (session->link == NULL)
		return;
	if (session->talk != NULL)
		gw_talk_marked(session->talk, number);
	gw_play_marked(&session->play, number);
}

void
gw_media_cleared(gw_media_session *session, uint64_t unheard)
{
	if (session->link == NULL)
		return;
	if (session->talk != NULL)
		gw_talk_cleared(session->talk, unheard);
	gw_play_cleared(&session->play, unheard);
}

void
gw_media_flow(gw_media_session *session, bool flows)
{
	if (session->link != NULL)
		gw_play_flow(&session->play, flows);
}

/* ---------------------------------------------------------------------------
 * All of it
 * ---------------------------------------------------------------------------
 */

gw_media *
gw_media_new(gw_gateway *gateway)
{
	gw_media *media = calloc(1, sizeof(*media));

	if (media != NULL)
	{
		media->gateway = gateway;
		media->from = UINT_MAX;
		media->store = (http_timer){ .due = gw_media_store_all, .arg = media };
	}
	return media;
}

http_client *
gw_media_client(gw_media *media)
{
	if (media->client == NULL)
		media->client = http_client_new(media->gateway->loop);
	return media->client;
}

int
gw_media_connections(const gw_media *media)
{
	return media->gateway->options->twilio_connections;
}

/* Without webhooks whoever never has a stream needs no connections for them: they are made with the first. */
void
gw_media_ask(gw_media *media, gw_unit *unit)
{
	if (media->gateway->webhooks != NULL)
	{
		gw_webhooks_ask(media->gateway->webhooks, unit);
		return;
	}
	if (media->database == NULL)
		media->database =
			gw_database_new(media->gateway->loop,
							&(gw_database_options){ .conninfo = media->gateway->options->database,
													.connections = gw_media_connections(media),
													.for_role = true });
	if (media->database != NULL)
		gw_database_add(media->database, unit);
	else
		unit->done(unit, GW_UNAVAILABLE, NULL, NULL);
}

/* The database is not there, and does not come back. */
static void
give_up(void *arg)
{
	gw_media *media = arg;

	for (gw_media_session *s = media->sessions; s != NULL; s = s->next)
		gw_log(GW_ERROR, "audio of a call was not stored", "call %s, %d packets",
			   s->call_id == NULL ? "" : s->call_id, s->n_packets);
	media->given_up = true;
}

void
gw_media_stop(gw_media *media)
{
	media->patience = (http_timer){ .due = give_up, .arg = media };
	http_loop_set_timer(media->gateway->loop, &media->patience, http_clock() + STOP_WITHIN);
	for (gw_media_session *s = media->sessions, *next; s != NULL; s = next)
	{
		next = s->next;
		/* who talks says goodbye */
		if (s->talk != NULL)
			gw_talk_stop(s->talk);
		else
			gw_media_end(s, 1001, "the gateway ended");
	}
}

int
gw_media_count(const gw_media *media)
{
	return media->given_up ? 0 : media->n + media->n_talks;
}

int
gw_media_talking(const gw_media *media)
{
	int n = 0;

	for (const gw_media_session *s = media->sessions; s != NULL; s = s->next)
		n += s->talk != NULL;
	return n;
}

int
gw_media_beginning(const gw_media *media)
{
	return media->n_beginning;
}

/* The connections are gone, and with them all that was asked. */
void
gw_media_free(gw_media *media)
{
	if (media->database != NULL)
		gw_database_free(media->database);
	http_loop_clear_timer(media->gateway->loop, &media->store);
	http_loop_clear_timer(media->gateway->loop, &media->patience);
	while (media->sessions != NULL)
		free_session(media->sessions); /* NOLINT(clang-analyzer-unix.Malloc): it is taken out */
	if (media->client != NULL)
	{
		gw_voices_free(media->client);
		http_client_free(media->client);
	}
	while (media->tenants != NULL)
	{
		gw_media_tenant *t = media->tenants;

		media->tenants = t->next;
		free(t);
	}
	free(media);
}
