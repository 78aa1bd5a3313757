/*
 * command_kinds.h
 *	  The kinds of commands: every property that any code depends on.
 *
 * This is their one definition.  SQL reads it by command_kind() and command_kinds(); whoever adds a
 * command adds its code in command.h and an entry in command_kinds.c.
 */
#ifndef MB_COMMAND_KINDS_H
#define MB_COMMAND_KINDS_H

#include "core/command/command.h"

typedef struct mb_command_kind
{
	mb_command_code code;
	const char *name;
	bool has_mandate; /* otherwise it is about the agent, and frames have mandate 00000000 */
	int least_argument;
	int most_argument;
	bool changes;		   /* the registry; whoever only asks can be cancelled at any time */
	mb_mandate_state sets; /* status that it gives its mandate; MB_MANDATE_NONE: none */
	bool urgent;		   /* goes before all others, and takes the turn from them */
	bool final;			   /* cannot be taken back, stands without a way to the agent, and makes
							* others about its mandate pointless */
	bool adds_up;		   /* carried out twice it has another effect than once */
	bool challenged;	   /* by agents whose key was made with challenge_extend */
	bool asks;			   /* its acknowledgement is compared with the registry */
	bool textual;		   /* has the textual form of the original protocol */

	/* words for people */
	const char *announcement; /* what a call for it begins with */
	const char
		*done; /* how its mandate, or the agent, is said to be afterwards; NULL: by its state */
	const char
		*confirmation; /* regular expression (PostgreSQL's): what a voice says that confirms it */
	const char *meaning;
} mb_command_kind;

/* The i-th of them, NULL past the last. */
extern const mb_command_kind *mb_command_kind_at(size_t i);

/* NULL when there is none. */
extern const mb_command_kind *mb_command_kind_by_code(int code);
extern const mb_command_kind *mb_command_kind_by_name(const char *name);

#endif /* MB_COMMAND_KINDS_H */
