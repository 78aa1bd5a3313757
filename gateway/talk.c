/*
 * talk.c
 *	  A conversation: what happens goes to the turn engine, what it decides is carried out.  See talk_internal.h.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/utf8.h"
#include "log.h"
#include "talk_internal.h"

#define TICK_EVERY (20 * HTTP_MILLISECOND)
#define TICK_BEHIND (40 * HTTP_MILLISECOND) /* the last frame */
#define FAREWELL_WITHIN (5 * HTTP_SECOND)

static gw_talk_counts counts;

const gw_talk_counts *
gw_talk_counted(void)
{
	return &counts;
}

void
talk_count_fallback(void)
{
	counts.fallbacks++;
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
static void
decide(void *arg, const mb_turn_decision *decision)
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
static void
tick(void *arg)
{
	gw_talk *talk = arg;

	talk_take(talk, &(mb_turn_input){ .kind = MB_IN_TICK });
	if (!talk->ended)
		http_loop_set_timer(talk->loop, &talk->tick, http_clock() + TICK_EVERY);
}

/* ---------------------------------------------------------------------------
 * What is said that is no reply
 * ---------------------------------------------------------------------------
 */

static void
free_say(talk_say *say)
{
	for (int i = 0; i < say->n; i++)
		free(say->texts[i]);
	free(say);
}

static void
announce(gw_talk *talk, talk_say *say)
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
	announce(talk, say);
}

static const char *
text_of(const gw_talk *talk, const char *name)
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
		free_say(say);
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
	static const gw_statement leave_media = {
		"leave_media", "SELECT mulberry.leave_media($1::bigint, $2, $3)", true
	};
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
	counts.apologies++;
	talk_leave_for(talk, "menu", NULL);
	talk_say_this(talk, MB_ITEM_PROMPT, text_of(talk, "apology"), TALK_LEAVE);
}

static void
waited(void *arg)
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
		case MB_PAUSE_STARVE: gw_play_pause(play, true); break;
		case MB_PAUSE_CLEAR: gw_play_clear(play, d->mark); break;
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
	gw_play_clear(play, d->mark);
	gw_play_pause(play, false);
}

static void
cancel(gw_talk *talk, const mb_turn_decision *d)
{
	talk_reply *reply = talk_reply_find(talk, d->generation);

	if (reply != NULL)
		talk_reply_drop(reply);
	if (talk->session != NULL && talk->paused != 0)
	{
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

	counts.silence_prompts++;
	text = n == 0 ? NULL
				  : json_string_value(
						json_array_get(all, d->ms > 0 && (size_t) d->ms <= n ? (size_t) d->ms - 1
																			 : n - 1));
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
		case MB_DO_COMMIT: commit(talk, d); break;
		case MB_DO_AMEND: talk_note_caller(talk, d->turn, d->text, d->bytes); break;
		case MB_DO_CANCEL: cancel(talk, d); break;
		case MB_DO_HEARD:
			if (d->item_kind != MB_ITEM_FILLER)
				talk_note_agent(talk, talk->turns_of[d->generation % TALK_GENERATIONS], d->text,
								d->bytes, d->flag);
			break;
		case MB_DO_DRAINED: go_on_after(talk, d->generation); break;
		case MB_DO_SAY_FILLER:
			counts.fillers++;
			say_now(talk, d->generation, MB_ITEM_FILLER, text_of(talk, "filler"), TALK_GO_ON);
			break;
		case MB_DO_SAY_APOLOGY:
			counts.apologies++;
			talk_leave_for(talk, "menu", NULL);
			say_now(talk, d->generation, MB_ITEM_PROMPT, text_of(talk, "apology"), TALK_LEAVE);
			break;
		case MB_DO_SAY_PROMPT: speak_prompt(talk, d); break;
		case MB_DO_SAY: say_next(talk, d->generation); break;
		default: break;
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
		case MB_DO_PAUSE: pause(talk, d); break;
		case MB_DO_RESUME: resume(talk, d); break;
		case MB_DO_CLEAR: clear(talk, d); break;
		case MB_DO_DIGIT: take_digit(talk, d->digit); break;
		case MB_DO_EMERGENCY:
			talk_leave_for(talk, "emergency", d->text);
			talk_say_this(talk, MB_ITEM_EMERGENCY, text_of(talk, "emergency"), TALK_LEAVE);
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
		default: carry_out_said(talk, d); break;
	}
}

static void
act(void *arg)
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

/* ---------------------------------------------------------------------------
 * What the session tells
 * ---------------------------------------------------------------------------
 */

void
gw_talk_heard(gw_talk *talk, const int16_t *samples, size_t n, int64_t at)
{
	talk->heard_at = http_clock();
	http_loop_set_timer(talk->loop, &talk->tick, talk->heard_at + TICK_BEHIND);
	if (talk->ear != NULL)
		gw_ear_hear(talk->ear, samples, n);
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
		frame = mb_activity_feed(&talk->activity, talk->frame,
								 talk->session == NULL ? -INFINITY
													   : gw_play_level(&talk->session->play),
								 talk->tone);
		talk_take(talk, &(mb_turn_input){ .kind = MB_IN_FRAME,
										  .flags = frame.flags,
										  .level = frame.level,
										  .media_ms = (uint32_t) (talk->frame_at / HTTP_MILLISECOND) +
													  MB_TURN_FRAME_MS });
	}
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
gw_talk_marked(gw_talk *talk, unsigned number)
{
	talk_take(talk, &(mb_turn_input){ .kind = MB_IN_MARK, .mark = number });
}

