/*
 * orders.h
 *	  What supervisors want of calls that are streams here: SQL has it as rows, and tells all gateways on a channel which stream is meant.
 */
#ifndef GATEWAY_ORDERS_H
#define GATEWAY_ORDERS_H

#include "media.h"

#define GW_ORDERS_CHANNEL "mulberry_calls"

/* There may be orders for a stream, by its number in the database, which may be anybody's. */
extern void gw_orders_told(gw_media *media, const char *session);

/* Some may not have been heard of: all streams look. */
extern void gw_orders_missed(gw_media *media);

#endif /* GATEWAY_ORDERS_H */
