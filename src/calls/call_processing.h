/*
 * call_processing.h
 *	  What moves a call through its states, for the path that takes packets.
 */
#ifndef MULBERRY_CALL_PROCESSING_H
#define MULBERRY_CALL_PROCESSING_H

#include "postgres.h"

#include "calls/calls.h"

/*
 * Ends the grace period of a COMPLETED call, whose lock is held, because the last
 * missing packet has come: its transcription is due now.
 */
extern void mulberry_end_grace(Relation calls, mulberry_call *call);

#endif /* MULBERRY_CALL_PROCESSING_H */
