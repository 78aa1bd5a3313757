/*
 * talk_decide.c
 *	  What the turn engine decides, carried out: who is heard, what is said, where a call goes on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/utf8.h"
#include "log.h"
#include "talk_internal.h"

#define TEXT_WITHIN (3 * HTTP_SECOND) /* of the end of a turn that has none */

/* ---------------------------------------------------------------------------
 * What is said that is no reply
 * ---------------------------------------------------------------------------
 */

void
talk_say_free(talk_say *say)
{
	for (int i = 0; i < say->n; i++)
		free(say->texts[i]);
	free(say);
}

void
talk_announce(gw_talk *talk, talk_say *say)
{
	*talk->last_say = say;
	talk->last_say = &say->next;
	talk_take(talk, &(mb_turn_input){ .kind = MB_IN_SAY, .item_kind = say->kinds[0] });
}

void
talk_say_this(gw_talk *talk, mb_item_kind kind, const char *text, talk_after after,
			  const talk_way *way)
{
	talk_say *say = calloc(1, sizeof(*say));

	if (say == NULL)
		return;
	say->after = after;
	if (way != NULL)
		say->way = *way;
	say->kinds[0] = kind;
	say->texts[say->n++] = strdup(text == NULL ? "" : text);
	talk_announce(talk, say);
}

const char *
talk_text(const gw_talk *talk, const char *name)
{
	const char *text = json_string_value(json_object_get(talk->plan->texts, name));

	return text == NULL ? "" : text;
}

/* Speaks a sentence as a generation of the engine's. */
static void
say_now(gw_talk *talk, uint32_t generation, mb_item_kind kind, const char *text,
		const talk_way *way)
{
	talk_reply *reply = talk_reply_new(talk, generation, kind);

	if (reply == NULL)
		return;
	reply->committed = true;
	if (way != NULL)
	{
		reply->after = TALK_LEAVE;
		reply->way = *way;
	}
	talk_speech_add(reply, kind, text, strlen(text));
	reply->complete = true;
	talk_speech_go_on(reply);
}

/* In turn, which the caller may be in the middle of. */
static void
say_next(gw_talk *talk, uint32_t generation, uint32_t turn)
{
	talk_say *say = talk->says;
	talk_reply *reply = talk_reply_new(talk, generation, MB_ITEM_PROMPT);

	if (say != NULL)
	{
		talk->says = say->next;
		if (talk->says == NULL)
			talk->last_say = &talk->says;
	}
	if (reply != NULL)
	{
		talk->turns_of[generation % TALK_GENERATIONS] = turn;
		reply->committed = true;
		reply->complete = true;
		if (say != NULL)
		{
			reply->after = say->after;
			reply->way = say->way;
		}
		for (int i = 0; say != NULL && i < say->n; i++)
			talk_speech_add(reply, say->kinds[i], say->texts[i], strlen(say->texts[i]));
		talk_speech_go_on(reply);
	}
	if (say != NULL)
		talk_say_free(say);
}

/* ---------------------------------------------------------------------------
 * The end
 * ---------------------------------------------------------------------------
 */

static const talk_way to_the_menu = { .how = "menu" };

void
talk_give_up(gw_talk *talk)
{
	if (talk->leaving || talk->stopping)
		return;
	talk_counts.apologies++;
	talk_say_this(talk, MB_ITEM_PROMPT, talk_text(talk, "apology"), TALK_LEAVE, &to_the_menu);
}

void
talk_waited(void *arg)
{
	talk_take(arg, &(mb_turn_input){ .kind = MB_IN_HOLD, .flag = false });
}

/* All of a generation was heard. */
static void
go_on_after(gw_talk *talk, uint32_t generation)
{
	talk_reply *reply = talk_reply_find(talk, generation);
	talk_after after = reply == NULL ? TALK_GO_ON : reply->after;

	if (after == TALK_LEAVE)
	{
		talk_way way = reply->way;

		/* which takes all replies along */
		talk_leave(talk, &way, NULL);
		reply = talk_reply_find(talk, generation);
	}
	else if (after == TALK_WAIT)
	{
		talk_take(talk, &(mb_turn_input){ .kind = MB_IN_HOLD, .flag = true });
		http_loop_set_timer(talk->loop, &talk->wait,
							http_clock() + reply->wait_seconds * HTTP_SECOND);
	}
	if (reply != NULL)
		talk_reply_drop(reply);
}

