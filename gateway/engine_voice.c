/*
 * engine_voice.c
 *	  What is said over a WebSocket with contexts, and what comes back; see engine_voice.h.
 *
 * A reply is a context: its sentences are sent one by one, each flushed, and its audio comes as one stream in which the times of
 * characters tell where a sentence ends.  A context that is closed, because all was sent or because nobody wants to hear the rest, may
 * still send audio, which is nobody's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "core/audio/g711.h"
#include "engine_voice_internal.h"

#define IDLE (4 * HTTP_SECOND)			   /* from one piece of audio to the next */
#define FORGOTTEN_AFTER (15 * HTTP_SECOND) /* a closed context that does not end */
#define BYTES_A_MS 8
#define SLICE 960

/* ---------------------------------------------------------------------------
 * What is sent
 * ---------------------------------------------------------------------------
 */

/* A message of a context: its members, one of which may be a text. */
static bool
tell(gw_context *context, const char *text, size_t n, const char *member)
{
	program_text message = { 0 };
	bool ok;

	program_text_puts(&message, "{");
	if (text != NULL)
	{
		program_text_puts(&message, "\"text\":");
		program_text_json(&message, text, n);
		program_text_puts(&message, ",");
	}
	program_text_printf(&message, "\"context_id\":\"%s\"%s}", context->id, member);
	ok = context->voice != NULL && !message.failed &&
		 gw_voice_send(context->voice, message.data, message.length);
	program_text_free(&message);
	return ok;
}

void
gw_voice_keep_alive(gw_voice *voice)
{
	static const char nothing[] = "{\"text\":\"\"}";

	for (gw_context *c = voice->contexts; c != NULL; c = c->next)
	{
		if (!c->closed)
			(void) tell(c, "", 0, "");
	}
	if (voice->contexts == NULL)
		(void) gw_voice_send(voice, nothing, sizeof(nothing) - 1);
}

/* ---------------------------------------------------------------------------
 * Contexts
 * ---------------------------------------------------------------------------
 */

static void
wait_for(gw_context *context, int64_t time)
{
	if (context->voice != NULL)
		http_loop_set_timer(context->voice->loop, &context->patience, http_clock() + time);
}

/* It goes from its socket; whoever owns it frees it. */
static void
end_context(gw_context *context)
{
	gw_voice *voice = context->voice;
	gw_context **place = &voice->contexts;

	while (*place != context)
		place = &(*place)->next;
	*place = context->next;
	voice->n_contexts--;
	http_loop_clear_timer(voice->loop, &context->patience);
	context->over = true;
	context->voice = NULL;
	if (!context->owned)
		free(context);
}

/* The last event of the first sentence. */
static void
finish(gw_context *context, const char *why)
{
	gw_sentence *s = context->sentences;

	context->sentences = s->next;
	if (s->cancelled)
		;
	else if (why == NULL)
		s->events.done(s->arg);
	else
		s->events.failed(s->arg, why);
	free(s->text);
	free(s);
}

/* Nothing comes of it any more. */
static void
fail_context(gw_context *context, const char *why)
{
	bool owned = context->owned;

	/* whoever is told may close it, and not free it */
	context->owned = true;
	if (!context->closed)
		(void) tell(context, NULL, 0, ",\"close_context\":true");
	context->closed = true;
	while (context->sentences != NULL)
		finish(context, why);
	context->owned = owned && context->owned;
	end_context(context);
}

static void
is_late(void *arg)
{
	gw_context *context = arg;

	if (context->sentences == NULL)
	{
		end_context(context);
		return;
	}
	/* others may have been luckier, but the next ones do not wait for it; of what nobody wants nothing need come */
	if (context->sentences->heard == 0 && !context->sentences->cancelled)
		context->voice->broken_until = http_clock() + GW_VOICE_BROKEN_FOR;
	fail_context(context, "it took too long");
}

/* The first sentence is waited for, or, when all have come, the end of a closed context. */
static void
wait_on(gw_context *context)
{
	const gw_sentence *s = context->sentences;

	if (s != NULL)
		wait_for(context,
				 s->heard > 0 && IDLE > context->voice->timeout ? IDLE : context->voice->timeout);
	else if (context->closed)
		wait_for(context, FORGOTTEN_AFTER);
	else
		http_loop_clear_timer(context->voice->loop, &context->patience);
}

void
gw_voice_end_contexts(gw_voice *voice, const char *why)
{
	while (voice->contexts != NULL)
	{
		gw_context *context = voice->contexts;

		for (gw_sentence *s = context->sentences; s != NULL && why == NULL; s = s->next)
			s->cancelled = true;
		fail_context(context, why);
	}
}

