/*
 * engine_speak.c
 *	  Text to speech: over HTTP, whose answer is audio that comes while it is made, or where there is one over a socket; see engine.h.
 *
 * OpenAI: POST audio/speech, as mulberry-speech has it too, linear audio with 24,000 samples a second.  ElevenLabs: the socket of
 * engine_voice.h, and when that cannot be had POST text-to-speech/VOICE/stream, mu-law with 8,000.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/audio/g711.h"
#include "core/audio/resample.h"
#include "engine_voice.h"

#define OUR_RATE 8000
#define OPENAI_RATE 24000
#define SLICE 960					/* samples */
#define MAX_AUDIO (24000 * 2 * 300) /* bytes: five minutes of the widest */

struct gw_utterance
{
	http_client *client;
	gw_service *service;
	char *text; /* for a request, should the socket fail */
	size_t length;
	gw_sentence *sentence; /* over a socket; else */
	http_transfer *transfer;
	gw_utterance_events events;
	void *arg;
	mb_resampler *resampler; /* NULL: it is mu-law */
	uint8_t odd;			 /* the first half of a sample */
	bool has_odd;
	bool cancelled; /* within an event */
	bool telling;
	size_t heard;
	gw_complaint complaint;
};

static void
free_utterance(gw_utterance *u)
{
	gw_complaint_forget(&u->complaint);
	free(u->resampler);
	free(u->text);
	free(u);
}

static void
tell(gw_utterance *u, const int16_t *samples, size_t n)
{
	if (n == 0 || u->cancelled)
		return;
	u->heard += n;
	u->telling = true;
	u->events.audio(u->arg, samples, n);
	u->telling = false;
}

static void
take_mulaw(gw_utterance *u, const char *bytes, size_t n)
{
	int16_t samples[SLICE];

	while (n > 0 && !u->cancelled)
	{
		size_t part = n < SLICE ? n : SLICE;

		for (size_t i = 0; i < part; i++)
			samples[i] = mb_mulaw_decode((uint8_t) bytes[i]);
		tell(u, samples, part);
		bytes += part;
		n -= part;
	}
}

static void
take_linear(gw_utterance *u, const uint8_t *bytes, size_t n)
{
	int16_t samples[SLICE];
	int16_t ours[SLICE];

	while (n > 0 && !u->cancelled)
	{
		size_t k = 0;

		/* a piece may end in the midst of a sample */
		for (; n > 0 && k < SLICE; bytes++, n--)
		{
			if (u->has_odd)
				samples[k++] = (int16_t) (u->odd | *bytes << 8);
			u->odd = *bytes;
			u->has_odd = !u->has_odd;
		}
		tell(u, ours, mb_resampler_feed(u->resampler, samples, k, ours));
	}
}

static void
take_piece(void *arg, int status, const char *bytes, size_t n)
{
	gw_utterance *u = arg;

	if (status != 200)
		gw_complaint_add(&u->complaint, bytes, n);
	else if (u->resampler == NULL)
		take_mulaw(u, bytes, n);
	else
		take_linear(u, (const uint8_t *) bytes, n);
	if (u->cancelled)
	{
		http_transfer_cancel(u->transfer);
		free_utterance(u);
	}
}

static void
is_done(void *arg, int status, const char *why)
{
	gw_utterance *u = arg;
	char text[GW_WHY];
	int16_t rest[SLICE];

	if (why == NULL && status == 200 && u->resampler != NULL)
		tell(u, rest, mb_resampler_flush(u->resampler, rest));
	if (u->cancelled)
	{
		free_utterance(u);
		return;
	}
	if (why == NULL && status == 200 && u->heard > 0)
		u->events.done(u->arg);
	else
	{
		if (why != NULL)
			snprintf(text, sizeof(text), "%s", why);
		else if (status == 200)
			snprintf(text, sizeof(text), "it made no audio");
		else
			gw_complaint_read(&u->complaint, status, text);
		u->events.failed(u->arg, text);
	}
	free_utterance(u);
}

static void
write_openai(const gw_service *service, const char *text, size_t n, program_text *path,
			 program_text *body)
{
	program_text_puts(path, "/audio/speech");
	program_text_puts(body, "{\"input\":");
	program_text_json(body, text, n);
	if (*service->model != '\0')
	{
		program_text_puts(body, ",\"model\":");
		program_text_json(body, service->model, strlen(service->model));
	}
	if (*service->voice != '\0')
	{
		program_text_puts(body, ",\"voice\":");
		program_text_json(body, service->voice, strlen(service->voice));
	}
	program_text_puts(body, ",\"response_format\":\"pcm\"}");
}

