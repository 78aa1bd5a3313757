/*
 * agents.h
 *	  Agents that ask for their commands, and wait for them: POST /v1/agents/{agent}/sync?wait=25.
 *
 * A request that finds nothing for its agent is held, without a connection to the database, until an event says that there is something,
 * or its time is over.  That nothing is lost in between follows from the order: the feed listens before anybody
 * looks, and what it hears from the moment on in which a look is sent has that look repeated.
 */
#ifndef GATEWAY_AGENTS_H
#define GATEWAY_AGENTS_H

#include "http.h"

struct gw_gateway;

typedef struct gw_agents gw_agents;

/* NULL without memory. */
extern gw_agents *gw_agents_new(struct gw_gateway *gateway);
extern void gw_agents_free(gw_agents *agents);

/* The database tells of an event of a tenant. */
extern void gw_agents_event(gw_agents *agents, const char *tenant, const char *payload);

/* The database may have told of some that were not heard: all look again. */
extern void gw_agents_look(gw_agents *agents);

/* A token was revoked: those who came with it look again, and are told. */
extern void gw_agents_revoked(gw_agents *agents, const char *id);

/* Answers all that wait: the gateway is about to end. */
extern void gw_agents_stop(gw_agents *agents);

/* For http_handlers: a request is over; and its client has closed its side. */
extern void gw_agents_gone(gw_agents *agents, http_id id);
extern void gw_agents_half_closed(gw_agents *agents, http_id id);

/* How many requests are held; and how often one has looked. */
extern int gw_agents_waiting(const gw_agents *agents);
extern uint64_t gw_agents_looks(const gw_agents *agents);

#endif /* GATEWAY_AGENTS_H */
