/*
 * talk.c
 *	  A conversation: what happens goes to the turn engine.  See talk_internal.h.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/utf8.h"
#include "log.h"
#include "talk_internal.h"

#define TICK_BEHIND (40 * HTTP_MILLISECOND) /* the last frame */

gw_talk_counts talk_counts;

const gw_talk_counts *
gw_talk_counted(void)
{
	return &talk_counts;
}

void
talk_note(gw_talk *talk, gw_talk_kind kind, mb_turn_note note)
{
	switch (note)
	{
		case MB_NOTE_FALLBACK:
			talk_counts.fallbacks[kind]++;
			break;
		case MB_NOTE_WHOLE:
			talk_counts.whole_utterances++;
			break;
		case MB_NOTE_HEDGE:
			talk_counts.hedges[kind]++;
			break;
		case MB_NOTE_HEDGE_WON:
			talk_counts.hedges_won[kind]++;
			break;
	}
	talk_take(talk, &(mb_turn_input){ .kind = MB_IN_NOTE, .ms = (int32_t) note });
}

int32_t
talk_now(const gw_talk *talk)
{
	return (int32_t) ((http_clock() - talk->zero) / HTTP_MILLISECOND);
}

/* ---------------------------------------------------------------------------
 * In and out
 * ---------------------------------------------------------------------------
 */

/* Keeps a decision for the end of the loop's turn. */
void
talk_decided(void *arg, const mb_turn_decision *decision)
{
	gw_talk *talk = arg;
	talk_decision *kept = malloc(sizeof(*kept) + decision->bytes + 1);

	if (kept == NULL)
		return;
	kept->decision = *decision;
	kept->next = NULL;
	if (decision->bytes > 0)
		memcpy(kept->text, decision->text, decision->bytes);
	kept->text[decision->bytes] = '\0';
	kept->decision.text = kept->text;
	*talk->last_decision = kept;
	talk->last_decision = &kept->next;
	http_loop_defer(talk->loop, &talk->act);
}

void
talk_take(gw_talk *talk, mb_turn_input *input)
{
	if (talk->ended)
		return;
	input->at = talk_now(talk);
	mb_turn_log_write(&talk->log, input);
	mb_turn_input_take(&talk->turn, input);
}

/* Time passes while no frames come. */
void
talk_tick(void *arg)
{
	gw_talk *talk = arg;

	talk_take(talk, &(mb_turn_input){ .kind = MB_IN_TICK });
	if (!talk->ended)
		http_loop_set_timer(talk->loop, &talk->tick, http_clock() + TALK_TICK);
}

void
talk_measure_frame(gw_talk *talk)
{
	if (talk->came_at != 0)
		talk_measure(TALK_FRAME_TO_DECISION, NULL,
					 (double) (http_clock() - talk->came_at) / HTTP_SECOND);
	talk->came_at = 0;
}

/* ---------------------------------------------------------------------------
 * What the session tells
 * ---------------------------------------------------------------------------
 */

void
gw_talk_heard(gw_talk *talk, const int16_t *samples, size_t n, int64_t at)
{
	talk->came_at = http_loop_came(talk->loop);
	http_loop_set_timer(talk->loop, &talk->tick, http_loop_now(talk->loop) + TICK_BEHIND);
	talk_hear(talk, samples, n);
	while (n > 0 && !talk->ended)
	{
		size_t part = 160 - talk->n_frame;
		mb_activity_frame frame;

		part = part < n ? part : n;
		if (talk->n_frame == 0)
			talk->frame_at = at;
		memcpy(talk->frame + talk->n_frame, samples, part * sizeof(*samples));
		talk->n_frame += part;
		samples += part;
		n -= part;
		at += (int64_t) part * HTTP_SECOND / GW_MEDIA_RATE;
		if (talk->n_frame < 160)
			break;
		talk->n_frame = 0;
		frame = mb_activity_feed(
			&talk->activity, talk->frame,
			talk->session == NULL ? -INFINITY : gw_play_level(&talk->session->play), talk->tone);
		talk->spoken += (frame.flags & (MB_FRAME_ACTIVE | MB_FRAME_ECHO)) == MB_FRAME_ACTIVE;
		talk_take(talk,
				  &(mb_turn_input){ .kind = MB_IN_FRAME,
									.flags = frame.flags,
									.level = frame.level,
									.media_ms = (uint32_t) (talk->frame_at / HTTP_MILLISECOND) +
												MB_TURN_FRAME_MS });
	}
	/* what was decided is carried out at the end of the loop's turn */
	if (!talk->act.deferred)
		talk_measure_frame(talk);
}