/* ---------------------------------------------------------------------------
 * Keys
 * ---------------------------------------------------------------------------
 */

static void
take_digit(gw_talk *talk, char digit)
{
	size_t n = strlen(talk->collected);

	if (talk->session == NULL)
		return;
	if (talk->collecting == 0)
	{
		gw_conduct_press(talk->session, digit);
		return;
	}
	if (digit != '#')
	{
		talk->collected[n++] = digit;
		talk->collected[n] = '\0';
		talk->collecting--;
	}
	if (digit == '#' || talk->collecting == 0)
	{
		talk->collecting = 0;
		if (talk->collect_name[0] != '\0')
			talk_note_attribute(talk, talk->collect_name, talk->collected);
		talk_take(talk, &(mb_turn_input){ .kind = MB_IN_EXPECT });
		/* what was entered is what the caller has said */
		talk_take(talk, &(mb_turn_input){ .kind = MB_IN_FINAL,
										  .flag = true,
										  .text = talk->collected,
										  .bytes = (uint32_t) strlen(talk->collected) });
	}
}

void
talk_collect(gw_talk *talk, const talk_reply *reply)
{
	talk->collected[0] = '\0';
	talk->collecting = reply->digits;
	snprintf(talk->collect_name, sizeof(talk->collect_name), "%s", reply->name);
	talk_take(talk, &(mb_turn_input){ .kind = MB_IN_EXPECT, .ms = reply->digits });
}

/* ---------------------------------------------------------------------------
 * Decisions
 * ---------------------------------------------------------------------------
 */

static void
commit(gw_talk *talk, const mb_turn_decision *d)
{
	talk_reply *reply = talk_reply_find(talk, d->generation);
	bool awaited = talk->asked_final;

	talk->current_turn = d->turn;
	talk_hear_turn(talk, false, false);
	talk->speech_end = d->end;
	talk_measure(TALK_EOU_DELAY, NULL, d->delay / 1000.0);
	if (talk->final_at > d->end)
		talk_measure(TALK_TRANSCRIPTION_DELAY,
					 talk->ear == NULL && talk->scribe == NULL
						 ? NULL
						 : talk->plan->listen[talk->ear_service]->name,
					 (talk->final_at - d->end) / 1000.0);
	if (talk->collecting > 0)
	{
		/* he has said something instead */
		talk->collecting = 0;
		talk_take(talk, &(mb_turn_input){ .kind = MB_IN_EXPECT });
	}
	talk_note_caller(talk, talk->current_turn, d->text, d->bytes);
	if (talk->ear == NULL && talk->scribe == NULL)
	{
		/* nobody has heard the end of it, nor hears what follows: the turn has put an end to the apology for that */
		say_now(talk, d->generation, MB_ITEM_PROMPT, talk_text(talk, "apology"), &to_the_menu);
		return;
	}
	if (reply == NULL)
		reply = talk_reply_new(talk, d->generation, MB_ITEM_REPLY);
	if (reply == NULL)
		return;
	talk->turns_of[d->generation % TALK_GENERATIONS] = d->turn;
	reply->committed_at = http_clock();
	if (reply->said != NULL)
		talk_reply_commit(reply);
	else if (d->bytes == 0 && awaited)
	{
		/* whoever listens is late, or another one has taken his place: there will be a text */
		talk->textless_reply = d->generation;
		http_loop_set_timer(talk->loop, &talk->textless, http_clock() + TEXT_WITHIN);
	}
	else
		talk_reply_ask(reply, d->text, d->bytes, true);
}

/* A text that came too late for the turn, or of one that is not over: it is asked with when nothing was asked for want of one. */
static void
amend(gw_talk *talk, const mb_turn_decision *d)
{
	talk_reply *reply = talk_reply_find(talk, talk->textless_reply);

	talk_note_caller(talk, d->turn, d->text, d->bytes);
	if (reply != NULL && reply->said == NULL && d->turn == talk->current_turn && d->bytes > 0)
	{
		http_loop_clear_timer(talk->loop, &talk->textless);
		talk_reply_ask(reply, d->text, d->bytes, true);
	}
}

