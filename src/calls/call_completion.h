/*
 * call_completion.h
 *	  The end of a call, for the path that takes packets and for its processing.
 */
#ifndef MULBERRY_CALL_COMPLETION_H
#define MULBERRY_CALL_COMPLETION_H

#include "postgres.h"

#include "calls/calls.h"

/*
 * Ends the grace period of a COMPLETED call, whose lock is held, because the last
 * missing packet has come: its transcription is due now.
 */
extern void mulberry_end_grace(Relation calls, mulberry_call *call);

/*
 * Packets of a call, whose lock is held, that have not arrived: in gaps of its tracks, and announced behind the
 * last one that came.
 */
extern int64 mulberry_missing_packets(const mulberry_call *call);

#endif /* MULBERRY_CALL_COMPLETION_H */
