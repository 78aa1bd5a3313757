/*
 * talk_hear.c
 *	  Who listens in a conversation: a service, and when it fails the next.
 */
#include <stdlib.h>
#include <string.h>

#include "core/audio/g711.h"
#include "log.h"
#include "talk_internal.h"

#define SAMPLES_BEFORE 3200 /* of a turn, before it is known to be one */
#define SAMPLES_KEPT 240000 /* of one */
#define SAMPLES_MORE 640	/* for which there is room besides, so that not each frame moves them */
#define TOLD_AGAIN 80000	/* of them, to a stream */
#define ROOM 28000			/* for them, at first */
#define LIVED                                                                                      \
	(10 * HTTP_SECOND) /* a service that was there for so long has not failed again and again */

/* ---------------------------------------------------------------------------
 * What was heard and is not known as text
 * ---------------------------------------------------------------------------
 */

void
talk_forget_audio(gw_talk *talk, size_t n)
{
	n = n < talk->n_recent ? n : talk->n_recent;
	talk->n_recent -= n;
	memmove(talk->recent, talk->recent + n, talk->n_recent);
	talk->asked_recent -= n < talk->asked_recent ? n : talk->asked_recent;
}

/* All but the last n samples. */
static void
keep_last(gw_talk *talk, size_t n)
{
	if (talk->n_recent > n)
		talk_forget_audio(talk, talk->n_recent - n);
}

static void
forget_what_is_known(gw_talk *talk)
{
	uint8_t *less;

	/* what a service says without being asked is of about all that was heard */
	if (talk->asked_final)
		talk_forget_audio(talk, talk->asked_recent);
	else if (talk->scribe == NULL)
		keep_last(talk, SAMPLES_BEFORE);
	talk->asked_final = false;
	if (talk->committed)
		talk->hearing = false;
	if (talk->hearing || talk->recent_room <= SAMPLES_BEFORE + SAMPLES_MORE)
		return;
	keep_last(talk, SAMPLES_BEFORE);
	less = realloc(talk->recent, SAMPLES_BEFORE + SAMPLES_MORE);
	if (less != NULL)
	{
		talk->recent = less;
		talk->recent_room = SAMPLES_BEFORE + SAMPLES_MORE;
	}
}

/* Room for n samples more; the oldest go when there is none. */
static void
make_room(gw_talk *talk, size_t n)
{
	size_t most = talk->hearing ? SAMPLES_KEPT : SAMPLES_BEFORE;
	size_t room = SAMPLES_BEFORE + SAMPLES_MORE;
	uint8_t *more;
	size_t left;

	if (talk->n_recent + n <= talk->recent_room)
		return;
	if (talk->hearing)
	{
		room = talk->recent_room < ROOM ? ROOM : 2 * talk->recent_room;
		room = room < most + SAMPLES_BEFORE ? room : most + SAMPLES_BEFORE;
	}
	more = room > talk->recent_room ? realloc(talk->recent, room) : NULL;
	if (more != NULL)
	{
		talk->recent = more;
		talk->recent_room = room;
		if (talk->n_recent + n <= room)
			return;
	}
	left = talk->recent_room > n ? talk->recent_room - n : 0;
	keep_last(talk, most < left ? most : left);
}

static void
remember(gw_talk *talk, const int16_t *samples, size_t n)
{
	if (n > SAMPLES_BEFORE)
	{
		samples += n - SAMPLES_BEFORE;
		n = SAMPLES_BEFORE;
	}
	make_room(talk, n);
	if (talk->n_recent + n > talk->recent_room)
		return;
	(void) mb_audio_encode(MB_MULAW, samples, n, talk->recent + talk->n_recent);
	talk->n_recent += n;
}

static void
tell_again(gw_talk *talk)
{
	int16_t samples[160];
	size_t first = talk->n_recent > TOLD_AGAIN ? talk->n_recent - TOLD_AGAIN : 0;

	for (size_t at = first; at < talk->n_recent && talk->ear != NULL;)
	{
		size_t n = 0;

		while (n < 160 && at < talk->n_recent)
			samples[n++] = mb_mulaw_decode(talk->recent[at++]);
		gw_ear_hear(talk->ear, samples, n);
	}
	if (talk->asked_final && talk->ear != NULL)
		gw_ear_finalize(talk->ear);
}