void
gw_talk_tone(gw_talk *talk, bool tone)
{
	talk->tone = tone;
}

void
gw_talk_digit(gw_talk *talk, char digit, bool from_tone)
{
	talk_take(talk, &(mb_turn_input){ .kind = MB_IN_DIGIT, .digit = digit, .flag = from_tone });
}

void
talk_mark_of(gw_talk *talk, unsigned number, uint32_t generation)
{
	talk->marks[talk->n_marks % TALK_MARKS].number = number;
	talk->marks[talk->n_marks++ % TALK_MARKS].generation = generation;
}

/* What comes back behind a clear tells of it. */
static void
measure_clear(gw_talk *talk)
{
	if (talk->cleared_at != 0)
		talk_measure(TALK_CLEAR_TO_BURST, NULL,
					 (double) (http_clock() - talk->cleared_at) / HTTP_SECOND);
	talk->cleared_at = 0;
}

void
gw_talk_marked(gw_talk *talk, unsigned number)
{
	for (unsigned i = 0; i < TALK_MARKS && i < talk->n_marks; i++)
	{
		if (talk->marks[i].number != number)
			continue;
		measure_clear(talk);
		talk_take(talk, &(mb_turn_input){ .kind = MB_IN_MARK,
										  .mark = number,
										  .generation = talk->marks[i].generation });
		return;
	}
}

void
gw_talk_cleared(gw_talk *talk, uint64_t unheard)
{
	measure_clear(talk);
	talk_take(talk, &(mb_turn_input){ .kind = MB_IN_QUEUE,
									  .ms = (int32_t) (unheard * 1000 / GW_MEDIA_RATE) });
}

void
gw_talk_say(gw_talk *talk, const char *text)
{
	if (!talk->stopping && !talk->leaving)
		talk_say_this(talk, MB_ITEM_PROMPT, text, TALK_GO_ON, NULL);
}

static void
count_turns(const mb_turn_counts *c)
{
	talk_counts.turns += c->turns;
	talk_counts.interruptions += c->interruptions;
	talk_counts.false_interruptions += c->false_interruptions;
	talk_counts.false_cutoffs += c->false_cutoffs;
	talk_counts.backchannels += c->backchannels;
	talk_counts.speculations += c->speculations;
	talk_counts.speculations_dropped += c->speculations_dropped;
	talk_counts.stale += c->stale;
}

void
gw_talk_over(gw_talk *talk)
{
	mb_turn_input stop = { .kind = MB_IN_STOP };

	if (talk->session == NULL)
		return;
	talk_counts.now--;
	count_turns(mb_turn_counted(&talk->turn));
	talk_counts.underruns += talk->session->play.underruns;
	if (!talk->ended)
	{
		talk_take(talk, &stop);
		snprintf(talk->reason, sizeof(talk->reason), "%s", mb_turn_reason_name(MB_WHY_STOPPED));
	}
	talk->ended = true;
	talk->session = NULL;
	talk_hear_end(talk);
	http_loop_clear_timer(talk->loop, &talk->tick);
	http_loop_clear_timer(talk->loop, &talk->wait);
	http_loop_clear_timer(talk->loop, &talk->leave);
	http_loop_clear_timer(talk->loop, &talk->textless);
	talk->users++;
	while (talk->replies != NULL)
		talk_reply_drop(talk->replies);
	while (talk->says != NULL)
	{
		talk_say *say = talk->says;

		talk->says = say->next;
		talk_say_free(say);
	}
	/* what was heard is still to be noted */
	http_loop_cancel(talk->loop, &talk->act);
	talk_act(talk);
	mb_turn_log_flush(&talk->log);
	talk_store_end(talk);
	talk_release(talk);
}
