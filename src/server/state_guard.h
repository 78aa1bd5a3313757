/*
 * state_guard.h
 *	  The state machines of core/state/machine.h in the database: the trigger that keeps every
 *	  statement to them, and the error that all of them raise.
 */
#ifndef MULBERRY_STATE_GUARD_H
#define MULBERRY_STATE_GUARD_H

#include "postgres.h"

#include "core/state/machine.h"

/*
 * Raises ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, which names both states and what is allowed, unless
 * the machine has the transition.  A conditional one must be "admitted" by the caller, who has
 * looked at its condition.  "id" is what the error calls the row, quoted if it shall be; "hint" may be NULL.
 */
extern void mulberry_require_transition(const mb_machine *machine, const char *id, const char *from,
										const char *to, bool admitted, const char *hint);

#endif /* MULBERRY_STATE_GUARD_H */
