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
talk_say_this(gw_talk *talk, mb_item_kind kind, const char *text, talk_after after)
{
	talk_say *say = calloc(1, sizeof(*say));

	if (say == NULL)
		return;
	say->after = after;
	say->kinds[0] = kind;
	say->texts[say->n++] = strdup(text == NULL ? "" : text);
	talk_announce(talk, say);
}

const char *
talk_text(const gw_talk *talk, const char *name)
{
	const char *text = json_string_value(json_object_get(talk->texts, name));

	return text == NULL ? "" : text;
}

/* Speaks a sentence as a generation of the engine's. */
static void
say_now(gw_talk *talk, uint32_t generation, mb_item_kind kind, const char *text, talk_after after)
{
	talk_reply *reply = talk_reply_new(talk, generation, kind);

	if (reply == NULL)
		return;
	reply->committed = true;
	reply->after = after;
	talk_speech_add(reply, kind, text, strlen(text));
	reply->complete = true;
	talk_speech_go_on(reply);
}

static void
say_next(gw_talk *talk, uint32_t generation)
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
		reply->committed = true;
		reply->complete = true;
		reply->after = say == NULL ? TALK_GO_ON : say->after;
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

void
talk_leave(gw_talk *talk)
{
	if (talk->session == NULL || talk->leaving)
		return;
	talk->leaving = true;
	gw_media_end(talk->session, talk->stopping ? 1001 : 1000,
				 talk->stopping ? "the gateway ended" : "left by the agent");
}

