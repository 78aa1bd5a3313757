/*
 * engine_ear.c
 *	  Speech to text of one call, over a WebSocket; see engine_ear.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/utf8.h"
#include "engine_ear.h"

#define OUR_RATE 8000
#define MOST_WAITING                                                                               \
	15 /* seconds of audio, beside the time that a connection has, for one that does not take them */
#define ALIVE_EVERY (4 * HTTP_SECOND)
#define SLICE 800 /* samples */
#define MAX_FACTOR 6

static void
free_ear(void *arg)
{
	gw_ear *ear = arg;

	http_loop_clear_timer(ear->loop, &ear->timer);
	http_loop_clear_timer(ear->loop, &ear->alive);
	http_loop_cancel(ear->loop, &ear->task);
	free(ear->resampler);
	free(ear->chunk);
	free(ear->text);
	free(ear);
}

/* No event follows; the line has been closed, or is about to be. */
static void
end(gw_ear *ear)
{
	ear->over = true;
	ear->line = NULL;
	http_loop_clear_timer(ear->loop, &ear->timer);
	http_loop_clear_timer(ear->loop, &ear->alive);
	http_loop_cancel(ear->loop, &ear->task);
	/* it may be within an event */
	ear->task = (http_task){ .run = free_ear, .arg = ear };
	http_loop_defer(ear->loop, &ear->task);
}

void
gw_ear_fail(gw_ear *ear, const char *why)
{
	if (ear->over)
		return;
	if (ear->line != NULL)
		http_line_close(ear->line);
	end(ear);
	ear->events.failed(ear->arg, why);
}

void
gw_ear_partial(gw_ear *ear, const char *text, size_t n)
{
	if (ear->over)
		return;
	ear->pending = n > 0;
	ear->events.partial(ear->arg, text, n);
}

void
gw_ear_final(gw_ear *ear, const char *text, size_t n, bool turn_over)
{
	if (ear->over)
		return;
	http_loop_clear_timer(ear->loop, &ear->timer);
	ear->pending = false;
	ear->events.final(ear->arg, text, n, turn_over);
}

static void
takes_nothing(void *arg)
{
	gw_ear_fail(arg, "it does not take what is said");
}

/* When it is not taken that is told from the loop: whoever is in the midst of telling something goes on with that. */
static void
send(gw_ear *ear, bool text, const char *bytes, size_t n)
{
	if (ear->line == NULL || n == 0)
		return;
	ear->sent = http_clock();
	if (http_line_send(ear->line, text, bytes, n) != HTTP_FULL)
		return;
	http_line_close(ear->line);
	ear->line = NULL;
	http_loop_cancel(ear->loop, &ear->task);
	ear->task = (http_task){ .run = takes_nothing, .arg = ear };
	http_loop_defer(ear->loop, &ear->task);
}

static void
send_chunk(gw_ear *ear)
{
	program_text message = { 0 };

	if (ear->n_chunk == 0)
		return;
	ear->form->audio(&message, ear->chunk, ear->n_chunk);
	ear->n_chunk = 0;
	if (!message.failed)
		send(ear, !ear->form->binary, message.data, message.length);
	program_text_free(&message);
}

static void
is_late(void *arg)
{
	gw_ear *ear = arg;

	/* a service that lives may answer nothing when there was nothing */
	if (ear->form->may_keep_silent && !ear->pending && ear->answered > 0 &&
		http_clock() - ear->answered < ALIVE_EVERY)
		gw_ear_final(ear, "", 0, false);
	else
		gw_ear_fail(ear, "it does not say what it heard");
}

static void
keep_alive(void *arg)
{
	gw_ear *ear = arg;

	if (http_clock() - ear->sent >= ALIVE_EVERY)
		send(ear, true, ear->form->alive, strlen(ear->form->alive));
	if (!ear->over)
		http_loop_set_timer(ear->loop, &ear->alive, ear->sent + ALIVE_EVERY);
}

static void
is_open(void *arg)
{
	gw_ear *ear = arg;

	ear->opened = true;
	if (ear->form->alive != NULL)
		http_loop_set_timer(ear->loop, &ear->alive, http_clock() + ALIVE_EVERY);
}

static void
take_message(void *arg, bool text, const char *bytes, size_t n)
{
	gw_ear *ear = arg;
	json_t *message = text ? json_loadb(bytes, n, 0, NULL) : NULL;

	ear->answered = http_clock();
	if (json_is_object(message))
		ear->form->take(ear, message);
	else
		gw_ear_fail(ear, "its answer is no JSON");
	json_decref(message);
}

static void
is_closed(void *arg, int code, const char *why)
{
	gw_ear *ear = arg;
	char text[128];

	ear->line = NULL;
	gw_service_closing(text, sizeof(text), code, why);
	gw_ear_fail(ear, text);
}

