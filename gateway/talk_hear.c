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
#define SAMPLES_KEPT 28000	/* of one */
#define SAMPLES_MORE 640	/* for which there is room besides, so that not each frame moves them */
#define LIVED                                                                                      \
	(10 * HTTP_SECOND) /* a service that was there for so long has not failed again and again */

/* ---------------------------------------------------------------------------
 * What was heard and is not known as text
 * ---------------------------------------------------------------------------
 */

static void
drop(gw_talk *talk, size_t n)
{
	n = n < talk->n_recent ? n : talk->n_recent;
	talk->n_recent -= n;
	memmove(talk->recent, talk->recent + n, talk->n_recent);
	talk->asked_recent -= n < talk->asked_recent ? n : talk->asked_recent;
}

static void
forget_what_is_known(gw_talk *talk)
{
	uint8_t *less;

	if (talk->asked_final)
		drop(talk, talk->asked_recent);
	talk->asked_final = false;
	if (talk->committed)
		talk->hearing = false;
	if (talk->hearing || talk->recent_room <= SAMPLES_BEFORE + SAMPLES_MORE)
		return;
	if (talk->n_recent > SAMPLES_BEFORE)
		drop(talk, talk->n_recent - SAMPLES_BEFORE);
	less = realloc(talk->recent, SAMPLES_BEFORE + SAMPLES_MORE);
	if (less != NULL)
	{
		talk->recent = less;
		talk->recent_room = SAMPLES_BEFORE + SAMPLES_MORE;
	}
}

static void
remember(gw_talk *talk, const int16_t *samples, size_t n)
{
	size_t most = talk->hearing ? SAMPLES_KEPT : SAMPLES_BEFORE;

	if (n > SAMPLES_BEFORE)
	{
		samples += n - SAMPLES_BEFORE;
		n = SAMPLES_BEFORE;
	}
	if (talk->n_recent + n > talk->recent_room && most + SAMPLES_MORE > talk->recent_room)
	{
		uint8_t *more = realloc(talk->recent, most + SAMPLES_MORE);

		if (more != NULL)
		{
			talk->recent = more;
			talk->recent_room = most + SAMPLES_MORE;
		}
	}
	if (talk->n_recent + n > talk->recent_room)
		drop(talk, talk->n_recent + n - (most < talk->recent_room ? most : talk->recent_room));
	if (talk->n_recent + n > talk->recent_room)
		return;
	(void) mb_audio_encode(MB_MULAW, samples, n, talk->recent + talk->n_recent);
	talk->n_recent += n;
}

static void
tell_again(gw_talk *talk)
{
	int16_t samples[160];

	for (size_t at = 0; at < talk->n_recent && talk->ear != NULL;)
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
	else if (dismissed || !talk->asked_final)
		forget_what_is_known(talk);
}

/* ---------------------------------------------------------------------------
 * The service
 * ---------------------------------------------------------------------------
 */

static void
hear_text(gw_talk *talk, mb_turn_input_kind kind, const char *text, size_t n, bool turn_over)
{
	if (n > 0)
		talk->ear_failures = 0;
	if (kind == MB_IN_FINAL)
		forget_what_is_known(talk);
	if (kind == MB_IN_FINAL)
		talk->final_at = mb_turn_clock(&talk->turn);
	talk_take(talk, &(mb_turn_input){
						.kind = kind, .text = text, .bytes = (uint32_t) n, .flag = turn_over });
}

static void
is_partial(void *arg, const char *text, size_t n)
{
	hear_text(arg, MB_IN_PARTIAL, text, n, false);
}

static void
is_final(void *arg, const char *text, size_t n, bool turn_over)
{
	/* the engine measures ends of turns by itself: a pause that ends a service's piece is none yet */
	(void) turn_over;
	hear_text(arg, MB_IN_FINAL, text, n,
			  ((gw_talk *) arg)->listen[((gw_talk *) arg)->ear_service]->form == GW_FORM_DEEPGRAM2);
}

static void listen_by(gw_talk *talk, int service);

static void
has_failed(void *arg, const char *why)
{
	gw_talk *talk = arg;

	talk->ear = NULL;
	gw_log(GW_WARNING, "a service that listens has failed", "call %s, %s: %s", talk->call_id,
		   talk->listen[talk->ear_service]->name, why);
	if (talk->session == NULL)
		return;
	talk_count_fallback();
	talk->ear_failures = http_clock() - talk->ear_since < LIVED ? talk->ear_failures + 1 : 1;
	listen_by(talk, talk->ear_service + 1);
}

static const gw_ear_events events = { .partial = is_partial,
									  .final = is_final,
									  .failed = has_failed };

static void
listen_by(gw_talk *talk, int service)
{
	/* in a ring: the last is no better than the first when it has failed, too */
	for (int i = 0; i < talk->n_listen && talk->ear_failures < 2 * talk->n_listen; i++)
	{
		talk->ear_service = (service + i) % talk->n_listen;
		talk->ear_since = http_clock();
		talk->ear = gw_ear_open(talk->client, talk->listen[talk->ear_service], &events, talk);
		if (talk->ear != NULL)
		{
			if (talk->hearing)
				tell_again(talk);
			return;
		}
	}
	/* nobody hears the caller: the menu works by keys */
	talk_give_up(talk);
}

void
talk_hear_begin(gw_talk *talk)
{
	listen_by(talk, 0);
}

void
talk_hear_end(gw_talk *talk)
{
	if (talk->ear != NULL)
		gw_ear_close(talk->ear);
	talk->ear = NULL;
}
