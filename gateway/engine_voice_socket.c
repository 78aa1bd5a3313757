/*
 * engine_voice_socket.c
 *	  The WebSockets of voices: one for several replies at a time, kept open while a conversation may need it; see engine_voice.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_voice_internal.h"

#define MAX_CONTEXTS 5				   /* of a socket at a time, as the service allows */
#define ALIVE_EVERY (10 * HTTP_SECOND) /* it closes what is silent for twenty */
#define LINGERS (30 * HTTP_SECOND)	   /* when nobody holds it */
#define MAX_WAITING (256 * 1024)

static gw_voice *voices;

bool
gw_voice_send(gw_voice *voice, const char *message, size_t n)
{
	if (voice->line == NULL)
		return false;
	voice->sent = http_clock();
	return http_line_send(voice->line, true, message, n) == HTTP_SENT;
}

static void
free_voice(gw_voice *voice)
{
	gw_voice **place = &voices;

	while (*place != voice)
		place = &(*place)->next;
	*place = voice->next;
	http_loop_clear_timer(voice->loop, &voice->timer);
	gw_service_wipe(voice->header);
	free(voice->url);
	free(voice->owner);
	free(voice);
}

void
gw_voice_break(gw_voice *voice, const char *why, bool broken)
{
	http_line *line = voice->line;

	voice->line = NULL;
	voice->opened = false;
	if (line != NULL)
		http_line_close(line);
	if (broken)
		voice->broken_until = http_clock() + GW_VOICE_BROKEN_FOR;
	gw_voice_end_contexts(voice, why);
}

static void
is_open(void *arg)
{
	((gw_voice *) arg)->opened = true;
}

static void
take_message(void *arg, bool text, const char *bytes, size_t n)
{
	json_t *message = text ? json_loadb(bytes, n, 0, NULL) : NULL;

	gw_voice_take(arg, message);
	json_decref(message);
}

/* Whether audio is awaited. */
static bool
speaks(const gw_voice *voice)
{
	const gw_context *context = voice->contexts;

	while (context != NULL && context->sentences == NULL)
		context = context->next;
	return context != NULL;
}

static void
is_closed(void *arg, int code, const char *why)
{
	gw_voice *voice = arg;
	char text[128];

	voice->line = NULL;
	gw_service_closing(text, sizeof(text), code, why);
	/* one over which nothing was awaited was not needed, or has had its time */
	gw_voice_break(voice, text, !voice->opened || speaks(voice));
}

static void
dial(gw_voice *voice)
{
	voice->dialled = http_clock();
	voice->sent = voice->dialled;
	voice->line = http_client_dial(
		voice->client, &(http_dial){ .url = voice->url,
									 .headers = (const char *const[]){ voice->header, NULL },
									 .reach = voice->reach,
									 .max_queued = MAX_WAITING,
									 .open = is_open,
									 .message = take_message,
									 .closed = is_closed,
									 .arg = voice });
	if (voice->line == NULL)
		voice->broken_until = voice->dialled + GW_VOICE_BROKEN_FOR;
}

static void
time_has_come(void *arg)
{
	static const char goodbye[] = "{\"close_socket\":true}";
	gw_voice *voice = arg;
	int64_t now = http_clock();

	if (voice->holders == 0 && voice->contexts == NULL && now - voice->sent >= LINGERS)
	{
		(void) gw_voice_send(voice, goodbye, sizeof(goodbye) - 1);
		if (voice->line != NULL)
			http_line_close(voice->line);
		free_voice(voice);
		return;
	}
	/* nobody needs it, and it is closed before it is too silent */
	if (voice->holders > 0 || voice->contexts != NULL)
	{
		if (voice->opened && now - voice->sent >= ALIVE_EVERY)
			gw_voice_keep_alive(voice);
		else if (voice->line == NULL && now >= voice->broken_until)
			dial(voice);
	}
	http_loop_set_timer(voice->loop, &voice->timer, now + ALIVE_EVERY / 2);
}

