/*
 * call_state.h
 *	  The state machine of calls.
 */
#ifndef MULBERRY_CALL_STATE_H
#define MULBERRY_CALL_STATE_H

#include "postgres.h"

#include "calls/calls.h"

/*
 * Moves a call, whose lock is held, to another state together with other
 * changes of its row, and stores the event.  Raises
 * ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, naming both states, unless the state
 * machine has the transition.  FAILED → PROCESSING_AI is one of "reopening" only.
 */
extern void mulberry_move_call(Relation calls, mulberry_call *call, mulberry_call_state to,
							   bool reopening, mulberry_call_change *change);

#endif /* MULBERRY_CALL_STATE_H */