static void
write_elevenlabs(const gw_service *service, const char *text, size_t n, program_text *path,
				 program_text *body)
{
	const char *model = *service->model == '\0' ? GW_ELEVENLABS_MODEL : service->model;

	program_text_puts(path, "/text-to-speech/");
	gw_url_part(path, service->voice);
	program_text_puts(path, "/stream?output_format=ulaw_8000");
	program_text_puts(body, "{\"text\":");
	program_text_json(body, text, n);
	program_text_puts(body, ",\"model_id\":");
	program_text_json(body, model, strlen(model));
	program_text_puts(body, "}");
}

/* False when it cannot even be tried. */
static bool
send_request(gw_utterance *u)
{
	const gw_service *service = u->service;
	bool eleven = service->form == GW_FORM_ELEVENLABS;
	size_t size = mb_resampler_size(OPENAI_RATE, OUR_RATE);
	void *memory = eleven ? NULL : malloc(size);
	program_text path = { 0 };
	program_text body = { 0 };

	if (!eleven && (memory == NULL ||
					mb_resampler_init(&u->resampler, memory, size, OPENAI_RATE, OUR_RATE) != MB_OK))
	{
		free(memory);
		return false;
	}
	(eleven ? write_elevenlabs : write_openai)(service, u->text, u->length, &path, &body);
	if (!path.failed)
		u->transfer = gw_service_ask(
			u->client, service,
			&(gw_service_request){
				.path = path.data,
				.header = eleven ? "xi-api-key" : "Authorization",
				.scheme = eleven ? "" : "Bearer",
				.headers = (const char *const[]){ "Content-Type: application/json", NULL },
				.body = &body,
				.max_answer = MAX_AUDIO,
				.piece = take_piece,
				.done = is_done,
				.arg = u });
	program_text_free(&path);
	program_text_free(&body);
	return u->transfer != NULL;
}

/* ---------------------------------------------------------------------------
 * Over a socket
 * ---------------------------------------------------------------------------
 */

static void
said_audio(void *arg, const int16_t *samples, size_t n)
{
	gw_utterance *u = arg;

	tell(u, samples, n);
	if (u->cancelled)
	{
		gw_sentence_cancel(u->sentence);
		free_utterance(u);
	}
}

static void
said_done(void *arg)
{
	gw_utterance *u = arg;

	u->events.done(u->arg);
	free_utterance(u);
}

/* What has been heard of it stays in its voice; what has not is asked for by a request. */
static void
said_failed(void *arg, const char *why)
{
	gw_utterance *u = arg;

	u->sentence = NULL;
	if (u->heard == 0)
	{
		u->events.fell_back(u->arg, why);
		if (send_request(u))
			return;
	}
	u->events.failed(u->arg, why);
	free_utterance(u);
}

static void
said_word(void *arg, size_t bytes, int32_t ms)
{
	const gw_utterance *u = arg;

	if (u->events.word != NULL && !u->cancelled)
		u->events.word(u->arg, bytes, ms);
}

static const gw_utterance_events said = {
	.audio = said_audio, .done = said_done, .failed = said_failed, .word = said_word
};

/* ---------------------------------------------------------------------------
 * Both
 * ---------------------------------------------------------------------------
 */

gw_utterance *
gw_utterance_start(http_client *client, gw_service *service, gw_context **context, const char *text,
				   size_t n, const gw_utterance_events *events, void *arg)
{
	gw_utterance *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->client = client;
	u->service = service;
	u->text = strndup(text, n);
	u->length = n;
	u->events = *events;
	u->arg = arg;
	if (u->text != NULL && gw_voice_is_of(service))
		u->sentence = gw_voice_say(client, service, context, text, n, &said, u);
	if (u->text != NULL && (u->sentence != NULL || send_request(u)))
		return u;
	free_utterance(u);
	return NULL;
}

void
gw_utterance_cancel(gw_utterance *u)
{
	if (u->telling)
	{
		u->cancelled = true;
		return;
	}
	if (u->sentence != NULL)
		gw_sentence_cancel(u->sentence);
	else
		http_transfer_cancel(u->transfer);
	free_utterance(u);
}

void
gw_speaker_warm(http_client *client, gw_service *service)
{
	if (gw_voice_is_of(service))
		gw_voice_hold(client, service);
	else
		gw_service_warm(client, service);
}