static bool
is_wanted(const gw_context *context)
{
	const gw_sentence *s = context->sentences;

	while (s != NULL && s->cancelled)
		s = s->next;
	return s != NULL;
}

void
gw_context_close(gw_context *context)
{
	if (context->over)
	{
		free(context);
		return;
	}
	context->owned = false;
	if (!context->closed)
		(void) tell(context, NULL, 0, ",\"close_context\":true");
	context->closed = true;
	while (context->sentences != NULL && !is_wanted(context))
		finish(context, NULL);
	wait_on(context);
}

static gw_context *
new_context(gw_voice *voice)
{
	gw_context *context = calloc(1, sizeof(*context));

	if (context == NULL)
		return NULL;
	context->voice = voice;
	context->owned = true;
	context->patience = (http_timer){ .due = is_late, .arg = context };
	snprintf(context->id, sizeof(context->id), "c%u", ++voice->made);
	context->next = voice->contexts;
	voice->contexts = context;
	voice->n_contexts++;
	if (tell(context, " ", 1, ""))
		return context;
	context->owned = false;
	end_context(context);
	return NULL;
}

/* ---------------------------------------------------------------------------
 * What comes
 * ---------------------------------------------------------------------------
 */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Characters of a text that are none of these. */
static size_t
count(const char *text, size_t n)
{
	size_t characters = 0;

	for (size_t i = 0; i < n; i++)
		characters += !is_blank(text[i]) && ((unsigned char) text[i] & 0xC0) != 0x80;
	return characters;
}

/* Gives audio to the first sentence. */
static void
give(gw_context *context, const uint8_t *mulaw, size_t n)
{
	int16_t samples[SLICE];

	while (n > 0 && context->sentences != NULL)
	{
		gw_sentence *s = context->sentences;
		size_t part = n < SLICE ? n : SLICE;

		for (size_t i = 0; i < part; i++)
			samples[i] = mb_mulaw_decode(mulaw[i]);
		s->heard += part;
		if (!s->cancelled)
			s->events.audio(s->arg, samples, part);
		mulaw += part;
		n -= part;
	}
}

/* A character of a sentence begins at so many samples of it. */
static void
tell_time(gw_sentence *s, bool blank, size_t at)
{
	size_t end = s->said;

	if (blank)
	{
		s->over = s->over < 0 && s->said > 0 ? (int64_t) at : s->over;
		return;
	}
	while (s->said < s->length && is_blank(s->text[s->said]))
		s->said++;
	if (s->said > end && end > 0 && !s->cancelled && s->events.word != NULL)
		s->events.word(s->arg, end,
					   (int32_t) ((s->over < 0 ? (int64_t) at : s->over) / BYTES_A_MS));
	s->over = -1;
	if (s->said < s->length)
		s->said++;
	while (s->said < s->length && ((unsigned char) s->text[s->said] & 0xC0) == 0x80)
		s->said++;
}

/* Audio with the times of its characters: where the last one of a sentence is over, the next sentence begins. */
static void
give_by_times(gw_context *context, const uint8_t *mulaw, size_t n, const json_t *chars,
			  const json_t *starts)
{
	size_t given = 0;
	bool ends = false; /* the first sentence does, before the next character */

	for (size_t i = 0; i < json_array_size(chars) && context->sentences != NULL; i++)
	{
		const char *c = json_string_value(json_array_get(chars, i));
		size_t characters = c == NULL ? 0 : count(c, strlen(c));
		json_int_t ms = json_integer_value(json_array_get(starts, i));
		size_t at = ms < 0 || ms > INT32_MAX ? 0 : (size_t) ms * BYTES_A_MS;
		gw_sentence *s = context->sentences;

		if (characters == 0)
		{
			tell_time(s, true, s->heard + (at > given ? at - given : 0));
			continue;
		}
		if (ends)
		{
			at = at < n ? at : n;
			if (at > given)
				give(context, mulaw + given, at - given);
			given = at > given ? at : given;
			finish(context, NULL);
			s = context->sentences;
			if (s == NULL)
				return;
		}
		for (size_t k = 0; k < characters; k++)
			tell_time(s, false, s->heard + (at > given ? at - given : 0));
		s->left -= characters < s->left ? characters : s->left;
		ends = s->left == 0;
	}
	give(context, mulaw + given, n - given);
	if (ends && context->sentences != NULL)
		finish(context, NULL);
}

