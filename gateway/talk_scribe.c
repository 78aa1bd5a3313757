/*
 * talk_scribe.c
 *	  Listening by whole utterances: where no service with a stream can be had, what was said since the turn began, and a little before it,
 *	  is sent as a file when the turn seems to be over.
 *
 * What is said while the text is awaited is the next utterance of the turn.  Between turns a stream is tried again.
 */
#include <stdlib.h>
#include <string.h>

#include "talk_internal.h"

#define STREAM_AGAIN (30 * HTTP_SECOND)
#define STREAM_AGAIN_AT_MOST (240 * HTTP_SECOND)
#define BUSY_AGAIN HTTP_SECOND
#define LEAST 5 /* frames with speech: silence makes services invent sentences */

static bool
has_stream(const gw_talk *talk)
{
	for (int i = 0; i < talk->plan->n_listen; i++)
	{
		if (talk->plan->listen[i]->form != GW_FORM_WHOLE)
			return true;
	}
	return false;
}

static void
ask(gw_talk *talk)
{
	program_text audio = { 0 };
	http_text part;

	for (size_t at = talk->recent_from; (part = talk_audio_look(&talk->recent, at)).length > 0;
		 at += part.length)
		program_text_add(&audio, part.data, part.length);
	talk->recent_asked = talk->recent.length;
	talk->spoken = 0;
	talk_note(talk, GW_TALK_LISTEN, MB_NOTE_WHOLE);
	gw_scribe_ask(talk->scribe, (const uint8_t *) audio.data, audio.length);
	program_text_free(&audio);
}

/* Adds to the text of the utterance, with a space between. */
static void
add_text(program_text *utterance, const char *text, size_t n)
{
	if (n > 0 && utterance->length > 0)
		program_text_puts(utterance, " ");
	program_text_add(utterance, text, n);
}

static void
tell(gw_talk *talk)
{
	program_text *utterance = &talk->utterance;

	talk_heard_text(talk, MB_IN_FINAL, utterance->length == 0 ? "" : utterance->data,
					utterance->length, false);
	utterance->length = 0;
}

static void
is_text(void *arg, const char *text, size_t n)
{
	gw_talk *talk = arg;

	add_text(&talk->utterance, text, n);
	talk_forget_asked(talk);
	/* he has gone on, whether the end of that is asked for by now or not: half a turn would be answered, unless it is over */
	if (talk->spoken >= LEAST && talk->more_of_it)
		ask(talk);
	else if (talk->spoken < LEAST || talk->committed)
		tell(talk);
	talk->more_of_it = false;
}

static void
has_failed(void *arg, const char *why)
{
	gw_talk *talk = arg;

	talk->scribe = NULL;
	talk_scribe_close(talk);
	/* the next one is asked for the rest */
	if (talk->utterance.length > 0)
		talk_take(talk, &(mb_turn_input){ .kind = MB_IN_FINAL,
										  .text = talk->utterance.data,
										  .bytes = (uint32_t) talk->utterance.length });
	talk->utterance.length = 0;
	talk->more_of_it = false;
	talk_listener_failed(talk, why);
}

static const gw_scribe_events events = { .text = is_text, .failed = has_failed };

bool
talk_scribe_open(gw_talk *talk)
{
	talk->scribe =
		gw_scribe_open(talk->client, talk->plan->listen[talk->ear_service], &events, talk);
	if (talk->scribe == NULL)
		return false;
	if (has_stream(talk))
	{
		talk->stream_after = talk->stream_after == 0					 ? STREAM_AGAIN
							 : talk->stream_after < STREAM_AGAIN_AT_MOST ? 2 * talk->stream_after
																		 : talk->stream_after;
		http_loop_set_timer(talk->loop, &talk->stream_again, http_clock() + talk->stream_after);
	}
	if (talk->hearing && talk->asked_final)
		ask(talk);
	return true;
}

void
talk_scribe_ask(gw_talk *talk)
{
	if (gw_scribe_is_busy(talk->scribe))
		talk->more_of_it = true;
	else if (talk->spoken < LEAST)
		talk_heard_text(talk, MB_IN_FINAL, "", 0, false);
	else
		ask(talk);
}

void
talk_scribe_turn(gw_talk *talk)
{
	/* what sounded like speech was none */
	if (talk->utterance.length > 0 && (talk->scribe == NULL || !gw_scribe_is_busy(talk->scribe)))
		tell(talk);
}

void
talk_scribe_close(gw_talk *talk)
{
	if (talk->scribe != NULL)
		gw_scribe_close(talk->scribe);
	talk->scribe = NULL;
	http_loop_clear_timer(talk->loop, &talk->stream_again);
}

void
talk_stream_again(void *arg)
{
	gw_talk *talk = arg;

	if (talk->hearing)
	{
		http_loop_set_timer(talk->loop, &talk->stream_again, http_clock() + BUSY_AGAIN);
		return;
	}
	talk_scribe_close(talk);
	talk->ear_failures = 0;
	talk_listen_by(talk, 0);
}
