/*
 * engine_scribe.c
 *	  Speech to text over HTTP, an utterance at a time: POST audio/transcriptions with a file, as jobs send it, for services that have
 *	  no stream or whose stream cannot be had; see engine.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/audio/g711.h"
#include "core/audio/wav.h"
#include "engine_service.h"

#define RATE 8000
#define SHORTEST 1600 /* samples; services refuse what is much shorter: silence goes behind it */
#define MAX_ANSWER (256 * 1024)
#define BOUNDARY 32 /* characters */

/* Silence makes Whisper invent sentences; the limits are the defaults of its reference implementation. */
#define NO_SPEECH_PROB 0.6
#define AVG_LOGPROB -1.0

struct gw_scribe
{
	http_client *client;
	gw_service *service;
	gw_scribe_events events;
	void *arg;
	http_transfer *opening;
	bool reached;
	http_transfer *asking;
	http_task task;			/* nothing could be sent */
	program_text utterance; /* that is asked for, a file */
	bool plain;				/* in the simpler form of answer */
	program_text answer;
	gw_complaint complaint;
};

static void
free_scribe(gw_scribe *scribe)
{
	program_text_free(&scribe->utterance);
	program_text_free(&scribe->answer);
	gw_complaint_forget(&scribe->complaint);
	free(scribe);
}

static void
stop(gw_scribe *scribe)
{
	if (scribe->opening != NULL)
		http_transfer_cancel(scribe->opening);
	if (scribe->asking != NULL)
		http_transfer_cancel(scribe->asking);
	scribe->opening = NULL;
	scribe->asking = NULL;
	http_loop_cancel(http_client_loop(scribe->client), &scribe->task);
}

static void
fail(gw_scribe *scribe, const char *why)
{
	gw_scribe_events events = scribe->events;
	void *arg = scribe->arg;

	stop(scribe);
	free_scribe(scribe);
	events.failed(arg, why);
}

static void
could_not_send(void *arg)
{
	fail(arg, "it cannot be asked");
}

/* Any answer says that somebody is there. */
static void
is_reached(void *arg, int status, const char *bytes, size_t n)
{
	(void) status;
	(void) bytes;
	(void) n;
	((gw_scribe *) arg)->reached = true;
}

/* An utterance that is under way tells by itself. */
static void
has_answered(void *arg, int status, const char *why)
{
	gw_scribe *scribe = arg;

	(void) status;
	scribe->opening = NULL;
	if (why != NULL && !scribe->reached && scribe->asking == NULL)
		fail(scribe, why);
}

gw_scribe *
gw_scribe_open(http_client *client, gw_service *service, const gw_scribe_events *events, void *arg)
{
	gw_scribe *scribe = calloc(1, sizeof(*scribe));

	if (scribe == NULL)
		return NULL;
	scribe->client = client;
	scribe->service = service;
	scribe->events = *events;
	scribe->arg = arg;
	scribe->task = (http_task){ .run = could_not_send, .arg = scribe };
	scribe->opening = gw_service_reach_out(client, service, is_reached, has_answered, scribe);
	if (scribe->opening != NULL)
		return scribe;
	free_scribe(scribe);
	return NULL;
}

/* ---------------------------------------------------------------------------
 * What comes back
 * ---------------------------------------------------------------------------
 */

static bool
is_silent(const json_t *segment)
{
	const json_t *no_speech = json_object_get(segment, "no_speech_prob");
	const json_t *logprob = json_object_get(segment, "avg_logprob");

	return json_is_number(no_speech) && json_is_number(logprob) &&
		   json_number_value(no_speech) > NO_SPEECH_PROB &&
		   json_number_value(logprob) < AVG_LOGPROB;
}

/* The text of an answer, without what the model itself takes for silence; false when there is none. */
static bool
read_text(const json_t *answer, program_text *text)
{
	const json_t *said = json_object_get(answer, "text");
	const json_t *segments = json_object_get(answer, "segments");
	const json_t *error = json_object_get(answer, "error");
	size_t dropped = 0;

	for (size_t i = 0; i < json_array_size(segments); i++)
		dropped += is_silent(json_array_get(segments, i));
	if (dropped > 0)
	{
		for (size_t i = 0; i < json_array_size(segments); i++)
		{
			const json_t *segment = json_array_get(segments, i);
			const char *words = json_string_value(json_object_get(segment, "text"));

			if (words != NULL && !is_silent(segment))
				program_text_puts(text, words);
		}
		return true;
	}
	if (json_is_string(said))
	{
		program_text_puts(text, json_string_value(said));
		return true;
	}
	/* null is how some servers say that nothing was said */
	return json_is_null(said) && (error == NULL || json_is_null(error));
}

static void
take_answer(gw_scribe *scribe)
{
	json_t *answer = json_loadb(scribe->answer.length == 0 ? "" : scribe->answer.data,
								scribe->answer.length, 0, NULL);
	program_text text = { 0 };

	if (!json_is_object(answer))
		fail(scribe, "its answer is no JSON");
	else if (!read_text(answer, &text))
		fail(scribe, "its answer has no text");
	else
	{
		const char *words = text.length == 0 ? "" : text.data;
		size_t n = text.length;

		while (n > 0 && strchr(" \t\r\n", words[n - 1]) != NULL)
			n--;
		while (n > 0 && strchr(" \t\r\n", *words) != NULL)
		{
			words++;
			n--;
		}
		scribe->events.text(scribe->arg, words, n);
	}
	program_text_free(&text);
	json_decref(answer);
}

