/*
 * monotonic.h
 *	  A clock for what a process waits for itself, which goes on evenly when the server's clock is set.
 */
#ifndef MULBERRY_MONOTONIC_H
#define MULBERRY_MONOTONIC_H

#include "datatype/timestamp.h"

/* In microseconds as a TimestampTz is, so that its arithmetic does; but not a time of day, and nothing to store. */
extern TimestampTz mulberry_monotonic(void);

#endif