static size_t
most_waiting(const gw_service *service, const gw_ear_form *form)
{
	return (size_t) form->bytes_a_second * (size_t) (MOST_WAITING + service->timeout_ms / 1000);
}

gw_ear *
gw_ear_open(http_client *client, const gw_service *service, const gw_ear_events *events, void *arg)
{
	gw_ear *ear = calloc(1, sizeof(*ear));
	const gw_ear_form *form = gw_ear_form_of(service->form);
	char *header = gw_service_header(service, form->header, form->scheme);
	program_text url = { 0 };
	program_text hello = { 0 };
	size_t size = form->rate == OUR_RATE ? 0 : mb_resampler_size(OUR_RATE, form->rate);

	if (ear != NULL)
	{
		ear->client = client;
		ear->loop = http_client_loop(client);
		ear->form = form;
		ear->events = *events;
		ear->arg = arg;
		ear->timeout_ms = service->timeout_ms;
		ear->timer = (http_timer){ .due = is_late, .arg = ear };
		ear->alive = (http_timer){ .due = keep_alive, .arg = ear };
		ear->max_chunk = (size_t) form->rate / 1000 * form->chunk_ms;
		ear->chunk = malloc(ear->max_chunk * sizeof(int16_t));
		ear->text_room = 64;
		ear->text = malloc(ear->text_room);
		if (size > 0)
		{
			void *memory = malloc(size);

			if (memory == NULL ||
				mb_resampler_init(&ear->resampler, memory, size, OUR_RATE, form->rate) != MB_OK)
				free(memory);
		}
		program_text_puts(&url, service->url);
		form->address(service, &url);
		if (form->hello != NULL)
			form->hello(service, &hello);
		if (ear->chunk != NULL && ear->text != NULL && (size == 0 || ear->resampler != NULL) &&
			!url.failed && !hello.failed)
			ear->line = http_client_dial(
				client, &(http_dial){ .url = url.data,
									  .headers = (const char *const[]){ header, NULL },
									  .reach = gw_service_reach(service),
									  .max_queued = most_waiting(service, form),
									  .open = is_open,
									  .message = take_message,
									  .closed = is_closed,
									  .arg = ear });
		if (ear->line == NULL)
		{
			free_ear(ear);
			ear = NULL;
		}
		else
			send(ear, true, hello.data, hello.length);
	}
	gw_service_wipe(header);
	program_text_free(&url);
	program_text_free(&hello);
	return ear;
}

static void
add(gw_ear *ear, const int16_t *samples, size_t n)
{
	while (n > 0 && !ear->over)
	{
		size_t part = ear->max_chunk - ear->n_chunk;

		part = part < n ? part : n;
		memcpy(ear->chunk + ear->n_chunk, samples, part * sizeof(*samples));
		ear->n_chunk += part;
		samples += part;
		n -= part;
		if (ear->n_chunk == ear->max_chunk)
			send_chunk(ear);
	}
}

void
gw_ear_hear(gw_ear *ear, const int16_t *samples, size_t n)
{
	int16_t more[SLICE * MAX_FACTOR];

	if (ear->resampler == NULL)
	{
		add(ear, samples, n);
		return;
	}
	while (n > 0)
	{
		size_t part = n < SLICE / 2 ? n : SLICE / 2;

		add(ear, more, mb_resampler_feed(ear->resampler, samples, part, more));
		samples += part;
		n -= part;
	}
}

/* The service cannot be asked: what it has said of the turn so far is taken for what was said. */
static void
tell_what_is_known(void *arg)
{
	gw_ear *ear = arg;
	size_t from = ear->given < ear->length ? ear->given : ear->length;

	ear->given = ear->length;
	gw_ear_final(ear, ear->text + from, ear->length - from, false);
}

void
gw_ear_finalize(gw_ear *ear)
{
	if (ear->over)
		return;
	send_chunk(ear);
	if (ear->line == NULL)
		return;
	if (ear->form->finalize == NULL)
	{
		http_loop_cancel(ear->loop, &ear->task);
		ear->task = (http_task){ .run = tell_what_is_known, .arg = ear };
		http_loop_defer(ear->loop, &ear->task);
		return;
	}
	send(ear, true, ear->form->finalize, strlen(ear->form->finalize));
	if (ear->line != NULL && ear->timer.place == 0)
		http_loop_set_timer(ear->loop, &ear->timer,
							http_clock() + ear->timeout_ms * HTTP_MILLISECOND);
}

void
gw_ear_close(gw_ear *ear)
{
	http_line *line = ear->line;

	if (ear->over)
		return;
	if (line != NULL && ear->form->goodbye != NULL && ear->opened)
		(void) http_line_send(line, true, ear->form->goodbye, strlen(ear->form->goodbye));
	if (line != NULL)
		http_line_close(line);
	end(ear);
}
