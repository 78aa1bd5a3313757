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

/* Adds a text as a part of a URL. */
extern void gw_url_part(program_text *url, const char *text);

/* An option that is a text; otherwise what is said here. */
extern const char *
gw_service_option(const gw_service *service, const char *name, const char *otherwise);

/* What an error of a service says in its body, or its status; for people. */
extern void gw_service_complaint(char *why, size_t size, int status, const char *body, size_t n);

#endif /* GATEWAY_ENGINE_SERVICE_H */
