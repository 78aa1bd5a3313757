/*
 * dtmf_holes.h
 *	  A DTMF receiver that is told where samples were lost.
 *
 * Silence in the place of a lost packet would make two digits of one, and hide one of which little
 * is left.  So a short hole is left out: what lies before and behind it is heard as one signal, in which a tone
 * that goes on goes on, and a pause of 40 ms, of which a packet of 20 ms was lost, is still a pause.  A hole longer than
 * MB_DTMF_LONGEST_HOLE_MS could hide a whole pause, and is silence.  Times count what was lost.
 */
#ifndef MB_DTMF_HOLES_H
#define MB_DTMF_HOLES_H

#include "core/audio/dtmf.h"

#define MB_DTMF_LONGEST_HOLE_MS 40

/* As many holes are remembered; within a digit that has more, the first are taken to lie before it. */
#define MB_DTMF_HOLES 64

/* Caller-owned; no field is for the caller. */
typedef struct mb_dtmf_holes
{
	mb_dtmf *receiver;
	mb_dtmf_callback on_digit;
	void *arg;
	uint64_t longest; /* samples */
	uint64_t fed;
	uint64_t forgotten; /* lost in holes that are not remembered any more */
	unsigned n;			/* holes so far; the last MB_DTMF_HOLES are here */
	struct
	{
		uint64_t at; /* of what was fed: the first sample behind it */
		uint64_t lost;
	} holes[MB_DTMF_HOLES];
} mb_dtmf_holes;

/*
 * Makes *dtmf a receiver as mb_dtmf_init() does, and *holes what feeds it.  Both stay where they are while they are used.
 */
extern mb_status mb_dtmf_holes_init(mb_dtmf_holes *holes, mb_dtmf *dtmf, int sample_rate,
									const mb_dtmf_options *options);

/* Takes n samples; says that n were lost; ends the signal. */
extern void mb_dtmf_holes_feed(mb_dtmf_holes *holes, const int16_t *samples, size_t n);
extern void mb_dtmf_holes_lost(mb_dtmf_holes *holes, uint64_t n);
extern void mb_dtmf_holes_flush(mb_dtmf_holes *holes);

#endif /* MB_DTMF_HOLES_H */
