/*
 * past.h
 *	  Past events, read from the database for one who has missed them.
 */
#ifndef GATEWAY_PAST_H
#define GATEWAY_PAST_H

#include "supervisor.h"

/*
 * Asks for the next page of events and, once it is sent, for the one after it, until it is no longer behind;
 * nothing while a page is on its way, or while the client does not read.
 */
extern void gw_supervisor_read_on(gw_supervisor *c);

#endif /* GATEWAY_PAST_H */
