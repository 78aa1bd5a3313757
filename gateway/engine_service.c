/*
 * engine_service.c
 *	  What SQL says of a service, and what all forms need of it; see engine.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/utf8.h"
#include "engine_service.h"
#include "engine_voice.h"

#define LEAST_TIMEOUT 100
#define MOST_TIMEOUT 60000
#define IDLE_MS 4000 /* within an answer */
#define WHOLE_MS 120000

static const struct
{
	const char *name;
	gw_form form;
} forms[] = { { "deepgram", GW_FORM_DEEPGRAM },
			  { "deepgram2", GW_FORM_DEEPGRAM2 },
			  { "elevenlabs", GW_FORM_ELEVENLABS },
			  { "openai", GW_FORM_OPENAI },
			  { "whole", GW_FORM_WHOLE } };

static char *
text_of(const json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));

	return strdup(text == NULL ? "" : text);
}

gw_service *
gw_service_read(const json_t *json, const char *owner, const char **problem)
{
	const char *form = json_string_value(json_object_get(json, "form"));
	json_int_t timeout = json_integer_value(json_object_get(json, "timeout_ms"));
	size_t known = 0;
	gw_service *service;

	while (known < sizeof(forms) / sizeof(forms[0]) &&
		   (form == NULL || strcmp(form, forms[known].name) != 0))
		known++;
	*problem = NULL;
	if (known == sizeof(forms) / sizeof(forms[0]))
		*problem = "its form is not known";
	else if (timeout < LEAST_TIMEOUT || timeout > MOST_TIMEOUT)
		*problem = "its time is out of range";
	else if (json_string_length(json_object_get(json, "url")) == 0)
		*problem = "it has no URL";
	if (*problem != NULL)
		return NULL;
	service = calloc(1, sizeof(*service));
	if (service != NULL)
	{
		service->form = forms[known].form;
		service->name = text_of(json, "name");
		service->url = text_of(json, "url");
		service->key = text_of(json, "key");
		service->model = text_of(json, "model");
		service->voice = text_of(json, "voice");
		service->language = text_of(json, "language");
		service->owner = strdup(owner);
		service->options = json_incref(json_object_get(json, "options"));
		service->allow_http = json_is_true(json_object_get(json, "allow_http"));
		service->allow_private = json_is_true(json_object_get(json, "allow_private"));
		service->timeout_ms = (int) timeout;
		if (service->name != NULL && service->url != NULL && service->key != NULL &&
			service->model != NULL && service->voice != NULL && service->language != NULL &&
			service->owner != NULL)
			return service;
		gw_service_free(service);
	}
	*problem = "out of memory";
	return NULL;
}

void
gw_service_free(gw_service *service)
{
	if (service == NULL)
		return;
	gw_voice_let_go(service);
	gw_service_wipe(service->key);
	free(service->owner);
	free(service->name);
	free(service->url);
	free(service->model);
	free(service->voice);
	free(service->language);
	json_decref(service->options);
	free(service);
}

http_reach
gw_service_reach(const gw_service *service)
{
	return (http_reach){ .allow_http = service->allow_http,
						 .allow_private = service->allow_private,
						 .connect_ms = service->timeout_ms,
						 .first_ms = service->timeout_ms,
						 .idle_ms = service->timeout_ms > IDLE_MS ? service->timeout_ms : IDLE_MS,
						 .whole_ms = WHOLE_MS };
}

char *
gw_service_header(const gw_service *service, const char *name, const char *scheme)
{
	size_t size = strlen(name) + strlen(scheme) + strlen(service->key) + 4;
	char *header = *service->key == '\0' ? NULL : malloc(size);

	if (header != NULL)
		snprintf(header, size, "%s: %s%s%s", name, scheme, *scheme == '\0' ? "" : " ",
				 service->key);
	return header;
}

void
gw_service_wipe(char *header)
{
	if (header != NULL)
		explicit_bzero(header, strlen(header));
	free(header);
}

