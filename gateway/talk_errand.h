/*
 * talk_errand.h
 *	  What the database is asked that may take long, because a function of a tenant runs: it leaves connections to all others, and to other
 *	  tenants.
 */
#ifndef GATEWAY_TALK_ERRAND_H
#define GATEWAY_TALK_ERRAND_H

#include "talk_internal.h"

typedef struct talk_errand
{
	gw_unit unit; /* its done is set here */
	gw_talk *talk;
	uint32_t generation; /* of the reply that it is for, which may be gone when it ends */
	uint64_t serial;	 /* of that reply */

	/* The last that is heard of it; reply: NULL when it is gone. */
	void (*done)(struct talk_errand *errand, talk_reply *reply, gw_outcome outcome,
				 const PGresult *result);
	struct talk_errand *next;
} talk_errand;

/* How many connections of n errands may have, and those of one tenant. */
extern int talk_errands_most(int connections);
extern int talk_errands_most_of_one(int connections);

/* Is done at once, or when there is a connection for it. */
extern void talk_errand_send(talk_errand *errand);

/* The reply is gone: what waits is not asked any more. */
extern void talk_errands_forget(const gw_talk *talk, uint32_t generation);

#endif /* GATEWAY_TALK_ERRAND_H */
