/*
 * supervisor.h
 *	  One WebSocket that hears of calls: what it wants to hear, and how it is told.
 */
#ifndef GATEWAY_SUPERVISOR_H
#define GATEWAY_SUPERVISOR_H

#include "http.h"
#include "identity.h"

struct gw_gateway;

#define GW_MAX_FILTERS 16

typedef struct gw_supervisor
{
	struct gw_gateway *gateway;
	http_id id;
	gw_identity *identity;
	char tenant[64]; /* "": all of the identity's */
	char *calls[GW_MAX_FILTERS];
	int n_calls;
	char *kinds[GW_MAX_FILTERS];
	int n_kinds;
	int64_t seq;	/* of the last stored event, of one tenant; -1: from now on */
	bool behind;	/* reads from the database */
	bool asking;	/* a unit is under way */
	bool missed;	/* an event came since that was asked */
	bool overflown; /* its queue was dropped */
	int doubts; /* how often its token may have been revoked, and how many of those the database has denied */
	int denied;
	bool gone; /* frees itself when the unit is done */
	bool names_subprotocol;
	struct gw_supervisor *next;
} gw_supervisor;

/* Its token may have been revoked: nothing that only goes by is sent before the database has said that it was not. */
extern void gw_supervisor_doubt(gw_supervisor *c);
extern bool gw_supervisor_is_doubted(const gw_supervisor *c);

/* Whether it can be told what it missed: it hears one tenant, and has the number of its last event. */
extern bool gw_supervisor_has_number(const gw_supervisor *c);

/* Whether it wants an event of a tenant; call_id may be NULL. */
extern bool gw_supervisor_wants(const gw_supervisor *c, const char *tenant, const char *event,
								const char *call_id);

/* Nothing is sent to one that does not keep up: what waits for it is dropped, and it is "overflown". */
extern void gw_supervisor_send_frame(gw_supervisor *c, http_blob *frame);
extern void gw_supervisor_send(gw_supervisor *c, const char *text, size_t n);

/* "Read the state anew": with the number from which on nothing is missing. */
extern void gw_supervisor_send_resync(gw_supervisor *c);

extern void gw_supervisor_free(gw_supervisor *c);

#endif /* GATEWAY_SUPERVISOR_H */
