/*
 * engine_ear_forms.c
 *	  What services of speech to text want to be sent over their WebSockets, and what they send.
 *
 * Deepgram: https://developers.deepgram.com/reference (v1/listen, v2/listen), whose first form mulberry-speech has as well.
 * ElevenLabs: speech-to-text/realtime.  OpenAI: realtime transcription.
 */
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "core/audio/g711.h"
#include "core/text/utf8.h"
#include "engine_ear.h"

#define DEEPGRAM_CHUNK_MS 60 /* what is left of one is sent when a final text is asked for */
#define TURNS_CHUNK_MS 80
#define OTHERS_CHUNK_MS 100
#define TELEPHONE_RATE 8000
#define OPENAI_RATE 24000
#define SLICE 800 /* samples */

/* ---------------------------------------------------------------------------
 * What they have in common
 * ---------------------------------------------------------------------------
 */

static void
add_mulaw(program_text *message, const int16_t *samples, size_t n)
{
	uint8_t bytes[SLICE];

	while (n > 0)
	{
		size_t part = n < SLICE ? n : SLICE;

		(void) mb_audio_encode(MB_MULAW, samples, part, bytes);
		program_text_add(message, bytes, part);
		samples += part;
		n -= part;
	}
}

static void
add_base64(program_text *message, const void *bytes, size_t n)
{
	char *text = malloc(GW_BASE64_LENGTH(n) + 1);

	if (text == NULL)
	{
		message->failed = true;
		return;
	}
	gw_base64_encode(bytes, n, text);
	program_text_add(message, text, GW_BASE64_LENGTH(n));
	free(text);
}

static const char *
string_of(const json_t *message, const char *name)
{
	const char *text = json_string_value(json_object_get(message, name));

	return text == NULL ? "" : text;
}

static bool
make_room(gw_ear *ear, size_t n)
{
	char *more;

	if (n <= ear->text_room)
		return true;
	more = realloc(ear->text, n);
	if (more == NULL)
		return false;
	ear->text = more;
	ear->text_room = n;
	return true;
}

/* Remembers what was said since the last final text, at most as much as there is room for. */
static void
remember(gw_ear *ear, const char *text)
{
	size_t n = strlen(text);

	n = n < GW_EAR_TEXT ? n : mb_utf8_prefix(text, GW_EAR_TEXT - 1);
	if (!make_room(ear, n))
		return;
	memcpy(ear->text, text, n);
	ear->length = n;
}

static void
add_parameter(program_text *url, const char *name, const char *value)
{
	program_text_printf(url, "&%s=", name);
	gw_url_part(url, value);
}

/* ---------------------------------------------------------------------------
 * Deepgram, v1
 * ---------------------------------------------------------------------------
 */

static void
deepgram_address(const gw_service *service, program_text *url)
{
	program_text_puts(url,
					  "/listen?encoding=mulaw&sample_rate=8000&channels=1&interim_results=true");
	add_parameter(url, "endpointing", gw_service_option(service, "endpointing", "300"));
	if (*service->model != '\0')
		add_parameter(url, "model", service->model);
	if (*service->language != '\0')
		add_parameter(url, "language", service->language);
	program_text_puts(url, "&smart_format=true");
}

static void
deepgram_take(gw_ear *ear, const json_t *message)
{
	const char *type = string_of(message, "type");
	const json_t *channel = json_object_get(message, "channel");
	const json_t *first = json_array_get(json_object_get(channel, "alternatives"), 0);
	const char *text = string_of(first, "transcript");

	if (strcmp(type, "Error") == 0)
		gw_ear_fail(ear, json_object_get(message, "description") != NULL
							 ? string_of(message, "description")
							 : string_of(message, "message"));
	else if (strcmp(type, "Results") != 0)
		; /* of other matters */
	else if (first == NULL)
		gw_ear_fail(ear, "a result has no transcript");
	else if (!json_is_true(json_object_get(message, "is_final")))
		gw_ear_partial(ear, text, strlen(text));
	else if (*text != '\0' || json_is_true(json_object_get(message, "from_finalize")))
		gw_ear_final(ear, text, strlen(text),
					 json_is_true(json_object_get(message, "speech_final")));
}

