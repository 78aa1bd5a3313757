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
#define TOLD_AGAIN 80000	/* of them, to a stream */
#define SLICE 160
#define LIVED                                                                                      \
	(10 * HTTP_SECOND) /* a service that was there for so long has not failed again and again */

/* ---------------------------------------------------------------------------
 * What was heard and is not known as text
 * ---------------------------------------------------------------------------
 */

static void
forget_before(gw_talk *talk, size_t place)
{
	if (place <= talk->recent_from)
		return;
	talk->recent_from = place;
	talk_audio_forget_before(&talk->recent, place);
}

void
talk_forget_asked(gw_talk *talk)
{
	forget_before(talk, talk->recent_asked);
}

/* All but the last n samples. */
static void
keep_last(gw_talk *talk, size_t n)
{
	if (talk->recent.length > n)
		forget_before(talk, talk->recent.length - n);
}

static void
forget_what_is_known(gw_talk *talk)
{
	/* what a service says without being asked is of about all that was heard */
	if (talk->asked_final)
		talk_forget_asked(talk);
	else if (talk->scribe == NULL)
		keep_last(talk, SAMPLES_BEFORE);
	talk->asked_final = false;
	if (talk->committed)
		talk->hearing = false;
	if (!talk->hearing)
		keep_last(talk, SAMPLES_BEFORE);
}

static void
remember(gw_talk *talk, const int16_t *samples, size_t n)
{
	uint8_t mulaw[SLICE];

	while (n > 0 && !talk->recent.failed)
	{
		size_t part = n < SLICE ? n : SLICE;

		(void) mb_audio_encode(MB_MULAW, samples, part, mulaw);
		talk_audio_add(&talk->recent, mulaw, part);
		samples += part;
		n -= part;
	}
	keep_last(talk, talk->hearing ? SAMPLES_KEPT : SAMPLES_BEFORE);
	if (!talk->recent.failed)
		return;
	/* what has a hole is of no use */
	talk_audio_forget(&talk->recent);
	talk->recent = (talk_audio){ 0 };
	talk->recent_from = talk->recent_asked = 0;
}

static void
tell_again(gw_talk *talk)
{
	int16_t samples[SLICE];
	size_t n = talk->recent.length - talk->recent_from;
	size_t at = n > TOLD_AGAIN ? talk->recent.length - TOLD_AGAIN : talk->recent_from;
	http_text part;

	while (talk->ear != NULL && (part = talk_audio_look(&talk->recent, at)).length > 0)
	{
		n = part.length < SLICE ? part.length : SLICE;
		(void) mb_audio_decode(MB_MULAW, (const uint8_t *) part.data, n, samples);
		gw_ear_hear(talk->ear, samples, n);
		at += n;
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
	talk->recent_asked = talk->recent.length;
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
					talk->plan->listen[talk->ear_service]->form == GW_FORM_DEEPGRAM2);
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
		   talk->plan->listen[talk->ear_service]->name, why);
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
	gw_service *service = talk->plan->listen[talk->ear_service];

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
	for (int i = 0; i < talk->plan->n_listen && talk->ear_failures < 2 * talk->plan->n_listen; i++)
	{
		talk->ear_service = (service + i) % talk->plan->n_listen;
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