static void
write_url(const gw_service *service, program_text *url)
{
	program_text_puts(url, service->url);
	program_text_puts(url, "/text-to-speech/");
	gw_url_part(url, service->voice);
	program_text_puts(url, "/multi-stream-input?model_id=");
	gw_url_part(url, *service->model == '\0' ? GW_ELEVENLABS_MODEL : service->model);
	program_text_puts(url, "&output_format=ulaw_8000&auto_mode=true&sync_alignment=true");
}

static gw_voice *
new_voice(http_client *client, const gw_service *service, const char *url)
{
	gw_voice *voice = calloc(1, sizeof(*voice));

	if (voice == NULL)
		return NULL;
	voice->client = client;
	voice->loop = http_client_loop(client);
	voice->url = strdup(url);
	voice->owner = strdup(service->owner);
	voice->header = gw_service_header(service, "xi-api-key", "");
	voice->reach = gw_service_reach(service);
	voice->timeout = service->timeout_ms * HTTP_MILLISECOND;
	voice->timer = (http_timer){ .due = time_has_come, .arg = voice };
	voice->next = voices;
	voices = voice;
	if (voice->url == NULL || voice->owner == NULL)
	{
		free_voice(voice);
		return NULL;
	}
	dial(voice);
	http_loop_set_timer(voice->loop, &voice->timer, http_clock() + ALIVE_EVERY / 2);
	return voice;
}

static bool
is_same(const gw_voice *voice, http_client *client, const gw_service *service, const char *url,
		const char *header)
{
	return voice->client == client && strcmp(voice->url, url) == 0 &&
		   strcmp(voice->owner, service->owner) == 0 &&
		   strcmp(voice->header == NULL ? "" : voice->header, header == NULL ? "" : header) == 0 &&
		   voice->reach.allow_http == service->allow_http &&
		   voice->reach.allow_private == service->allow_private;
}

gw_voice *
gw_voice_find(http_client *client, const gw_service *service, bool any)
{
	program_text url = { 0 };
	char *header = gw_service_header(service, "xi-api-key", "");
	gw_voice *voice = NULL;
	bool broken = false;

	write_url(service, &url);
	if (!url.failed)
	{
		for (voice = voices; voice != NULL; voice = voice->next)
		{
			if (!is_same(voice, client, service, url.data, header))
				continue;
			broken = broken || http_clock() < voice->broken_until;
			if (any || (voice->n_contexts < MAX_CONTEXTS && http_clock() >= voice->broken_until))
				break;
		}
		if (voice == NULL && !broken)
			voice = new_voice(client, service, url.data);
	}
	program_text_free(&url);
	gw_service_wipe(header);
	if (voice != NULL && voice->line == NULL && !any)
		dial(voice);
	return voice == NULL || any || voice->line != NULL ? voice : NULL;
}

bool
gw_voice_is_of(const gw_service *service)
{
	return service->form == GW_FORM_ELEVENLABS &&
		   !json_is_false(json_object_get(service->options, "socket"));
}

void
gw_voice_hold(http_client *client, gw_service *service)
{
	if (service->held != NULL)
		return;
	service->held = gw_voice_find(client, service, true);
	if (service->held != NULL)
		service->held->holders++;
}

void
gw_voice_let_go(gw_service *service)
{
	gw_voice *voice = voices;

	/* it may have been ended before */
	while (voice != NULL && voice != service->held)
		voice = voice->next;
	if (voice != NULL)
	{
		voice->holders--;
		voice->sent = http_clock(); /* it lingers from now on */
	}
	service->held = NULL;
}

void
gw_voices_free(http_client *client)
{
	gw_voice *next;

	for (gw_voice *voice = voices; voice != NULL; voice = next)
	{
		next = voice->next;
		if (voice->client != client)
			continue;
		if (voice->line != NULL)
			http_line_close(voice->line);
		voice->line = NULL;
		gw_voice_end_contexts(voice, NULL);
		free_voice(voice);
	}
}
