/*
 * trim.h
 *	  Memory that nobody has a use for goes back to the system.
 */
#ifndef GATEWAY_TRIM_H
#define GATEWAY_TRIM_H

#include "loop.h"

extern void gw_trim_start(http_loop *loop);

#endif /* GATEWAY_TRIM_H */
