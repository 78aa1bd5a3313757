/*
 * gateway_call.h
 *	  A call behind a gateway: what call.h is for a database.
 */
#ifndef EDGE_GATEWAY_CALL_H
#define EDGE_GATEWAY_CALL_H

#include "call.h"
#include "gateway.h"

#define EDGE_GATEWAY_PATH 1024

/* "/v1/call/VERB/ID"; without a verb the call itself. The tenant is the token's. False: it is too long. */
extern bool edge_gateway_call_path(char path[static EDGE_GATEWAY_PATH], const char *verb,
								   const edge_call *call);

/*
 * Looks for the tracks, and begins the call with what is known of it. A track that does not exist has the encoding that is asked
 * for, or mu-law at 8 kHz. Of one with more gaps than a gateway tells it is not known what is there: as if nothing were.
 */
extern edge_exit
edge_gateway_call_begin(edge_gateway *gateway, const edge_call *call, edge_track *tracks, int n);
extern edge_exit edge_gateway_call_describe(edge_gateway *gateway, const edge_call *call);
extern edge_exit edge_gateway_call_complete(edge_gateway *gateway, const edge_call *call,
											const edge_track *tracks, const int64_t *totals, int n);

#endif /* EDGE_GATEWAY_CALL_H */