static void send_file(gw_scribe *scribe);

static bool
says_how(const gw_service *service)
{
	return gw_service_option(service, "response_format", NULL) != NULL;
}

static void
is_done(void *arg, int status, const char *why)
{
	gw_scribe *scribe = arg;
	gw_service *service = scribe->service;
	char text[GW_WHY];

	scribe->asking = NULL;
	if (why != NULL)
		fail(scribe, why);
	else if (status == 200)
	{
		/* other calls have the same service: what it takes in no form says nothing of its forms */
		service->plain = scribe->plain;
		take_answer(scribe);
	}
	else if ((status == 400 || status == 415 || status == 422) && !scribe->plain &&
			 !says_how(service))
	{
		/* some know "json" only */
		scribe->plain = true;
		send_file(scribe);
	}
	else
	{
		gw_complaint_read(&scribe->complaint, status, text);
		fail(scribe, text);
	}
}

static void
take_piece(void *arg, int status, const char *bytes, size_t n)
{
	gw_scribe *scribe = arg;

	if (status == 200)
		program_text_add(&scribe->answer, bytes, n);
	else
		gw_complaint_add(&scribe->complaint, bytes, n);
}

/* ---------------------------------------------------------------------------
 * What is sent
 * ---------------------------------------------------------------------------
 */

static void
write_file(program_text *file, const uint8_t *mulaw, size_t n)
{
	size_t samples = n < SHORTEST ? SHORTEST : n;
	uint8_t header[MB_WAV_HEADER_MAX];

	if (mb_wav_write_header(header, sizeof(header), MB_S16LE, 1, RATE, samples) == MB_OK)
		program_text_add(file, header, mb_wav_header_size(MB_S16LE));
	else
		file->failed = true;
	for (size_t i = 0; i < samples; i++)
	{
		int16_t sample = i < n ? mb_mulaw_decode(mulaw[i]) : 0;
		uint8_t bytes[2] = { (uint8_t) sample, (uint8_t) ((uint16_t) sample >> 8) };

		program_text_add(file, bytes, sizeof(bytes));
	}
}

static void
add_field(program_text *body, const char *boundary, const char *name, const char *value)
{
	if (value != NULL && *value != '\0')
		program_text_printf(body,
							"--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n",
							boundary, name, value);
}

static void
write_form(const gw_scribe *scribe, const char *boundary, program_text *body)
{
	const gw_service *service = scribe->service;
	const json_t *temperature = json_object_get(service->options, "temperature");
	char number[32];

	program_text_printf(body,
						"--%s\r\nContent-Disposition: form-data; name=\"file\"; "
						"filename=\"call.wav\"\r\nContent-Type: audio/wav\r\n\r\n",
						boundary);
	program_text_add(body, scribe->utterance.data, scribe->utterance.length);
	program_text_puts(body, "\r\n");
	add_field(body, boundary, "model", service->model);
	add_field(
		body, boundary, "response_format",
		gw_service_option(service, "response_format", scribe->plain ? "json" : "verbose_json"));
	add_field(body, boundary, "language",
			  gw_service_option(service, "language", service->language));
	add_field(body, boundary, "prompt", gw_service_option(service, "prompt", NULL));
	if (json_is_number(temperature))
	{
		snprintf(number, sizeof(number), "%g", json_number_value(temperature));
		add_field(body, boundary, "temperature", number);
	}
	program_text_printf(body, "--%s--\r\n", boundary);
}

static void
send_file(gw_scribe *scribe)
{
	char type[sizeof("Content-Type: multipart/form-data; boundary=") + BOUNDARY];
	unsigned char random[BOUNDARY / 2] = { 0 };
	char boundary[BOUNDARY + 1];
	program_text body = { 0 };

	scribe->answer.length = 0;
	gw_complaint_forget(&scribe->complaint);
	(void) getrandom(random, sizeof(random), 0);
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(boundary + 2 * i, 3, "%02x", random[i]);
	snprintf(type, sizeof(type), "Content-Type: multipart/form-data; boundary=%s", boundary);
	write_form(scribe, boundary, &body);
	if (!scribe->utterance.failed)
		scribe->asking =
			gw_service_ask(scribe->client, scribe->service,
						   &(gw_service_request){ .path = "/audio/transcriptions",
												  .header = "Authorization",
												  .scheme = "Bearer",
												  .headers = (const char *const[]){ type, NULL },
												  .body = &body,
												  .max_answer = MAX_ANSWER,
												  .piece = take_piece,
												  .done = is_done,
												  .arg = scribe });
	if (scribe->asking == NULL)
		http_loop_defer(http_client_loop(scribe->client), &scribe->task);
	program_text_free(&body);
}

void
gw_scribe_ask(gw_scribe *scribe, const uint8_t *mulaw, size_t n)
{
	scribe->plain = scribe->service->plain || strncmp(scribe->service->model, "gpt-4o", 6) == 0;
	scribe->utterance.length = 0;
	write_file(&scribe->utterance, mulaw, n);
	send_file(scribe);
}

bool
gw_scribe_is_busy(const gw_scribe *scribe)
{
	return scribe->asking != NULL;
}

void
gw_scribe_close(gw_scribe *scribe)
{
	stop(scribe);
	free_scribe(scribe);
}
