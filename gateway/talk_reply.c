/*
 * talk_reply.c
 *	  What is replied: the database is asked, which has a function of the tenant answer, or says what a language model is to be asked.
 *
 * A reply is asked for before it is certain that the caller is done where that has no effects; it is thrown away, or committed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "talk_errand.h"
#include "talk_internal.h"

#define MAX_ROUNDS 4 /* of calls of tools */

/* What the database is asked. */
typedef struct talk_question
{
	talk_errand errand;
	talk_batch lines; /* that go with it */
	char *texts[5];
	char *tool; /* id of its call; NULL: it is the reply itself */
} talk_question;

static void ask_model(talk_reply *reply);
static const talk_race_kind models;

talk_reply *
talk_reply_find(gw_talk *talk, uint32_t generation)
{
	for (talk_reply *r = talk->replies; r != NULL; r = r->next)
	{
		if (r->generation == generation)
			return r;
	}
	return NULL;
}

talk_reply *
talk_reply_still(gw_talk *talk, uint32_t generation, uint64_t serial)
{
	talk_reply *reply = talk_reply_find(talk, generation);

	return reply != NULL && reply->serial == serial ? reply : NULL;
}

talk_reply *
talk_reply_new(gw_talk *talk, uint32_t generation, mb_item_kind kind)
{
	static uint64_t serials;
	talk_reply *reply = talk_reply_find(talk, generation);

	if (reply != NULL)
		talk_reply_drop(reply);
	reply = calloc(1, sizeof(*reply));
	if (reply == NULL)
		return NULL;
	reply->talk = talk;
	reply->generation = generation;
	reply->serial = ++serials;
	talk->turns_of[generation % TALK_GENERATIONS] = talk->current_turn;
	reply->kind = kind;
	mb_sentences_init(&reply->sentences);
	talk_race_init(&reply->race, &models, talk, reply);
	reply->next = talk->replies;
	talk->replies = reply;
	return reply;
}

/* No model is asked any more. */
static void
forget_question(talk_reply *reply)
{
	program_text_free(&reply->written);
	json_decref(reply->messages);
	json_decref(reply->calls);
	reply->messages = NULL;
	reply->calls = NULL;
}

void
talk_reply_drop(talk_reply *reply)
{
	talk_reply **place = &reply->talk->replies;

	while (*place != NULL && *place != reply)
		place = &(*place)->next;
	if (*place != NULL)
		*place = reply->next;
	reply->gone = true;
	talk_errands_forget(reply->talk, reply->generation);
	talk_race_cancel(&reply->race);
	for (int i = 0; i < reply->n_pieces; i++)
		talk_piece_free(reply->pieces[i]);
	talk_speech_end(reply);
	forget_question(reply);
	free(reply->said);
	free(reply);
}

void
talk_reply_fail(talk_reply *reply)
{
	talk_take(reply->talk,
			  &(mb_turn_input){ .kind = MB_IN_REPLY_FAILED, .generation = reply->generation });
}

/* ---------------------------------------------------------------------------
 * What comes of it
 * ---------------------------------------------------------------------------
 */

static void
take_piece(void *arg, const char *text, size_t n)
{
	talk_speech_add(arg, MB_ITEM_REPLY, text, n);
}

static void
end_reply(talk_reply *reply)
{
	mb_sentences_end(&reply->sentences, take_piece, reply);
	forget_question(reply);
	reply->complete = true;
	talk_speech_go_on(reply);
}

/* What a function of the tenant wants besides what it says. */
static void
take_orders(talk_reply *reply, const json_t *answer)
{
	gw_talk *talk = reply->talk;
	const char *number = json_string_value(json_object_get(answer, "transfer"));
	const json_t *collect = json_object_get(answer, "collect");
	const char *name = json_string_value(json_object_get(collect, "name"));

	if (number != NULL)
	{
		reply->after = TALK_LEAVE;
		reply->way.how = "transfer";
		snprintf(reply->way.detail, sizeof(reply->way.detail), "%s", number);
	}
	else if (json_is_true(json_object_get(answer, "hangup")))
	{
		reply->after = TALK_LEAVE;
		reply->way.how = "hangup";
	}
	else if (json_is_object(collect))
	{
		reply->digits = (int) json_integer_value(json_object_get(collect, "digits"));
		snprintf(reply->name, sizeof(reply->name), "%s", name == NULL ? "" : name);
		talk_collect(talk, reply);
	}
	else if (json_integer_value(json_object_get(answer, "wait")) > 0)
	{
		reply->after = TALK_WAIT;
		reply->wait_seconds = (int) json_integer_value(json_object_get(answer, "wait"));
	}
}