void
gw_talk_cleared(gw_talk *talk, uint64_t unheard)
{
	talk_take(talk, &(mb_turn_input){ .kind = MB_IN_QUEUE,
									  .ms = (int32_t) (unheard * 1000 / GW_MEDIA_RATE) });
}

static void
leave_anyway(void *arg)
{
	talk_leave(arg);
}

void
gw_talk_stop(gw_talk *talk)
{
	const char *farewell = text_of(talk, "farewell");

	if (talk->stopping || talk->leaving)
		return;
	talk->stopping = true;
	talk->wait = (http_timer){ .due = leave_anyway, .arg = talk };
	http_loop_set_timer(talk->loop, &talk->wait,
						http_clock() + (*farewell == '\0' ? 0 : FAREWELL_WITHIN));
	if (*farewell != '\0')
		talk_say_this(talk, MB_ITEM_LEGAL, farewell, TALK_LEAVE);
}

static void
count_turns(const mb_turn_counts *c)
{
	counts.turns += c->turns;
	counts.interruptions += c->interruptions;
	counts.false_interruptions += c->false_interruptions;
	counts.false_cutoffs += c->false_cutoffs;
	counts.backchannels += c->backchannels;
	counts.speculations += c->speculations;
	counts.speculations_dropped += c->speculations_dropped;
	counts.stale += c->stale;
}

void
gw_talk_over(gw_talk *talk)
{
	mb_turn_input stop = { .kind = MB_IN_STOP };

	if (talk->session == NULL)
		return;
	counts.now--;
	count_turns(mb_turn_counted(&talk->turn));
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
	talk->users++;
	while (talk->replies != NULL)
		talk_reply_drop(talk->replies);
	while (talk->says != NULL)
	{
		talk_say *say = talk->says;

		talk->says = say->next;
		free_say(say);
	}
	/* what was heard is still to be noted */
	http_loop_cancel(talk->loop, &talk->act);
	act(talk);
	mb_turn_log_flush(&talk->log);
	talk_store_end(talk);
	talk_release(talk);
}

/* ---------------------------------------------------------------------------
 * The beginning
 * ---------------------------------------------------------------------------
 */

static void
free_talk(gw_talk *talk)
{
	talk->media->n_talks--;
	http_loop_clear_timer(talk->loop, &talk->tick);
	http_loop_clear_timer(talk->loop, &talk->wait);
	http_loop_clear_timer(talk->loop, &talk->store);
	http_loop_cancel(talk->loop, &talk->act);
	for (int i = 0; i < TALK_SERVICES; i++)
	{
		gw_service_free(talk->listen[i]);
		gw_service_free(talk->speak[i]);
		gw_service_free(talk->chat[i]);
		free(talk->voice_keys[i]);
	}
	for (int i = 0; i < MB_TURN_LISTS; i++)
		free(talk->lists[i]);
	for (size_t i = 0; i < talk->n_lines; i++)
	{
		program_text_free(&talk->lines[i].caller);
		program_text_free(&talk->lines[i].agent);
	}
	free(talk->lines);
	program_array_free(&talk->records);
	json_decref(talk->texts);
	free(talk);
}

void
talk_release(gw_talk *talk)
{
	if (--talk->users == 0)
		free_talk(talk);
}

static int
read_services(const json_t *list, gw_service **services, const char *call_id)
{
	int n = 0;

	for (size_t i = 0; i < json_array_size(list) && n < TALK_SERVICES; i++)
	{
		const char *problem;

		services[n] = gw_service_read(json_array_get(list, i), &problem);
		if (services[n] != NULL)
			n++;
		else
			gw_log(GW_ERROR, "a service cannot be used", "call %s: %s", call_id, problem);
	}
	return n;
}

static bool
read_settings(gw_talk *talk, const char *numbers, const char *lists)
{
	json_t *all = json_loads(numbers, 0, NULL);
	json_t *phrases = json_loads(lists, 0, NULL);
	bool ok = json_array_size(all) == MB_TURN_NUMBERS && json_array_size(phrases) == MB_TURN_LISTS;
	int wrong;

	mb_turn_settings_init(&talk->settings);
	for (int i = 0; i < MB_TURN_NUMBERS && ok; i++)
		talk->settings.number[i] = (int32_t) json_integer_value(json_array_get(all, (size_t) i));
	for (int i = 0; i < MB_TURN_LISTS && ok; i++)
	{
		const char *text = json_string_value(json_array_get(phrases, (size_t) i));
		size_t n = text == NULL ? 0 : strlen(text);

		talk->lists[i] = malloc(MB_TURN_LIST_ROOM(n));
		ok = talk->lists[i] != NULL;
		if (ok)
			mb_turn_fold_list(text == NULL ? "" : text, n, talk->lists[i]);
		talk->settings.list[i] = talk->lists[i];
	}
	json_decref(all);
	json_decref(phrases);
	return ok && mb_turn_settings_check(&talk->settings, &wrong) == MB_OK;
}