void
gw_url_part(program_text *url, const char *text)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text != '\0'; text++)
	{
		if (strchr(plain, *text) != NULL)
			program_text_add(url, text, 1);
		else
			program_text_printf(url, "%%%02X", (unsigned char) *text);
	}
}

const char *
gw_service_option(const gw_service *service, const char *name, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(service->options, name));

	return text == NULL ? otherwise : text;
}

void
gw_complaint_add(gw_complaint *complaint, const char *bytes, size_t n)
{
	size_t room = GW_COMPLAINT - complaint->n;

	if (complaint->body == NULL)
		complaint->body = malloc(GW_COMPLAINT);
	if (complaint->body == NULL)
		return;
	n = n < room ? n : room;
	memcpy(complaint->body + complaint->n, bytes, n);
	complaint->n += n;
}

void
gw_complaint_forget(gw_complaint *complaint)
{
	free(complaint->body);
	*complaint = (gw_complaint){ 0 };
}

void
gw_complaint_read(const gw_complaint *complaint, int status, char *why)
{
	json_t *json =
		complaint->body == NULL ? NULL : json_loadb(complaint->body, complaint->n, 0, NULL);
	const json_t *error = json_object_get(json, "error");
	const json_t *detail = json_object_get(json, "detail");
	const char *said = json_string_value(json_object_get(error, "message"));

	if (said == NULL)
		said = json_string_value(json_object_get(detail, "message"));
	if (said == NULL)
		said = json_string_value(json_object_get(json, "err_msg"));
	if (said == NULL)
		said = json_string_value(json_object_get(json, "message"));
	snprintf(why, GW_WHY, said == NULL ? "it answered %d" : "it answered %d: %s", status, said);
	why[mb_utf8_prefix(why, strlen(why))] = '\0';
	json_decref(json);
}

void
gw_service_closing(char *why, size_t size, int code, const char *words)
{
	if (code == 401 || code == 403)
		snprintf(why, size, "it does not take the key (%d)", code);
	else if (code > 0)
		snprintf(why, size, "%s (%d)", words, code);
	else
		snprintf(why, size, "%s", words);
}

/* It may answer what it likes: the connection is there then, and is used again. */
static void
is_warm(void *arg, int status, const char *why)
{
	(void) arg;
	(void) status;
	(void) why;
}

void
gw_service_warm(http_client *client, const gw_service *service)
{
	(void) gw_service_reach_out(client, service, NULL, is_warm, NULL);
}

http_transfer *
gw_service_reach_out(http_client *client, const gw_service *service,
					 void (*piece)(void *arg, int status, const char *bytes, size_t n),
					 void (*done)(void *arg, int status, const char *why), void *arg)
{
	return http_client_ask(client, &(http_ask){ .url = service->url,
												.reach = gw_service_reach(service),
												.max_answer = 65536,
												.piece = piece,
												.done = done,
												.arg = arg });
}

http_transfer *
gw_service_ask(http_client *client, const gw_service *service, const gw_service_request *request)
{
	char *key = gw_service_header(service, request->header, request->scheme);
	const char *headers[GW_SERVICE_HEADERS + 2] = { NULL };
	program_text url = { 0 };
	http_transfer *transfer = NULL;
	int n = 0;

	while (n < GW_SERVICE_HEADERS && request->headers[n] != NULL)
	{
		headers[n] = request->headers[n];
		n++;
	}
	headers[n] = key;
	program_text_puts(&url, service->url);
	program_text_puts(&url, request->path);
	if (!url.failed && !request->body->failed)
		transfer = http_client_ask(client, &(http_ask){ .url = url.data,
														.headers = headers,
														.body = request->body->data,
														.length = request->body->length,
														.reach = gw_service_reach(service),
														.max_answer = request->max_answer,
														.piece = request->piece,
														.done = request->done,
														.arg = request->arg });
	gw_service_wipe(key);
	program_text_free(&url);
	return transfer;
}