static void
take_answer(talk_reply *reply, const char *text)
{
	json_t *answer = json_loads(text, 0, NULL);
	const char *say = json_string_value(json_object_get(answer, "say"));

	if (json_is_array(json_object_get(answer, "messages")))
	{
		reply->messages = json_incref(json_object_get(answer, "messages"));
		reply->calls = json_incref(json_object_get(answer, "tools"));
		ask_model(reply);
	}
	else if (json_is_object(answer))
	{
		take_orders(reply, answer);
		if (say != NULL)
			mb_sentences_feed(&reply->sentences, say, strlen(say), take_piece, reply);
		end_reply(reply);
		/* there is nothing to wait for */
		if (reply->n_pieces == 0 && reply->after == TALK_LEAVE)
			talk_leave(reply->talk, &reply->way, NULL);
	}
	else
		talk_reply_fail(reply);
	json_decref(answer);
}

/* ---------------------------------------------------------------------------
 * The database
 * ---------------------------------------------------------------------------
 */

static void
free_question(talk_question *q)
{
	gw_talk *talk = q->errand.talk;

	talk_lines_told(talk, &q->lines, false);
	for (size_t i = 0; i < sizeof(q->texts) / sizeof(q->texts[0]); i++)
		free(q->texts[i]);
	free(q->tool);
	free(q);
	talk_release(talk);
}

static talk_question *
new_question(talk_reply *reply, const gw_statement *statement, int n)
{
	talk_question *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	q->errand.talk = reply->talk;
	q->errand.talk->users++;
	q->errand.generation = reply->generation;
	q->errand.serial = reply->serial;
	q->errand.unit.statement = statement;
	q->errand.unit.n_parameters = n;
	return q;
}

static void
put(talk_question *q, int i, char *text)
{
	q->texts[i] = text;
	q->errand.unit.values[i] = text;
}

static void
answered(talk_errand *errand, talk_reply *reply, gw_outcome outcome, const PGresult *result)
{
	talk_question *q = (talk_question *) errand;

	/* with what has failed the lines have gone as well */
	talk_lines_told(errand->talk, &q->lines, outcome == GW_COMMITTED);
	talk_store_soon(errand->talk);
	if (outcome != GW_COMMITTED && (reply != NULL || result != NULL))
		gw_log(GW_WARNING, "a reply could not be prepared", "call %s: %s", errand->talk->call_id,
			   gw_complaint_of(result));
	if (reply != NULL)
	{
		if (outcome == GW_COMMITTED)
			take_answer(reply, PQgetvalue(result, 0, 0));
		else
			talk_reply_fail(reply);
	}
	free_question(q);
}

void
talk_reply_ask(talk_reply *reply, const char *said, size_t n, bool committed)
{
	static const gw_statement prepare_reply = {
		"prepare_reply", "SELECT mulberry.prepare_reply($1, $2::jsonb, $3, $4::boolean, $5)", false
	};
	gw_talk *talk = reply->talk;
	talk_question *q = new_question(reply, &prepare_reply, 5);

	reply->committed = committed;
	reply->said = strndup(said, n);
	if (q == NULL || reply->said == NULL)
	{
		if (q != NULL)
			free_question(q);
		talk_reply_fail(reply);
		return;
	}
	put(q, 0, strdup(talk->call_id));
	put(q, 1, talk_lines_json(talk, &q->lines));
	put(q, 2, strdup(reply->said));
	put(q, 3, strdup(committed ? "true" : "false"));
	put(q, 4, strdup(talk->tenant));
	q->errand.done = answered;
	talk_errand_send(&q->errand);
}

void
talk_reply_commit(talk_reply *reply)
{
	reply->committed = true;
	talk_speech_go_on(reply);
}

/* ---------------------------------------------------------------------------
 * A language model
 * ---------------------------------------------------------------------------
 */

static talk_reply *
reply_of(void *lane)
{
	return ((talk_lane *) lane)->race->owner;
}

static void
model_begins(void *arg)
{
	talk_race_begins(arg);
	reply_of(arg)->first_text_at = http_clock();
}

static void
model_writes(void *arg, const char *text, size_t n)
{
	talk_reply *reply = reply_of(arg);

	reply->deltas++;
	program_text_add(&reply->written, text, n);
	mb_sentences_feed(&reply->sentences, text, n, take_piece, reply);
	talk_speech_go_on(reply);
}

