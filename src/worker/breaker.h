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

#define MULBERRY_BREAKER_WINDOW 50	 /* outcomes */
#define MULBERRY_BREAKER_FAILURES 45 /* of them failures: 90 % */

/*
 * Remembers an outcome; true when the endpoint now counts as failing.  Then its
 * window is empty again.
 */
extern bool mulberry_breaker_record(int64 endpoint, bool failed);

#endif /* MULBERRY_WORKER_BREAKER_H */
