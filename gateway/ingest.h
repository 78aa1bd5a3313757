/*
 * ingest.h
 *	  Packets on their way to the database, in batches: those of clients, and those that the gateway itself wants stored.
 */
#ifndef GATEWAY_INGEST_H
#define GATEWAY_INGEST_H

#include "core/web/packet_body.h"
#include "identity.h"

struct gw_call;
struct gw_gateway;

/* A packet of a request, which it answers. */
typedef struct gw_packet
{
	int64_t sequence;
	const void *data;
	size_t length;
	double timestamp; /* seconds since 1970; NAN: none */
	mb_packet_string track;
	const char *encoding; /* NULL: the call's */
	const char *tenant;	  /* NULL: that of the identity; at most GW_MAX_TENANT bytes */
} gw_packet;

extern void gw_ingest_add(struct gw_call *call, const gw_packet *packet);

typedef struct gw_stored gw_stored;

/* One packet; it and what it points to stay the caller's until done is called for it. */
struct gw_stored
{
	const char *call_id;
	const char *track;
	const char *encoding;
	const char *sample_rate;
	int64_t sequence;
	int64_t sent_at; /* microseconds since 1970 */
	const void *data;
	size_t length;

	/* committed, or not; then sqlstate says whether it never will be: NULL where that depends on the database being there */
	void (*done)(gw_stored *packet, bool committed, const char *sqlstate);
};

/*
 * Packets of one call and one kind, in their order.  As many of the first as one batch takes leave together; returns how many.
 * 0: enough is under way, or there is no memory.
 */
extern int gw_ingest_store(struct gw_gateway *gateway, gw_identity *identity,
						   gw_stored *const *packets, int n);

#endif /* GATEWAY_INGEST_H */