static const gw_ear_form deepgram = { .rate = TELEPHONE_RATE,
									  .chunk_ms = DEEPGRAM_CHUNK_MS,
									  .bytes_a_second = TELEPHONE_RATE,
									  .address = deepgram_address,
									  .header = "Authorization",
									  .scheme = "Token",
									  .audio = add_mulaw,
									  .binary = true,
									  .finalize = "{\"type\":\"Finalize\"}",
									  .may_keep_silent = true,
									  .alive = "{\"type\":\"KeepAlive\"}",
									  .goodbye = "{\"type\":\"CloseStream\"}",
									  .take = deepgram_take };

/* ---------------------------------------------------------------------------
 * Deepgram, v2: the service finds the turns
 * ---------------------------------------------------------------------------
 */

static void
turns_address(const gw_service *service, program_text *url)
{
	program_text_puts(url, "/listen?encoding=mulaw&sample_rate=8000");
	add_parameter(url, "model", *service->model == '\0' ? "flux-general-en" : service->model);
	add_parameter(url, "eot_threshold", gw_service_option(service, "eot_threshold", "0.7"));
	if (gw_service_option(service, "eager_eot_threshold", NULL) != NULL)
		add_parameter(url, "eager_eot_threshold",
					  gw_service_option(service, "eager_eot_threshold", ""));
}

static void
turns_take(gw_ear *ear, const json_t *message)
{
	const char *type = string_of(message, "type");
	const char *event = string_of(message, "event");
	size_t from;

	if (strcmp(type, "Error") == 0)
		gw_ear_fail(ear, string_of(message, "description"));
	if (strcmp(type, "TurnInfo") != 0)
		return;
	if (strcmp(event, "StartOfTurn") == 0)
		ear->given = 0;
	remember(ear, string_of(message, "transcript"));
	from = ear->given < ear->length ? ear->given : ear->length;
	/* what was given may have been put otherwise since; its length is the best that is known */
	while (from > 0 && from < ear->length && ((unsigned char) ear->text[from] & 0xC0) == 0x80)
		from--;
	if (strcmp(event, "EndOfTurn") != 0)
	{
		gw_ear_partial(ear, ear->text + from, ear->length - from);
		return;
	}
	ear->given = 0;
	gw_ear_final(ear, ear->text + from, ear->length - from, true);
	ear->length = 0;
}

static const gw_ear_form turns = { .rate = TELEPHONE_RATE,
								   .chunk_ms = TURNS_CHUNK_MS,
								   .bytes_a_second = TELEPHONE_RATE,
								   .address = turns_address,
								   .header = "Authorization",
								   .scheme = "Token",
								   .audio = add_mulaw,
								   .binary = true,
								   .goodbye = "{\"type\":\"CloseStream\"}",
								   .take = turns_take };

/* ---------------------------------------------------------------------------
 * ElevenLabs
 * ---------------------------------------------------------------------------
 */

static void
elevenlabs_address(const gw_service *service, program_text *url)
{
	program_text_puts(url,
					  "/speech-to-text/realtime?audio_format=ulaw_8000&commit_strategy=manual");
	add_parameter(url, "model_id", *service->model == '\0' ? "scribe_v2_realtime" : service->model);
	if (*service->language != '\0')
		add_parameter(url, "language_code", service->language);
}

static void
elevenlabs_audio(program_text *message, const int16_t *samples, size_t n)
{
	program_text mulaw = { 0 };

	add_mulaw(&mulaw, samples, n);
	program_text_puts(message, "{\"message_type\":\"input_audio_chunk\",\"audio_base_64\":\"");
	add_base64(message, mulaw.data, mulaw.length);
	program_text_puts(message, "\",\"commit\":false,\"sample_rate\":8000}");
	message->failed = message->failed || mulaw.failed;
	program_text_free(&mulaw);
}

static void
elevenlabs_take(gw_ear *ear, const json_t *message)
{
	const char *type = string_of(message, "message_type");
	const char *text = string_of(message, "text");

	if (strcmp(type, "partial_transcript") == 0)
		gw_ear_partial(ear, text, strlen(text));
	else if (strcmp(type, "committed_transcript") == 0)
		gw_ear_final(ear, text, strlen(text), false);
	else if (strcmp(type, "commit_throttled") == 0)
		gw_ear_final(ear, "", 0, false); /* too little was said since the last one */
	else if (json_object_get(message, "error") != NULL || strstr(type, "error") != NULL)
		gw_ear_fail(ear, *string_of(message, "error") == '\0' ? type : string_of(message, "error"));
}

