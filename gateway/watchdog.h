/*
 * watchdog.h
 *	  Ends the process, loudly, when its loop hangs: whoever started it starts another.
 */
#ifndef GATEWAY_WATCHDOG_H
#define GATEWAY_WATCHDOG_H

#include "http.h"

/* Watches that the loop turns at least every so many seconds.  False when there is no thread to be had. */
extern bool gw_watchdog_start(http_loop *loop, int seconds);

#endif /* GATEWAY_WATCHDOG_H */