void
talk_hear(gw_talk *talk, const int16_t *samples, size_t n)
{
	if (talk->ear != NULL)
		gw_ear_hear(talk->ear, samples, n);
	remember(talk, samples, n);
}

void
talk_hear_finalize(gw_talk *talk)
{
	talk->asked_final = true;
	if (talk->scribe != NULL)
	{
		talk_scribe_ask(talk);
		return;
	}
	talk->asked_recent = talk->n_recent;
	if (talk->ear != NULL)
		gw_ear_finalize(talk->ear);
}

void
talk_hear_turn(gw_talk *talk, bool open, bool dismissed)
{
	talk->committed = !open;
	if (open)
		talk->hearing = true;
	else
	{
		if (dismissed || !talk->asked_final)
			forget_what_is_known(talk);
		talk_scribe_turn(talk);
	}
}

/* ---------------------------------------------------------------------------
 * The service
 * ---------------------------------------------------------------------------
 */

void
talk_heard_text(gw_talk *talk, mb_turn_input_kind kind, const char *text, size_t n, bool turn_over)
{
	if (n > 0)
		talk->ear_failures = 0;
	if (n > 0 && talk->ear != NULL)
		talk->stream_after =
			0; /* it is there again: when it fails the next time it is tried as soon */
	if (kind == MB_IN_FINAL)
	{
		forget_what_is_known(talk);
		talk->final_at = mb_turn_clock(&talk->turn);
	}
	talk_take(talk, &(mb_turn_input){
						.kind = kind, .text = text, .bytes = (uint32_t) n, .flag = turn_over });
}

static void
is_partial(void *arg, const char *text, size_t n)
{
	talk_heard_text(arg, MB_IN_PARTIAL, text, n, false);
}

static void
is_final(void *arg, const char *text, size_t n, bool turn_over)
{
	gw_talk *talk = arg;

	/* the engine measures ends of turns by itself: a pause that ends a service's piece is none yet */
	(void) turn_over;
	talk_heard_text(talk, MB_IN_FINAL, text, n,
					talk->listen[talk->ear_service]->form == GW_FORM_DEEPGRAM2);
}

static void
has_failed(void *arg, const char *why)
{
	gw_talk *talk = arg;

	talk->ear = NULL;
	talk_listener_failed(talk, why);
}

void
talk_listener_failed(gw_talk *talk, const char *why)
{
	gw_log(GW_WARNING, "a service that listens has failed", "call %s, %s: %s", talk->call_id,
		   talk->listen[talk->ear_service]->name, why);
	if (talk->session == NULL)
		return;
	talk_note(talk, GW_TALK_LISTEN, MB_NOTE_FALLBACK);
	talk->ear_failures = http_clock() - talk->ear_since < LIVED ? talk->ear_failures + 1 : 1;
	talk_listen_by(talk, talk->ear_service + 1);
}

static const gw_ear_events events = { .partial = is_partial,
									  .final = is_final,
									  .failed = has_failed };

/* False without memory. */
static bool
open_service(gw_talk *talk)
{
	gw_service *service = talk->listen[talk->ear_service];

	talk->ear_since = http_clock();
	if (service->form == GW_FORM_WHOLE)
		return talk_scribe_open(talk);
	talk->ear = gw_ear_open(talk->client, service, &events, talk);
	if (talk->ear != NULL && talk->hearing)
		tell_again(talk);
	return talk->ear != NULL;
}

void
talk_listen_by(gw_talk *talk, int service)
{
	/* in a ring: the last is no better than the first when it has failed, too */
	for (int i = 0; i < talk->n_listen && talk->ear_failures < 2 * talk->n_listen; i++)
	{
		talk->ear_service = (service + i) % talk->n_listen;
		if (open_service(talk))
			return;
	}
	/* nobody hears the caller: the menu works by keys */
	talk_give_up(talk);
}

void
talk_hear_begin(gw_talk *talk)
{
	talk_listen_by(talk, 0);
}

void
talk_hear_end(gw_talk *talk)
{
	if (talk->ear != NULL)
		gw_ear_close(talk->ear);
	talk->ear = NULL;
	talk_scribe_close(talk);
}