void
talk_asks_without_text(void *arg)
{
	gw_talk *talk = arg;
	talk_reply *reply = talk_reply_find(talk, talk->textless_reply);

	if (reply != NULL && reply->said == NULL)
		talk_reply_ask(reply, "", 0, true);
}

static void
pause(gw_talk *talk, const mb_turn_decision *d)
{
	gw_media_play *play = &talk->session->play;

	talk->paused = (int) d->how + 1;
	talk->paused_generation = d->generation;
	switch (d->how)
	{
		case MB_PAUSE_HOLD:
		case MB_PAUSE_STARVE:
			gw_play_pause(play, true);
			break;
		case MB_PAUSE_CLEAR:
			talk->cleared_at = http_clock();
			talk_mark_of(talk, d->mark, d->generation);
			gw_play_clear(play, d->mark);
			break;
		case MB_PAUSE_PEER:
			gw_play_pause(play, true);
			if (play->peer->pause != NULL)
				play->peer->pause(play->link, true);
			break;
	}
}

static void
resume(gw_talk *talk, const mb_turn_decision *d)
{
	gw_media_play *play = &talk->session->play;
	bool by_peer = talk->paused == MB_PAUSE_PEER + 1;

	talk->paused = 0;
	if (by_peer && play->peer->pause != NULL)
		play->peer->pause(play->link, false);
	if (!by_peer)
	{
		gw_play_forget(play);
		talk_speech_resume(talk, d->generation, d->item, d->ms);
	}
	gw_play_pause(play, false);
}

static void
clear(gw_talk *talk, const mb_turn_decision *d)
{
	gw_media_play *play = &talk->session->play;

	if (talk->paused == MB_PAUSE_PEER + 1 && play->peer->pause != NULL)
		play->peer->pause(play->link, false);
	talk->paused = 0;
	talk->session->interruptions++;
	talk->cleared_at = http_clock();
	talk_mark_of(talk, d->mark, d->generation);
	gw_play_clear(play, d->mark);
	gw_play_pause(play, false);
}

static void
cancel(gw_talk *talk, const mb_turn_decision *d)
{
	talk_reply *reply = talk_reply_find(talk, d->generation);
	gw_media_play *play;

	if (reply != NULL)
		talk_reply_drop(reply);
	if (talk->session == NULL)
		return;
	play = &talk->session->play;
	if (talk->playing == d->generation)
	{
		play->goes_on = false;
		gw_play_forget(play);
	}
	else if (talk->paused == 0 || talk->paused_generation != d->generation)
		return; /* one that was prepared and never began has nothing to do with what plays, unless it was held back */
	if (talk->paused == MB_PAUSE_PEER + 1 && play->peer->pause != NULL)
		play->peer->pause(play->link, false);
	talk->paused = 0;
	gw_play_pause(play, false);
}

/* Something to fill the time with, before what the engine waits for. */
static void
fill(gw_talk *talk, uint32_t generation)
{
	talk_reply *reply = talk_reply_find(talk, generation);
	const char *text = talk_text(talk, "filler");

	if (reply == NULL || *text == '\0')
		return;
	talk_counts.fillers++;
	talk_speech_put_first(reply, MB_ITEM_FILLER, text, strlen(text));
	talk_speech_go_on(reply);
}

static void
speak_prompt(gw_talk *talk, const mb_turn_decision *d)
{
	const json_t *all = json_object_get(talk->plan->texts, "silence");
	size_t n = json_array_size(all);
	const char *text;

	talk_counts.silence_prompts++;
	text = n == 0 ? NULL
				  : json_string_value(json_array_get(
						all, d->ms > 0 && (size_t) d->ms <= n ? (size_t) d->ms - 1 : n - 1));
	say_now(talk, d->generation, MB_ITEM_PROMPT, text == NULL ? "" : text, NULL);
}

