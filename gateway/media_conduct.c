/*
 * media_conduct.c
 *	  What is decided in a call, and carried out: what is said and when, who is interrupted, what a key does, when it ends.
 *
 * It asks what a peer can and never which it is.  Whatever comes to decide more, hears what was said in gw_conduct_heard(), is told in
 * gw_conduct_said() that it has been heard, and acts by say(), interrupt() and leave().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/audio/g711.h"
#include "log.h"
#include "media_session.h"
#include "talk.h"

#define SAME_KEY (HTTP_SECOND / 2) /* its tone and its message are so far apart at most */
#define LEAVE_WITHIN (2 * HTTP_SECOND)
#define SLICE 4096 /* samples */

static const gw_statement press_media_key = {
	"press_media_key",
	"SELECT recorded, leave, says, array_to_string(unsaid, ' | ') FROM "
	"mulberry.press_media_key($1::bigint, $2)",
	false
};

/* A key on its way to the database; by the session's id, which may be gone when the answer comes. */
typedef struct press
{
	gw_unit unit;
	gw_media *media;
	char id[24];
	char digit[2];
} press;

/* ---------------------------------------------------------------------------
 * Deeds
 * ---------------------------------------------------------------------------
 */

/* Audio of the database, mu-law, becomes what the session is in. */
static void
say(gw_media_session *session, const char *mulaw, size_t n)
{
	mb_encoding encoding = session->play.encoding;
	size_t width = mb_encoding_sample_size(encoding);
	uint8_t *audio;

	if (n == 0)
		return;
	audio = malloc(n * width);
	if (audio == NULL)
		return;
	if (encoding == MB_MULAW)
		memcpy(audio, mulaw, n);
	else
	{
		for (size_t i = 0; i < n; i++)
		{
			int16_t sample = mb_mulaw_decode((uint8_t) mulaw[i]);

			(void) mb_audio_encode(encoding, &sample, 1, audio + i * width);
		}
	}
	gw_play_say(&session->play, http_blob_take(audio, n * width));
}

static void
interrupt(gw_media_session *session)
{
	if (!gw_play_is_saying(&session->play))
		return;
	session->interruptions++;
	gw_play_clear(&session->play, 0);
}

static void
leave_now(void *arg)
{
	gw_media_end(arg, 1000, "left by a key");
}

/* Ends the stream behind what is being said, or when that should have been heard. */
static void
leave(gw_media_session *session)
{
	int64_t left = (int64_t) gw_play_left(&session->play) * HTTP_SECOND / GW_MEDIA_RATE;

	session->leaving = true;
	if (!gw_play_is_saying(&session->play))
		left = -LEAVE_WITHIN;
	http_loop_set_timer(session->media->gateway->loop, &session->leave,
						http_clock() + left + LEAVE_WITHIN);
}

/* ---------------------------------------------------------------------------
 * Keys
 * ---------------------------------------------------------------------------
 */

static void
pressed(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	press *p = (press *) unit;
	gw_media_session *session = p->media->sessions;
	unsigned char *audio;
	size_t n = 0;

	while (session != NULL && strcmp(session->id, p->id) != 0)
		session = session->next;
	if (outcome != GW_COMMITTED)
		gw_log(GW_WARNING, "a key could not be taken", "session %s", p->id);
	else if (session != NULL && session->link != NULL)
	{
		if (!session->recorded && PQgetvalue(result, 0, 0)[0] == 't')
			gw_media_store_keep(session, true);
		if (PQgetlength(result, 0, 3) > 0)
			gw_log(GW_WARNING, "a sentence has no audio", "call %s: %s", session->call_id,
				   PQgetvalue(result, 0, 3));
		audio = PQunescapeBytea((const unsigned char *) PQgetvalue(result, 0, 2), &n);
		if (audio != NULL)
			say(session, (const char *) audio, n);
		PQfreemem(audio);
		if (PQgetvalue(result, 0, 1)[0] == 't')
			leave(session);
	}
	free(p);
}

static void
take_key(gw_media_session *session, char digit)
{
	press *p = calloc(1, sizeof(*p));

	session->digits++;
	/* whoever presses a key has heard enough */
	interrupt(session);
	if (p == NULL || session->leaving)
	{
		free(p);
		return;
	}
	p->media = session->media;
	memcpy(p->id, session->id, sizeof(p->id));
	p->digit[0] = digit;
	p->unit.statement = &press_media_key;
	p->unit.n_parameters = 2;
	p->unit.values[0] = p->id;
	p->unit.values[1] = p->digit;
	p->unit.done = pressed;
	gw_media_ask(session->media, &p->unit);
}

/* A tone, of a peer that may tell the key as well, before or behind it: then it is the same. */
static void
hear_tone(void *arg, const mb_dtmf_event *event)
{
	gw_media_session *session = arg;
	int64_t now = http_clock();

	if (session->state != GW_MEDIA_OPEN)
		return;
	session->tone = event->digit;
	session->tone_at = now;
	if (session->talk != NULL)
		gw_talk_digit(session->talk, event->digit, true);
	else
		take_key(session, event->digit);
}

void
gw_conduct_digit(gw_media_session *session, char digit)
{
	size_t early = strlen(session->early);
	bool heard = session->dtmf != NULL && session->tone == digit &&
				 http_clock() - session->tone_at < SAME_KEY;

	if (session->state == GW_MEDIA_BEGINNING)
	{
		if (early < sizeof(session->early) - 1)
			session->early[early] = digit;
		return;
	}
	/* from now on it is believed and not the sound, which in a conversation still is no speech */
	if (session->talk == NULL)
	{
		free(session->dtmf);
		session->dtmf = NULL;
	}
	if (session->talk != NULL)
		gw_talk_digit(session->talk, digit, false);
	else if (!heard)
		take_key(session, digit);
}

