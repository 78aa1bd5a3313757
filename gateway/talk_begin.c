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
 * Lists of words, which conversations with the same ones share
 * ---------------------------------------------------------------------------
 */

typedef struct talk_words
{
	char *text; /* what they were read from */
	char *lists[MB_TURN_LISTS];
	int users;
	struct talk_words *next;
} talk_words;

static talk_words *all_words;

static void
let_words_go(talk_words *words)
{
	talk_words **place = &all_words;

	if (words == NULL || --words->users > 0)
		return;
	while (*place != words)
		place = &(*place)->next;
	*place = words->next;
	for (int i = 0; i < MB_TURN_LISTS; i++)
		free(words->lists[i]);
	free(words->text);
	free(words);
}

static bool
read_words(talk_words *words)
{
	json_t *phrases = json_loads(words->text, 0, NULL);
	bool ok = json_array_size(phrases) == MB_TURN_LISTS;

	for (int i = 0; i < MB_TURN_LISTS && ok; i++)
	{
		const char *text = json_string_value(json_array_get(phrases, (size_t) i));
		size_t n = text == NULL ? 0 : strlen(text);

		words->lists[i] = malloc(MB_TURN_LIST_ROOM(n));
		ok = words->lists[i] != NULL;
		if (ok)
			mb_turn_fold_list(text == NULL ? "" : text, n, words->lists[i]);
	}
	json_decref(phrases);
	return ok;
}

/* NULL: they are none, or there is no memory. */
static talk_words *
words_of(const char *text)
{
	talk_words *words = all_words;

	while (words != NULL && strcmp(words->text, text) != 0)
		words = words->next;
	if (words == NULL)
	{
		words = calloc(1, sizeof(*words));
		if (words == NULL)
			return NULL;
		words->next = all_words;
		all_words = words;
		words->text = strdup(text);
	}
	words->users++;
	if (words->users > 1 || (words->text != NULL && read_words(words)))
		return words;
	let_words_go(words);
	return NULL;
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
	http_loop_clear_timer(talk->loop, &talk->leave);
	http_loop_clear_timer(talk->loop, &talk->textless);
	http_loop_clear_timer(talk->loop, &talk->store);
	http_loop_clear_timer(talk->loop, &talk->note);
	http_loop_clear_timer(talk->loop, &talk->stream_again);
	http_loop_cancel(talk->loop, &talk->act);
	for (int i = 0; i < TALK_SERVICES; i++)
	{
		gw_service_free(talk->listen[i]);
		gw_service_free(talk->speak[i]);
		gw_service_free(talk->chat[i]);
		free(talk->voice_keys[i]);
	}
	let_words_go(talk->words);
	for (size_t i = 0; i < talk->n_lines; i++)
	{
		program_text_free(&talk->lines[i].caller);
		program_text_free(&talk->lines[i].agent);
	}
	free(talk->lines);
	talk_audio_forget(&talk->recent);
	program_text_free(&talk->utterance);
	program_array_free(&talk->records);
	json_decref(talk->texts);
	json_decref(talk->attributes);
	free(talk);
}

void
talk_release(gw_talk *talk)
{
	if (--talk->users == 0)
		free_talk(talk);
}

static int
read_services(const gw_talk *talk, const json_t *list, gw_service **services)
{
	int n = 0;

	for (size_t i = 0; i < json_array_size(list) && n < TALK_SERVICES; i++)
	{
		const char *problem;

		services[n] = gw_service_read(json_array_get(list, i), talk->tenant, &problem);
		if (services[n] != NULL)
			n++;
		else
			gw_log(GW_ERROR, "a service cannot be used", "call %s: %s", talk->call_id, problem);
	}
	return n;
}

static bool
read_settings(gw_talk *talk, const char *numbers, const char *lists)
{
	json_t *all = json_loads(numbers, 0, NULL);
	bool ok = json_array_size(all) == MB_TURN_NUMBERS;
	int wrong;

	talk->words = words_of(lists);
	mb_turn_settings_init(&talk->settings);
	for (int i = 0; i < MB_TURN_NUMBERS && ok; i++)
		talk->settings.number[i] = (int32_t) json_integer_value(json_array_get(all, (size_t) i));
	for (int i = 0; i < MB_TURN_LISTS && talk->words != NULL; i++)
		talk->settings.list[i] = talk->words->lists[i];
	json_decref(all);
	return ok && talk->words != NULL && mb_turn_settings_check(&talk->settings, &wrong) == MB_OK;
}

static bool
read_plan(gw_talk *talk, const json_t *plan)
{
	const json_t *speak = json_object_get(plan, "speak");
	const char *reply = json_string_value(json_object_get(plan, "reply"));

	talk->n_listen = read_services(talk, json_object_get(plan, "listen"), talk->listen);
	talk->n_speak = read_services(talk, speak, talk->speak);
	talk->n_chat = read_services(talk, json_object_get(plan, "chat"), talk->chat);
	for (int i = 0; i < talk->n_speak; i++)
	{
		const char *key =
			json_string_value(json_object_get(json_array_get(speak, (size_t) i), "voice_key"));

		talk->voice_keys[i] = strdup(key == NULL ? "" : key);
	}
	talk->reply_timeout_ms = (int) json_integer_value(json_object_get(plan, "reply_timeout_ms"));
	talk->hedge_ms[GW_TALK_REPLY] =
		(int) json_integer_value(json_object_get(plan, "hedge_reply_ms"));
	talk->hedge_ms[GW_TALK_SPEAK] =
		(int) json_integer_value(json_object_get(plan, "hedge_speak_ms"));
	talk->texts = json_incref(json_object_get(plan, "texts"));
	/* a function does what it likes and tools write: they are asked when it is certain */
	talk->speculates = reply != NULL && strcmp(reply, "chat") == 0 &&
					   !json_is_true(json_object_get(plan, "tools"));
	return talk->n_listen > 0 && talk->n_speak > 0 &&
		   (talk->n_chat > 0 || reply == NULL || strcmp(reply, "function") == 0);
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
	if (talk->client == NULL || !read_settings(talk, numbers, lists) || !read_plan(talk, json) ||
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
	for (int i = 0; i < talk->n_speak && i < 1; i++)
		gw_speaker_warm(talk->client, talk->speak[i]);
	for (int i = 0; i < talk->n_chat && i < 1; i++)
		gw_service_warm(talk->client, talk->chat[i]);
	http_loop_set_timer(talk->loop, &talk->tick, http_clock() + TALK_TICK);
	say_opening(talk, json_object_get(json, "opening"));
	json_decref(json);
	return talk;
}
