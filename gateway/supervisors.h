/*
 * supervisors.h
 *	  WebSockets that hear what happens to calls, as it happens and, from a number on, what has happened.
 */
#ifndef GATEWAY_SUPERVISORS_H
#define GATEWAY_SUPERVISORS_H

#include "http.h"

struct gw_gateway;

typedef struct gw_supervisors gw_supervisors;

/* NULL without memory. */
extern gw_supervisors *gw_supervisors_new(struct gw_gateway *gateway);
extern void gw_supervisors_free(gw_supervisors *supervisors);

/* The database tells of an event of a tenant. */
extern void
gw_supervisors_event(gw_supervisors *supervisors, const char *tenant, const char *payload);

/* The database may have told of events and revocations that were not heard. */
extern void gw_supervisors_missed(gw_supervisors *supervisors);

/* Those who come may be let in: packets are heard, or will not be soon. */
extern void gw_supervisors_heard(gw_supervisors *supervisors);

/* A token is said to be revoked: its sockets end when that is so. */
extern void gw_supervisors_revoked(gw_supervisors *supervisors, const char *id);

/* For http_handlers. */
extern void gw_supervisors_writable(gw_supervisors *supervisors, http_id id);
extern void gw_supervisors_stopping(gw_supervisors *supervisors, http_id id);
extern void gw_supervisors_gone(gw_supervisors *supervisors, http_id id);

/* Whether a page of the origin of a request may listen. */
extern bool gw_origin_may(const struct gw_gateway *gateway, const http_request *request);

/* With those who are still to be let in. */
extern int gw_supervisors_count(const gw_supervisors *supervisors);

#endif /* GATEWAY_SUPERVISORS_H */