void
gw_conduct_press(gw_media_session *session, char digit)
{
	take_key(session, digit);
}

/* ---------------------------------------------------------------------------
 * What happens
 * ---------------------------------------------------------------------------
 */

static void
watch_tones(gw_media_session *session)
{
	session->dtmf = malloc(mb_dtmf_size(GW_MEDIA_RATE));
	if (session->dtmf != NULL)
		(void) mb_dtmf_init(session->dtmf, GW_MEDIA_RATE,
							&(mb_dtmf_options){ .floor_dbm0 = MB_DTMF_DEFAULT_FLOOR_DBM0,
												.on_digit = hear_tone,
												.arg = session });
}

static void
press_early_keys(gw_media_session *session)
{
	for (const char *key = session->early; *key != '\0'; key++)
		gw_conduct_digit(session, *key);
}

/* A question that is under way: does the tenant's agent talk in this call? */
typedef struct asking
{
	gw_unit unit;
	gw_media *media;
	char id[24];
	char *call_id;
	char *tenant;
	char *abilities;
	char *opening;
	size_t n;
} asking;

static void
may_talk(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	asking *a = (asking *) unit;
	gw_media_session *session = a->media->sessions;

	(void) identity;
	while (session != NULL && strcmp(session->id, a->id) != 0)
		session = session->next;
	if (outcome != GW_COMMITTED)
		gw_log(GW_WARNING, "a conversation could not be begun", "call %s: %s", a->call_id,
			   gw_complaint_of(result));
	if (session != NULL && session->link != NULL)
	{
		if (outcome == GW_COMMITTED)
			session->talk = gw_talk_begin(session, PQgetvalue(result, 0, 0),
										  PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 2));
		if (session->talk != NULL && session->dtmf == NULL)
			watch_tones(session);
		if (session->talk == NULL)
			say(session, a->opening, a->n);
		press_early_keys(session);
	}
	free(a->call_id);
	free(a->tenant);
	free(a->abilities);
	free(a->opening);
	free(a);
}

/* False: nobody can be asked. */
static bool
ask_whether_to_talk(gw_media_session *session, const char *opening, size_t n)
{
	static const gw_statement begin_conversation = {
		"begin_conversation",
		"SELECT to_jsonb(numbers), to_jsonb(lists), plan FROM mulberry.begin_conversation($1, "
		"$2::text[], $3)",
		false
	};
	const gw_media_peer *peer = session->peer;
	asking *a = calloc(1, sizeof(*a));
	char abilities[80];
	size_t last;

	if (a == NULL)
		return false;
	snprintf(abilities, sizeof(abilities), "{%s%s%s%s%s", peer->clear != NULL ? "clear," : "",
			 peer->pause != NULL ? "pause," : "", peer->mark != NULL ? "marks," : "",
			 peer->tells_unheard ? "exact_queue," : "", peer->keeps_no_time ? "we_pace," : "");
	last = strlen(abilities) - 1;
	snprintf(abilities + last + (abilities[last] != ','), 2, "}");
	a->media = session->media;
	memcpy(a->id, session->id, sizeof(a->id));
	a->call_id = strdup(session->call_id);
	a->tenant = strdup(session->tenant->name);
	a->abilities = strdup(abilities);
	a->opening = malloc(n + 1);
	if (a->call_id == NULL || a->tenant == NULL || a->abilities == NULL || a->opening == NULL)
	{
		free(a->call_id);
		free(a->tenant);
		free(a->abilities);
		free(a->opening);
		free(a);
		return false;
	}
	memcpy(a->opening, opening, n);
	a->n = n;
	a->unit.statement = &begin_conversation;
	a->unit.n_parameters = 3;
	a->unit.values[0] = a->call_id;
	a->unit.values[1] = a->abilities;
	a->unit.values[2] = a->tenant;
	a->unit.done = may_talk;
	gw_media_ask(session->media, &a->unit);
	return true;
}

void
gw_conduct_begin(gw_media_session *session, const char *opening, size_t n)
{
	session->leave = (http_timer){ .due = leave_now, .arg = session };
	if (!session->peer->tells_digits)
		watch_tones(session);
	if (!session->peer->listens_only && ask_whether_to_talk(session, opening, n))
		return;
	say(session, opening, n);
	press_early_keys(session);
}

void
gw_conduct_heard(gw_media_session *session, const uint8_t *audio, size_t n, int64_t at)
{
	size_t width = mb_encoding_sample_size(session->play.encoding);
	int16_t samples[SLICE];

	for (size_t from = 0; from < n && (session->dtmf != NULL || session->talk != NULL);)
	{
		size_t part = n - from < SLICE * width ? n - from : SLICE * width;

		if (mb_audio_decode(session->play.encoding, audio + from, part, samples) != MB_OK)
			return;
		if (session->dtmf != NULL)
			mb_dtmf_feed(session->dtmf, samples, part / width);
		if (session->talk != NULL)
		{
			gw_talk_tone(session->talk,
						 session->dtmf != NULL && mb_dtmf_in_progress(session->dtmf));
			gw_talk_heard(session->talk, samples, part / width,
						  at + (int64_t) (from / width) * HTTP_SECOND / GW_MEDIA_RATE);
		}
		from += part;
	}
}

void
gw_conduct_said(gw_media_session *session)
{
	if (session->leaving)
		http_loop_set_timer(session->media->gateway->loop, &session->leave, http_clock());
}

void
gw_conduct_end(gw_media_session *session)
{
	gw_talk *talk = session->talk;

	http_loop_clear_timer(session->media->gateway->loop, &session->leave);
	free(session->dtmf);
	session->dtmf = NULL;
	session->talk = NULL;
	if (talk != NULL)
		gw_talk_over(talk);
}
