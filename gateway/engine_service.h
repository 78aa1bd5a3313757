/*
 * engine_service.h
 *	  What the clients of services share.
 */
#ifndef GATEWAY_ENGINE_SERVICE_H
#define GATEWAY_ENGINE_SERVICE_H

#include "engine.h"
#include "program/text.h"

/* What it may do, as libcurl is told. */
extern http_reach gw_service_reach(const gw_service *service);

/* "NAME: SCHEME KEY" for malloc(), or NULL without a key or memory; to be wiped. */
extern char *gw_service_header(const gw_service *service, const char *name, const char *scheme);
extern void gw_service_wipe(char *header);

/* Connects, and tells whether anybody answers, by a first piece or the end; the connection is used again. */
extern http_transfer *
gw_service_reach_out(http_client *client, const gw_service *service,
					 void (*piece)(void *arg, int status, const char *bytes, size_t n),
					 void (*done)(void *arg, int status, const char *why), void *arg);

/* A request of a form: to the service's URL and this path, with its key, which is wiped. */
typedef struct gw_service_request
{
	const char *path;
	const char *header;			/* that has the key */
	const char *scheme;			/* before it */
	const char *const *headers; /* others, up to NULL; GW_SERVICE_HEADERS at most */
	const program_text *body;
	size_t max_answer;
	void (*piece)(void *arg, int status, const char *bytes, size_t n);
	void (*done)(void *arg, int status, const char *why);
	void *arg;
} gw_service_request;

#define GW_SERVICE_HEADERS 3

/* NULL when it cannot be tried. */
extern http_transfer *
gw_service_ask(http_client *client, const gw_service *service, const gw_service_request *request);

/* Adds a text as a part of a URL. */
extern void gw_url_part(program_text *url, const char *text);

/* An option that is a text; otherwise what is said here. */
extern const char *
gw_service_option(const gw_service *service, const char *name, const char *otherwise);

/* The body of an error, of a longer one the beginning; all zero is none. */
typedef struct gw_complaint
{
	size_t n;
	char *body;
} gw_complaint;

#define GW_COMPLAINT 2048

extern void gw_complaint_add(gw_complaint *complaint, const char *bytes, size_t n);
extern void gw_complaint_forget(gw_complaint *complaint);

/* Room for what is said of one. */
#define GW_WHY (GW_COMPLAINT + 64)

/* What an error of a service says in its body, or its status; for people, in GW_WHY bytes. */
extern void gw_complaint_read(const gw_complaint *complaint, int status, char *why);

/* Why a socket was closed, for people. */
extern void gw_service_closing(char *why, size_t size, int code, const char *words);

/* What ElevenLabs speaks with unless it is said. */
#define GW_ELEVENLABS_MODEL "eleven_flash_v2_5"

#endif /* GATEWAY_ENGINE_SERVICE_H */