/* The context has ended by itself, or because it was closed. */
static void
take_final(gw_context *context)
{
	bool owned = context->owned;

	context->owned = true;
	context->closed = true;
	while (context->sentences != NULL)
	{
		const gw_sentence *s = context->sentences;

		/* without times all of the audio is the first sentence's */
		finish(context, s->heard > 0 || !context->timed ? NULL : "it made no audio");
	}
	context->owned = owned && context->owned;
	end_context(context);
}

static void
take_audio(gw_context *context, const json_t *message)
{
	const json_t *alignment = json_object_get(message, "alignment");
	const json_t *chars = json_object_get(alignment, "chars");
	const char *base64 = json_string_value(json_object_get(message, "audio"));
	size_t n = 0;
	unsigned char *mulaw = base64 == NULL ? NULL : gw_base64_decode(base64, strlen(base64), &n);
	bool owned = context->owned;

	if (base64 != NULL && *base64 != '\0' && mulaw == NULL)
	{
		fail_context(context, "its audio is not base64");
		return;
	}
	context->owned = true;
	if (json_array_size(chars) > 0)
	{
		context->timed = true;
		give_by_times(context, mulaw, n, chars, json_object_get(alignment, "charStartTimesMs"));
	}
	else
		give(context, mulaw, n);
	free(mulaw);
	context->owned = owned && context->owned;
	if (json_is_true(json_object_get(message, "isFinal")))
		take_final(context);
	else
		wait_on(context);
}

static gw_context *
context_of(const gw_voice *voice, const json_t *message)
{
	const char *id = json_string_value(json_object_get(message, "contextId"));
	gw_context *context = voice->contexts;

	while (context != NULL && (id == NULL || strcmp(context->id, id) != 0))
		context = context->next;
	return context;
}

void
gw_voice_take(gw_voice *voice, const json_t *message)
{
	gw_context *context = context_of(voice, message);
	const json_t *error = json_object_get(message, "error");
	const char *why = json_string_value(json_object_get(message, "message"));

	if (why == NULL)
		why = json_is_string(error) ? json_string_value(error) : "it told of an error";
	if (!json_is_object(message))
		gw_voice_break(voice, "its answer is no JSON", true);
	else if (error != NULL && !json_is_null(error) && context != NULL)
		fail_context(context, why);
	else if (error != NULL && !json_is_null(error))
		gw_voice_break(voice, why, true);
	else if (context != NULL)
		take_audio(context, message);
}

/* ---------------------------------------------------------------------------
 * Who speaks
 * ---------------------------------------------------------------------------
 */

gw_sentence *
gw_voice_say(http_client *client, gw_service *service, gw_context **context, const char *text,
			 size_t n, const gw_utterance_events *events, void *arg)
{
	gw_context *own = NULL;
	gw_context **in = context == NULL ? &own : context;
	gw_sentence *s = calloc(1, sizeof(*s));
	gw_sentence **last;
	gw_voice *voice;
	program_text words = { 0 };
	bool sent = false;
	bool flushed;

	gw_voice_hold(client, service);
	if (s != NULL)
		s->text = strndup(text, n);
	if (*in != NULL && ((*in)->over || (*in)->closed))
	{
		gw_context_close(*in);
		*in = NULL;
	}
	if (*in == NULL && s != NULL && count(text, n) > 0)
	{
		voice = gw_voice_find(client, service, false);
		*in = voice == NULL ? NULL : new_context(voice);
	}
	/* a text ends with a blank */
	program_text_add(&words, text, n);
	program_text_puts(&words, " ");
	if (s != NULL && s->text != NULL && *in != NULL && count(text, n) > 0 && !words.failed)
		sent = tell(*in, words.data, words.length, "");
	flushed = sent && tell(*in, NULL, 0, ",\"flush\":true");
	program_text_free(&words);
	if (!flushed)
	{
		if (s != NULL)
			free(s->text);
		free(s);
		/* a part of it may be spoken: nothing else belongs to that */
		if (sent && own == NULL)
		{
			gw_context_close(*in);
			*in = NULL;
		}
		if (own != NULL)
			gw_context_close(own);
		return NULL;
	}
	s->events = *events;
	s->arg = arg;
	s->length = n;
	s->over = -1;
	s->left = count(text, n);
	for (last = &(*in)->sentences; *last != NULL; last = &(*last)->next)
		;
	*last = s;
	if ((*in)->sentences == s)
		wait_on(*in);
	if (own != NULL)
		gw_context_close(own);
	return s;
}

void
gw_sentence_cancel(gw_sentence *sentence)
{
	sentence->cancelled = true;
}
