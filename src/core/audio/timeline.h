/*
 * timeline.h
 *	  Where the audio of a track lies in time: from the times that its packets carry, of which single
 *	  ones may be late.
 *
 * A packet's shift is its time less its place in the audio.  Delays make a shift larger, never
 * smaller, so the smallest one among the packets that follow within MB_TIMELINE_WINDOW is what counts;
 * when that grows by more than MB_TIMELINE_TOLERANCE, nothing was sent for so long: a pause.
 */
#ifndef MB_TIMELINE_H
#define MB_TIMELINE_H

#include "core/mb.h"

#define MB_TIMELINE_WINDOW INT64_C(10000000)  /* 10 s, in microseconds */
#define MB_TIMELINE_TOLERANCE INT64_C(100000) /* 100 ms */

/* In microseconds: a place in the audio, and what makes it a time. */
typedef struct mb_time_mark
{
	int64_t place; /* ascending */
	int64_t shift;
} mb_time_mark;

/*
 * Takes n marks, one a packet, and leaves in front of them those from which on another shift holds, the
 * first one included; returns how many (0 when n is).  Their shifts ascend, so that no two places
 * have the same time.  "scratch" has room for n.
 */
extern size_t mb_timeline_fit(mb_time_mark *marks, size_t n, mb_time_mark *scratch);

#endif /* MB_TIMELINE_H */
