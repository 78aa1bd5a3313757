/*
 * control_internal.h
 *	  Scripts and rules of control.h, which know nothing of states.
 */
#ifndef MB_MODEM_CONTROL_INTERNAL_H
#define MB_MODEM_CONTROL_INTERNAL_H

#include "core/modem/control.h"

/*
 * Takes the next command off a script, its mark off the command, and what it is to be answered with into "expected". False at the
 * end of the script, which is NULL then.
 */
extern bool mb_modem_next_command(const char **script, char command[MB_AT_LINE + 1],
								  char expected[MB_AT_LINE + 1], bool *optional);

/* Whether the caller may be answered. */
extern bool mb_modem_allows(const mb_modem_rules *rules, const mb_at_caller_id *caller);

#endif /* MB_MODEM_CONTROL_INTERNAL_H */