static const gw_ear_form elevenlabs = {
	.rate = TELEPHONE_RATE,
	.chunk_ms = OTHERS_CHUNK_MS,
	.bytes_a_second = TELEPHONE_RATE * 3 / 2,
	.address = elevenlabs_address,
	.header = "xi-api-key",
	.scheme = "",
	.audio = elevenlabs_audio,
	.finalize = "{\"message_type\":\"input_audio_chunk\",\"audio_base_64\":\"\",\"commit\":true,"
				"\"sample_rate\":8000}",
	.take = elevenlabs_take
};

/* ---------------------------------------------------------------------------
 * OpenAI
 * ---------------------------------------------------------------------------
 */

static void
openai_address(const gw_service *service, program_text *url)
{
	(void) service;
	program_text_puts(url, "/realtime?intent=transcription");
}

static void
openai_hello(const gw_service *service, program_text *message)
{
	const char *model = *service->model == '\0' ? "gpt-4o-mini-transcribe" : service->model;
	const char *language = gw_service_option(service, "language", service->language);

	program_text_puts(
		message, "{\"type\":\"session.update\",\"session\":{\"type\":\"transcription\",\"audio\":{"
				 "\"input\":{\"format\":{\"type\":\"audio/pcm\",\"rate\":24000},"
				 "\"transcription\":{\"model\":");
	program_text_json(message, model, strlen(model));
	if (*language != '\0')
	{
		program_text_puts(message, ",\"language\":");
		program_text_json(message, language, strlen(language));
	}
	program_text_puts(message, "},\"turn_detection\":null}}}}");
}

static void
openai_audio(program_text *message, const int16_t *samples, size_t n)
{
	program_text_puts(message, "{\"type\":\"input_audio_buffer.append\",\"audio\":\"");
	add_base64(message, samples, n * sizeof(*samples));
	program_text_puts(message, "\"}");
}

static void
openai_take(gw_ear *ear, const json_t *message)
{
	static const char prefix[] = "conversation.item.input_audio_transcription.";
	const char *type = string_of(message, "type");
	const json_t *error = json_object_get(message, "error");

	if (strcmp(type, "error") == 0)
	{
		/* to commit nothing is no matter: nothing was said */
		if (strcmp(string_of(error, "code"), "input_audio_buffer_commit_empty") == 0)
			gw_ear_final(ear, "", 0, false);
		else
			gw_ear_fail(ear, string_of(error, "message"));
		return;
	}
	if (strncmp(type, prefix, sizeof(prefix) - 1) != 0)
		return;
	type += sizeof(prefix) - 1;
	if (strcmp(type, "delta") == 0)
	{
		const char *delta = string_of(message, "delta");
		size_t n = strlen(delta);

		if (ear->length + n < GW_EAR_TEXT && make_room(ear, ear->length + n))
		{
			memcpy(ear->text + ear->length, delta, n);
			ear->length += n;
		}
		gw_ear_partial(ear, ear->text, ear->length);
	}
	else if (strcmp(type, "completed") == 0)
	{
		ear->length = 0;
		gw_ear_final(ear, string_of(message, "transcript"),
					 strlen(string_of(message, "transcript")), false);
	}
	else if (strcmp(type, "failed") == 0)
		gw_ear_fail(ear, string_of(error, "message"));
}

static const gw_ear_form openai = { .rate = OPENAI_RATE,
									.chunk_ms = OTHERS_CHUNK_MS,
									.bytes_a_second = OPENAI_RATE * 3,
									.address = openai_address,
									.header = "Authorization",
									.scheme = "Bearer",
									.hello = openai_hello,
									.audio = openai_audio,
									.finalize = "{\"type\":\"input_audio_buffer.commit\"}",
									.take = openai_take };

const gw_ear_form *
gw_ear_form_of(gw_form form)
{
	switch (form)
	{
		case GW_FORM_DEEPGRAM:
			return &deepgram;
		case GW_FORM_DEEPGRAM2:
			return &turns;
		case GW_FORM_ELEVENLABS:
			return &elevenlabs;
		default:
			return &openai;
	}
}
