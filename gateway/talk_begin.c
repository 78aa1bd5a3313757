/*
 * talk_begin.c
 *	  A conversation is made of what the database has said, and goes when it is told of all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "talk_internal.h"

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
	http_loop_clear_timer(talk->loop, &talk->leave);
	http_loop_clear_timer(talk->loop, &talk->textless);
	http_loop_clear_timer(talk->loop, &talk->store);
	http_loop_clear_timer(talk->loop, &talk->note);
	http_loop_clear_timer(talk->loop, &talk->stream_again);
	http_loop_cancel(talk->loop, &talk->act);
	talk_plan_let_go(talk->plan);
	talk_words_let_go(talk->words);
	for (uint32_t i = 0; i < talk->end_line - talk->first_line; i++)
	{
		program_text_free(&talk->lines[i].caller);
		program_text_free(&talk->lines[i].agent);
	}
	free(talk->lines);
	talk_audio_forget(&talk->recent);
	program_text_free(&talk->utterance);
	program_array_free(&talk->records);
	json_decref(talk->attributes);
	free(talk);
}

void
talk_release(gw_talk *talk)
{
	if (--talk->users == 0)
		free_talk(talk);
}

static bool
read_settings(gw_talk *talk, const char *numbers, const char *lists)
{
	json_t *all = json_loads(numbers, 0, NULL);
	bool ok = json_array_size(all) == MB_TURN_NUMBERS;
	int wrong;

	talk->words = talk_words_of(lists);
	mb_turn_settings_init(&talk->settings);
	for (int i = 0; i < MB_TURN_NUMBERS && ok; i++)
		talk->settings.number[i] = (int32_t) json_integer_value(json_array_get(all, (size_t) i));
	for (int i = 0; i < MB_TURN_LISTS && talk->words != NULL; i++)
		talk->settings.list[i] = talk->words->lists[i];
	json_decref(all);
	return ok && talk->words != NULL && mb_turn_settings_check(&talk->settings, &wrong) == MB_OK;
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
		talk_announce(talk, say);
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
	talk_store_init(talk);
	talk->act = (http_task){ .run = talk_act, .arg = talk };
	talk->tick = (http_timer){ .due = talk_tick, .arg = talk };
	talk->wait = (http_timer){ .due = talk_waited, .arg = talk };
	talk->textless = (http_timer){ .due = talk_asks_without_text, .arg = talk };
	talk->stream_again = (http_timer){ .due = talk_stream_again, .arg = talk };
	talk->leave = (http_timer){ .due = talk_leave_now, .arg = talk };
	talk->plan = talk_plan_of(talk->tenant, plan, json);
	if (talk->client == NULL || !read_settings(talk, numbers, lists) || talk->plan == NULL ||
		mb_activity_init(&talk->activity, &mb_activity_default_options) != MB_OK)
	{
		gw_log(GW_ERROR, "a conversation cannot begin", "call %s", talk->call_id);
		talk->session = NULL;
		free_talk(talk);
		json_decref(json);
		return NULL;
	}
	mb_turn_init(&talk->turn, &talk->settings, &line, talk_decided, talk);
	mb_turn_log_init(&talk->log, talk_keep_record, talk);
	talk->users = 1;
	talk_counts.now++;
	talk_counts.conversations++;
	session->play.tagged = talk_was_sent;
	session->play.marking = talk_mark_was_sent;
	talk_hear_begin(talk);
	gw_speaker_warm(talk->client, talk->plan->speak[0]);
	if (talk->plan->n_chat > 0)
		gw_service_warm(talk->client, talk->plan->chat[0]);
	http_loop_set_timer(talk->loop, &talk->tick, http_clock() + TALK_TICK);
	say_opening(talk, json_object_get(json, "opening"));
	json_decref(json);
	return talk;
}