static void
carry_out_said(gw_talk *talk, const mb_turn_decision *d)
{
	switch (d->kind)
	{
		case MB_DO_SPECULATE:
		{
			talk_reply *reply =
				talk->plan->speculates ? talk_reply_new(talk, d->generation, MB_ITEM_REPLY) : NULL;

			if (reply != NULL)
				talk_reply_ask(reply, d->text, d->bytes, false);
			break;
		}
		case MB_DO_COMMIT:
			commit(talk, d);
			break;
		case MB_DO_AMEND:
			amend(talk, d);
			break;
		case MB_DO_CANCEL:
			cancel(talk, d);
			break;
		case MB_DO_HEARD:
			if (d->item_kind != MB_ITEM_FILLER)
				talk_note_agent(talk, talk->turns_of[d->generation % TALK_GENERATIONS], d->text,
								d->bytes, d->flag);
			if (!d->flag)
				talk_speech_heard(talk, d->generation, d->item);
			break;
		case MB_DO_DRAINED:
			go_on_after(talk, d->generation);
			break;
		case MB_DO_SAY_FILLER:
			fill(talk, d->generation);
			break;
		case MB_DO_SAY_APOLOGY:
			talk_counts.apologies++;
			say_now(talk, d->generation, MB_ITEM_PROMPT, talk_text(talk, "apology"), &to_the_menu);
			break;
		case MB_DO_SAY_PROMPT:
			speak_prompt(talk, d);
			break;
		case MB_DO_SAY:
			say_next(talk, d->generation, d->turn);
			break;
		default:
			break;
	}
}

static void
end_of(gw_talk *talk, mb_turn_reason reason)
{
	static const talk_way to_its_end = { .how = "hangup" };

	switch (reason)
	{
		case MB_WHY_SILENCE:
			talk_leave(talk, &to_its_end, "nobody said anything");
			break;
		case MB_WHY_NO_MEDIA:
			talk_leave(talk, NULL, "no media");
			break;
		case MB_WHY_DURATION:
			talk_leave(talk, NULL, "the longest duration of a call");
			break;
		default:
			talk_leave(talk, &to_the_menu, "nothing could be said");
			break;
	}
}

static void
carry_out(gw_talk *talk, const mb_turn_decision *d)
{
	/* what was said and heard is noted to the end */
	if ((talk->session == NULL || talk->leaving) && d->kind == MB_DO_COMMIT)
	{
		talk_note_caller(talk, d->turn, d->text, d->bytes);
		return;
	}
	if (talk->session == NULL && d->kind != MB_DO_HEARD && d->kind != MB_DO_AMEND)
		return;
	switch (d->kind)
	{
		case MB_DO_FINALIZE:
			talk_hear_finalize(talk);
			break;
		case MB_DO_TURN_STARTED:
		case MB_DO_REOPEN:
			talk_hear_turn(talk, true, false);
			break;
		case MB_DO_DISMISS:
			talk_hear_turn(talk, false, true);
			break;
		case MB_DO_PAUSE:
			pause(talk, d);
			break;
		case MB_DO_RESUME:
			resume(talk, d);
			break;
		case MB_DO_CLEAR:
			clear(talk, d);
			break;
		case MB_DO_DIGIT:
			take_digit(talk, d->digit);
			break;
		case MB_DO_EMERGENCY:
			talk_tell_emergency(talk, d->text);
			talk_say_this(talk, MB_ITEM_EMERGENCY, talk_text(talk, "emergency"), TALK_LEAVE, NULL);
			break;
		case MB_DO_INTERRUPTED:
			talk_measure(TALK_INTERRUPTION_DETECTION, NULL, (d->at - d->onset) / 1000.0);
			break;
		case MB_DO_MEDIA_LOST:
			gw_log(GW_WARNING, "a stream is silent", "call %s", talk->call_id);
			break;
		case MB_DO_RESYNC:
			gw_log(GW_WARNING, "marks of a stream did not come back", "call %s", talk->call_id);
			break;
		case MB_DO_END:
			snprintf(talk->reason, sizeof(talk->reason), "%s", mb_turn_reason_name(d->reason));
			talk->ended = true;
			end_of(talk, d->reason);
			break;
		default:
			carry_out_said(talk, d);
			break;
	}
}

void
talk_act(void *arg)
{
	gw_talk *talk = arg;

	talk->users++;
	while (talk->decisions != NULL)
	{
		talk_decision *kept = talk->decisions;

		talk->decisions = kept->next;
		if (talk->decisions == NULL)
			talk->last_decision = &talk->decisions;
		carry_out(talk, &kept->decision);
		free(kept);
	}
	talk_measure_frame(talk);
	talk_store_soon(talk);
	talk_release(talk);
}