static void
leave_said(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	(void) identity;
	if (outcome != GW_COMMITTED)
		gw_log(GW_WARNING, "where a call goes on could not be stored", "%s",
			   result == NULL ? "the database cannot be reached"
							  : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
	free(unit);
}

void
talk_leave_for(gw_talk *talk, const char *how, const char *detail)
{
	static const gw_statement leave_media = { "leave_media",
											  "SELECT mulberry.leave_media($1::bigint, $2, $3)",
											  true };
	typedef struct telling
	{
		gw_unit unit;
		char id[24];
		char how[16];
		char detail[512];
	} telling;
	telling *t = calloc(1, sizeof(*t));

	if (t == NULL || talk->session == NULL)
	{
		free(t);
		return;
	}
	snprintf(t->id, sizeof(t->id), "%s", talk->session_id);
	snprintf(t->how, sizeof(t->how), "%s", how);
	snprintf(t->detail, sizeof(t->detail), "%s", detail == NULL ? "" : detail);
	t->detail[mb_utf8_prefix(t->detail, strlen(t->detail))] = '\0';
	t->unit.statement = &leave_media;
	t->unit.n_parameters = 3;
	t->unit.values[0] = t->id;
	t->unit.values[1] = t->how;
	t->unit.values[2] = detail == NULL ? NULL : t->detail;
	t->unit.done = leave_said;
	gw_media_ask(talk->media, &t->unit);
}

void
talk_give_up(gw_talk *talk)
{
	if (talk->leaving || talk->stopping)
		return;
	talk_counts.apologies++;
	talk_leave_for(talk, "menu", NULL);
	talk_say_this(talk, MB_ITEM_PROMPT, talk_text(talk, "apology"), TALK_LEAVE);
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
		talk_leave(talk);
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

	talk->current_turn = d->turn;
	talk_note_caller(talk, talk->current_turn, d->text, d->bytes);
	if (reply == NULL)
		reply = talk_reply_new(talk, d->generation, MB_ITEM_REPLY);
	if (reply == NULL)
		return;
	talk->turns_of[d->generation % TALK_GENERATIONS] = d->turn;
	if (reply->said != NULL)
		talk_reply_commit(reply);
	else
		talk_reply_ask(reply, d->text, d->bytes, true);
}

static void
pause(gw_talk *talk, const mb_turn_decision *d)
{
	gw_media_play *play = &talk->session->play;

	talk->paused = (int) d->how + 1;
	switch (d->how)
	{
		case MB_PAUSE_HOLD:
		case MB_PAUSE_STARVE:
			gw_play_pause(play, true);
			break;
		case MB_PAUSE_CLEAR:
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
	talk_mark_of(talk, d->mark, d->generation);
	gw_play_clear(play, d->mark);
	gw_play_pause(play, false);
}

static void
cancel(gw_talk *talk, const mb_turn_decision *d)
{
	talk_reply *reply = talk_reply_find(talk, d->generation);

	if (reply != NULL)
		talk_reply_drop(reply);
	if (talk->session == NULL)
		return;
	if (talk->paused == 0)
		gw_play_goes_on(&talk->session->play, false);
	else
	{
		talk->session->play.goes_on = false;
		talk->paused = 0;
		gw_play_forget(&talk->session->play);
		gw_play_pause(&talk->session->play, false);
	}
}

static void
speak_prompt(gw_talk *talk, const mb_turn_decision *d)
{
	const json_t *all = json_object_get(talk->texts, "silence");
	size_t n = json_array_size(all);
	const char *text;

	talk_counts.silence_prompts++;
	text = n == 0 ? NULL
				  : json_string_value(json_array_get(
						all, d->ms > 0 && (size_t) d->ms <= n ? (size_t) d->ms - 1 : n - 1));
	say_now(talk, d->generation, MB_ITEM_PROMPT, text == NULL ? "" : text, TALK_GO_ON);
}

static void
carry_out_said(gw_talk *talk, const mb_turn_decision *d)
{
	switch (d->kind)
	{
		case MB_DO_SPECULATE:
		{
			talk_reply *reply =
				talk->speculates ? talk_reply_new(talk, d->generation, MB_ITEM_REPLY) : NULL;

			if (reply != NULL)
				talk_reply_ask(reply, d->text, d->bytes, false);
			break;
		}
		case MB_DO_COMMIT:
			commit(talk, d);
			break;
		case MB_DO_AMEND:
			talk_note_caller(talk, d->turn, d->text, d->bytes);
			break;
		case MB_DO_CANCEL:
			cancel(talk, d);
			break;
		case MB_DO_HEARD:
			if (d->item_kind != MB_ITEM_FILLER)
				talk_note_agent(talk, talk->turns_of[d->generation % TALK_GENERATIONS], d->text,
								d->bytes, d->flag);
			break;
		case MB_DO_DRAINED:
			go_on_after(talk, d->generation);
			break;
		case MB_DO_SAY_FILLER:
			talk_counts.fillers++;
			say_now(talk, d->generation, MB_ITEM_FILLER, talk_text(talk, "filler"), TALK_GO_ON);
			break;
		case MB_DO_SAY_APOLOGY:
			talk_counts.apologies++;
			talk_leave_for(talk, "menu", NULL);
			say_now(talk, d->generation, MB_ITEM_PROMPT, talk_text(talk, "apology"), TALK_LEAVE);
			break;
		case MB_DO_SAY_PROMPT:
			speak_prompt(talk, d);
			break;
		case MB_DO_SAY:
			say_next(talk, d->generation);
			break;
		default:
			break;
	}
}

static void
carry_out(gw_talk *talk, const mb_turn_decision *d)
{
	if (talk->session == NULL && d->kind != MB_DO_HEARD)
		return;
	switch (d->kind)
	{
		case MB_DO_FINALIZE:
			if (talk->ear != NULL)
				gw_ear_finalize(talk->ear);
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
			talk_leave_for(talk, "emergency", d->text);
			talk_say_this(talk, MB_ITEM_EMERGENCY, talk_text(talk, "emergency"), TALK_LEAVE);
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
			if (d->reason == MB_WHY_SILENCE)
				talk_leave_for(talk, "hangup", NULL);
			talk->leaving = true;
			gw_media_end(talk->session, 1000,
						 d->reason == MB_WHY_SILENCE	? "nobody said anything"
						 : d->reason == MB_WHY_NO_MEDIA ? "no media"
														: "the longest duration of a call");
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
	talk_store_soon(talk);
	talk_release(talk);
}
