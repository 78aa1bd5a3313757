/*
 * breaker.h
 *	  When an endpoint counts as failing: the last outcomes that this process saw
 *	  of each.  What follows from it is in the table endpoint_state, which all
 *	  workers share and which is written only when something changes; a window in
 *	  a table would be one row that every finished transfer fights for.
 */
#ifndef MULBERRY_WORKER_BREAKER_H
#define MULBERRY_WORKER_BREAKER_H

#include "postgres.h"

#include "utils/uuid.h"

#define MULBERRY_BREAKER_WINDOW 50	 /* outcomes */
#define MULBERRY_BREAKER_FAILURES 45 /* of them failures: 90 % */

/*
 * Remembers the outcome of a tenant's job; true when the endpoint now counts as failing.  Then
 * its window is empty again.  It does not while it serves somebody: what fails for one tenant alone
 * must not close an endpoint for the others.
 */
extern bool mulberry_breaker_record(int64 endpoint, const pg_uuid_t *tenant, bool failed);

#endif /* MULBERRY_WORKER_BREAKER_H */
