/*
 * machine.h
 *	  The state machines of Mulberry: which states there are, and which follow which.
 *
 * These tables are the definition.  The triggers of the database go by them, docs/architecture.md
 * is drawn from them, and the tests try every pair of states against them.
 */
#ifndef MB_STATE_MACHINE_H
#define MB_STATE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

/* One way from a state to another. */
typedef struct mb_transition
{
	const char *from; /* NULL: the state in which a row begins */
	const char *to;
	bool conditional; /* not by itself allowed: only under the condition that "when" names */
	const char *when;
} mb_transition;

typedef struct mb_machine
{
	const char *name;	/* of what has the state, as an error names it */
	const char *table;	/* where that is */
	const char *column; /* in which column */
	const mb_transition *transitions;
	size_t ntransitions;
} mb_machine;

extern const mb_machine mb_call_machine;
extern const mb_machine mb_mandate_machine;
extern const mb_machine mb_command_machine;
extern const mb_machine mb_voice_call_machine;
extern const mb_machine mb_breaker_machine;

/* All of them. */
extern const mb_machine *const mb_machines[];
extern const size_t mb_nmachines;

/* The machine of a table's column; NULL when it has none. */
extern const mb_machine *mb_machine_of_table(const char *table);

/* The transition, which may be a conditional one; NULL: there is none.  A state that stays is no transition. */
extern const mb_transition *
mb_machine_find(const mb_machine *machine, const char *from, const char *to);

/*
 * Writes one sentence that says what follows a state: "From waiting it changes to outstanding or
 * cancelled.", "confirmed is a last state.".  Cut to "size" bytes with the final NUL.
 */
extern void
mb_machine_explain(const mb_machine *machine, const char *from, char *buffer, size_t size);

#endif /* MB_STATE_MACHINE_H */
