/*
 * talk_hear.c
 *	  Who listens in a conversation: a service, and when it fails the next.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "talk_internal.h"

static void
hear_text(gw_talk *talk, mb_turn_input_kind kind, const char *text, size_t n, bool turn_over)
{
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
	listen_by(talk, talk->ear_service + 1);
}

static const gw_ear_events events = { .partial = is_partial,
									  .final = is_final,
									  .failed = has_failed };

static void
listen_by(gw_talk *talk, int service)
{
	for (talk->ear_service = service; talk->ear_service < talk->n_listen; talk->ear_service++)
	{
		talk->ear = gw_ear_open(talk->client, talk->listen[talk->ear_service], &events, talk);
		if (talk->ear != NULL)
			return;
	}
	/* nobody hears the caller: the menu works by keys */
	talk->ear_service = 0;
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
