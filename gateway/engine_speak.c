/*
 * engine_speak.c
 *	  Text to speech over HTTP, whose answer is audio that comes while it is made; see engine.h.
 *
 * OpenAI: POST audio/speech, as mulberry-speech has it too, linear audio with 24,000 samples a second.  ElevenLabs: POST
 * text-to-speech/VOICE/stream, mu-law with 8,000.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/audio/g711.h"
#include "core/audio/resample.h"
#include "engine_service.h"

#define OUR_RATE 8000
#define OPENAI_RATE 24000
#define SLICE 960 /* samples */
#define MAX_COMPLAINT 2048
#define MAX_AUDIO (24000 * 2 * 300) /* bytes: five minutes of the widest */

struct gw_utterance
{
	http_transfer *transfer;
	gw_utterance_events events;
	void *arg;
	mb_resampler *resampler; /* NULL: it is mu-law */
	uint8_t odd;			 /* the first half of a sample */
	bool has_odd;
	bool cancelled; /* within an event */
	bool telling;
	size_t heard;
	char complaint[MAX_COMPLAINT]; /* the body of an error */
	size_t complained;
};

static void
free_utterance(gw_utterance *u)
{
	free(u->resampler);
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
	size_t room = sizeof(u->complaint) - u->complained;

	if (status != 200)
	{
		n = n < room ? n : room;
		memcpy(u->complaint + u->complained, bytes, n);
		u->complained += n;
	}
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
	char text[MAX_COMPLAINT + 64];
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
			gw_service_complaint(text, sizeof(text), status, u->complaint, u->complained);
		u->events.failed(u->arg, text);
	}
	free_utterance(u);
}

static void
write_openai(const gw_service *service, const char *text, size_t n, program_text *url,
			 program_text *body)
{
	program_text_puts(url, "/audio/speech");
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
write_elevenlabs(const gw_service *service, const char *text, size_t n, program_text *url,
				 program_text *body)
{
	const char *model = *service->model == '\0' ? "eleven_flash_v2_5" : service->model;

	program_text_puts(url, "/text-to-speech/");
	gw_url_part(url, service->voice);
	program_text_puts(url, "/stream?output_format=ulaw_8000");
	program_text_puts(body, "{\"text\":");
	program_text_json(body, text, n);
	program_text_puts(body, ",\"model_id\":");
	program_text_json(body, model, strlen(model));
	program_text_puts(body, "}");
}

gw_utterance *
gw_utterance_start(http_client *client, const gw_service *service, const char *text, size_t n,
				   const gw_utterance_events *events, void *arg)
{
	bool eleven = service->form == GW_FORM_ELEVENLABS;
	gw_utterance *u = calloc(1, sizeof(*u));
	size_t size = mb_resampler_size(OPENAI_RATE, OUR_RATE);
	void *memory = eleven ? NULL : malloc(size);
	char *header =
		gw_service_header(service, eleven ? "xi-api-key" : "Authorization", eleven ? "" : "Bearer");
	program_text url = { 0 };
	program_text body = { 0 };

	if (u == NULL ||
		(!eleven && (memory == NULL || mb_resampler_init(&u->resampler, memory, size, OPENAI_RATE,
														 OUR_RATE) != MB_OK)))
	{
		free(memory);
		free(u);
		gw_service_wipe(header);
		return NULL;
	}
	u->events = *events;
	u->arg = arg;
	program_text_puts(&url, service->url);
	(eleven ? write_elevenlabs : write_openai)(service, text, n, &url, &body);
	if (!url.failed && !body.failed)
		u->transfer = http_client_ask(
			client, &(http_ask){ .url = url.data,
								 .headers = (const char *const[]){ "Content-Type: application/json",
																   header, NULL },
								 .body = body.data,
								 .length = body.length,
								 .reach = gw_service_reach(service),
								 .max_answer = MAX_AUDIO,
								 .piece = take_piece,
								 .done = is_done,
								 .arg = u });
	gw_service_wipe(header);
	program_text_free(&url);
	program_text_free(&body);
	if (u->transfer == NULL)
	{
		free_utterance(u);
		return NULL;
	}
	return u;
}

void
gw_utterance_cancel(gw_utterance *u)
{
	if (u->telling)
	{
		u->cancelled = true;
		return;
	}
	http_transfer_cancel(u->transfer);
	free_utterance(u);
}
