/*
 * clock.h
 *	  Seconds of the monotonic clock.
 */
#ifndef SPEECH_CLOCK_H
#define SPEECH_CLOCK_H

#include "http/loop.h"

static inline double
speech_now(void)
{
	return (double) http_clock() / HTTP_SECOND;
}

#endif /* SPEECH_CLOCK_H */