/* The result of a tool, an error as well, goes back to the model when all have come. */
static void
take_result(talk_reply *reply, const char *id, const char *text)
{
	json_t *message =
		json_pack("{s:s, s:s, s:s}", "role", "tool", "tool_call_id", id, "content", text);

	if (message != NULL)
		json_array_append_new(reply->messages, message);
	if (--reply->n_results == 0)
		ask_model(reply);
}

static void
tool_was_called(talk_errand *errand, talk_reply *reply, gw_outcome outcome, const PGresult *result)
{
	talk_question *q = (talk_question *) errand;
	char text[1024];

	if (outcome != GW_COMMITTED && (reply != NULL || result != NULL))
		gw_log(GW_WARNING, "a tool has failed", "call %s, %s: %s", errand->talk->call_id,
			   q->texts[1], gw_complaint_of(result));
	if (reply != NULL)
	{
		snprintf(text, sizeof(text), "error: %s", gw_complaint_of(result));
		take_result(reply, q->tool, outcome == GW_COMMITTED ? PQgetvalue(result, 0, 0) : text);
	}
	free_question(q);
}

static void
model_wants(void *arg, const char *id, const char *name, const char *arguments)
{
	static const gw_statement call_tool = { "call_tool",
											"SELECT mulberry.call_tool($1, $2, $3::jsonb, $4)",
											false };
	talk_reply *reply = reply_of(arg);
	gw_talk *talk = reply->talk;
	talk_question *q = new_question(reply, &call_tool, 4);
	json_t *last = json_array_get(reply->messages, json_array_size(reply->messages) - 1);
	json_t *calls = json_object_get(last, "tool_calls");

	if (q == NULL)
		return;
	if (reply->n_results == 0)
	{
		last = json_pack("{s:s, s:s, s:[]}", "role", "assistant", "content",
						 reply->written.length == 0 ? "" : reply->written.data, "tool_calls");
		calls = json_object_get(last, "tool_calls");
		json_array_append_new(reply->messages, last);
	}
	json_array_append_new(calls, json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", id, "type", "function",
										   "function", "name", name, "arguments", arguments));
	reply->n_results++;
	put(q, 0, strdup(talk->call_id));
	put(q, 1, strdup(name));
	put(q, 2, strdup(arguments));
	put(q, 3, strdup(talk->tenant));
	q->tool = strdup(id);
	q->errand.done = tool_was_called;
	talk_errand_send(&q->errand);
}

static void
model_is_done(void *arg)
{
	talk_reply *reply = reply_of(arg);

	talk_race_done(arg);
	if (reply->deltas > 1 && http_clock() > reply->first_text_at)
		talk_measure(TALK_LLM_RATE, reply->talk->plan->chat[reply->race.service]->name,
					 (reply->deltas - 1) * (double) HTTP_SECOND /
						 (double) (http_clock() - reply->first_text_at));
	/* what tools bring is told to it */
	if (reply->n_results == 0)
		end_reply(reply);
}

static void
model_has_failed(void *arg, const char *why)
{
	talk_reply *reply = reply_of(arg);

	if (!talk_race_failed(arg, why))
		return;
	if (reply->n_pieces > 0)
	{
		end_reply(reply); /* what was begun is said, as far as it goes */
		return;
	}
	/* less than a sentence: the next one begins anew */
	mb_sentences_init(&reply->sentences);
	reply->written.length = 0;
	reply->deltas = 0;
	if (!talk_race_start(&reply->race, reply->race.next))
		talk_reply_fail(reply);
}

static const gw_chat_events events = { .begins = model_begins,
									   .text = model_writes,
									   .tool = model_wants,
									   .done = model_is_done,
									   .failed = model_has_failed };

static void *
start_chat(void *owner, talk_lane *lane)
{
	talk_reply *reply = owner;
	gw_talk *talk = reply->talk;

	return gw_chat_start(talk->client, talk->plan->chat[lane->service], reply->messages,
						 reply->calls, &events, lane);
}

static void
cancel_chat(void *request)
{
	gw_chat_cancel(request);
}

static const talk_race_kind models = { .kind = GW_TALK_REPLY,
									   .stage = TALK_LLM_TTFT,
									   .failure = "a language model has failed",
									   .ask = start_chat,
									   .cancel = cancel_chat };

static void
ask_model(talk_reply *reply)
{
	reply->written.length = 0;
	reply->first_text_at = 0;
	reply->deltas = 0;
	if (reply->rounds++ > MAX_ROUNDS)
		gw_log(GW_WARNING, "a language model calls tools without end", "call %s",
			   reply->talk->call_id);
	else if (talk_race_start(&reply->race, reply->race.service))
		return;
	talk_reply_fail(reply);
}
