/*
 * feed.h
 *	  The one session by which the database tells a gateway something unasked: what happens to calls, and that a token was
 *	  revoked.  And by which the gateway tells it now and then which tokens were used.
 *
 * It must not go through a pooler of transactions.
 */
#ifndef GATEWAY_FEED_H
#define GATEWAY_FEED_H

#include <stdbool.h>

struct gw_gateway;

typedef struct gw_feed gw_feed;

/* NULL without memory.  Connects at once, and again whenever it must. */
extern gw_feed *gw_feed_new(struct gw_gateway *gateway);
extern void gw_feed_free(gw_feed *feed);

/* Somebody wants to hear a tenant ("": all of them), which may be younger than what is listened to. */
extern void gw_feed_hear(gw_feed *feed, const char *tenant);

/*
 * Somebody wants to hear of packets.  False: he has to wait for gw_supervisors_heard(), or would miss some; true also when there
 * is no session, so that nobody waits for one.
 */
extern bool gw_feed_hear_packets(gw_feed *feed);

/* Whether it listens. */
extern bool gw_feed_up(const gw_feed *feed);

#endif /* GATEWAY_FEED_H */