static bool
read_plan(gw_talk *talk, const json_t *plan)
{
	const json_t *speak = json_object_get(plan, "speak");
	const char *reply = json_string_value(json_object_get(plan, "reply"));

	talk->n_listen =
		read_services(json_object_get(plan, "listen"), talk->listen, talk->call_id);
	talk->n_speak = read_services(speak, talk->speak, talk->call_id);
	talk->n_chat = read_services(json_object_get(plan, "chat"), talk->chat, talk->call_id);
	for (int i = 0; i < talk->n_speak; i++)
	{
		const char *key =
			json_string_value(json_object_get(json_array_get(speak, (size_t) i), "voice_key"));

		talk->voice_keys[i] = strdup(key == NULL ? "" : key);
	}
	talk->reply_timeout_ms = (int) json_integer_value(json_object_get(plan, "reply_timeout_ms"));
	talk->texts = json_incref(json_object_get(plan, "texts"));
	/* a function does what it likes and tools write: they are asked when it is certain */
	talk->speculates = reply != NULL && strcmp(reply, "chat") == 0 &&
					   !json_is_true(json_object_get(plan, "tools"));
	return talk->n_listen > 0 && talk->n_speak > 0 && (talk->n_chat > 0 || reply == NULL ||
													   strcmp(reply, "function") == 0);
}

static void
say_opening(gw_talk *talk, const json_t *opening)
{
	talk_say *say = calloc(1, sizeof(*say));

	for (size_t i = 0; say != NULL && i < json_array_size(opening) && i < 4; i++)
	{
		const json_t *sentence = json_array_get(opening, i);
		const char *kind = json_string_value(json_object_get(sentence, "kind"));
		const char *text = json_string_value(json_object_get(sentence, "text"));

		if (text == NULL || *text == '\0')
			continue;
		say->kinds[say->n] =
			kind != NULL && strcmp(kind, "consent") == 0 ? MB_ITEM_LEGAL : MB_ITEM_GREETING;
		say->texts[say->n++] = strdup(text);
	}
	if (say != NULL && say->n > 0)
		announce(talk, say);
	else
		free(say);
}

gw_talk *
gw_talk_begin(gw_media_session *session, const char *numbers, const char *lists, const char *plan)
{
	json_t *json = json_loads(plan, 0, NULL);
	gw_talk *talk = json_is_true(json_object_get(json, "talk")) ? calloc(1, sizeof(*talk)) : NULL;
	const gw_media_peer *peer = session->peer;
	mb_line line = { .clear = peer->clear != NULL,
					 .pause = peer->pause != NULL,
					 .marks = peer->mark != NULL,
					 .exact_queue = peer->tells_unheard,
					 .we_pace = peer->keeps_no_time };

	if (talk == NULL)
	{
		json_decref(json);
		return NULL;
	}
	talk->session = session;
	talk->media = session->media;
	talk->media->n_talks++;
	talk->loop = session->media->gateway->loop;
	talk->client = gw_media_client(session->media);
	talk->encoding = session->play.encoding;
	talk->zero = http_clock();
	snprintf(talk->call_id, sizeof(talk->call_id), "%s", session->call_id);
	snprintf(talk->tenant, sizeof(talk->tenant), "%s", session->tenant->name);
	snprintf(talk->session_id, sizeof(talk->session_id), "%s", session->id);
	talk->last_decision = &talk->decisions;
	talk->last_say = &talk->says;
	talk->records.element = PROGRAM_OID_BYTEA;
	talk->act = (http_task){ .run = act, .arg = talk };
	talk->tick = (http_timer){ .due = tick, .arg = talk };
	talk->wait = (http_timer){ .due = waited, .arg = talk };
	if (talk->client == NULL || !read_settings(talk, numbers, lists) || !read_plan(talk, json) ||
		mb_activity_init(&talk->activity, &mb_activity_default_options) != MB_OK)
	{
		gw_log(GW_ERROR, "a conversation cannot begin", "call %s", talk->call_id);
		talk->session = NULL;
		free_talk(talk);
		json_decref(json);
		return NULL;
	}
	mb_turn_init(&talk->turn, &talk->settings, &line, decide, talk);
	mb_turn_log_init(&talk->log, talk_keep_record, talk);
	talk->users = 1;
	counts.now++;
	counts.conversations++;
	session->play.tagged = talk_was_sent;
	session->play.marking = talk_mark_was_sent;
	talk_hear_begin(talk);
	for (int i = 0; i < talk->n_speak && i < 1; i++)
		gw_service_warm(talk->client, talk->speak[i]);
	for (int i = 0; i < talk->n_chat && i < 1; i++)
		gw_service_warm(talk->client, talk->chat[i]);
	http_loop_set_timer(talk->loop, &talk->tick, http_clock() + TICK_EVERY);
	say_opening(talk, json_object_get(json, "opening"));
	json_decref(json);
	return talk;
}
