/*
 * feed.h
 *	  The one session by which the database tells a gateway something unasked: that a token was revoked.
 *	  And by which the gateway tells it now and then which tokens were used.
 *
 * It must not go through a pooler of transactions.
 */
#ifndef GATEWAY_FEED_H
#define GATEWAY_FEED_H

#include "http.h"
#include "identity.h"

typedef struct gw_feed gw_feed;

/* NULL without memory.  Connects at once, and again whenever it must. */
extern gw_feed *gw_feed_new(http_loop *loop, const char *conninfo, gw_identities *identities);
extern void gw_feed_free(gw_feed *feed);

/* Whether it listens. */
extern bool gw_feed_up(const gw_feed *feed);

#endif /* GATEWAY_FEED_H */
