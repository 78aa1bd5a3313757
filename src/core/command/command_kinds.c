/*
 * command_kinds.c
 *	  The kinds of commands; see command_kinds.h.
 */
#include "core/command/command_kinds.h"

#include <string.h>

static const mb_command_kind command_kinds[] = {
	{
		.code = MB_COMMAND_REVOKE,
		.name = "REVOKE",
		.has_mandate = true,
		.changes = true,
		.sets = MB_MANDATE_REVOKED,
		.urgent = true,
		.final = true,
		.textual = true,
		.announcement = "Mandate revocation",
		.done = "revoked",
		.confirmation = "\\mrevoked\\M",
		.meaning = "ends a mandate for good",
	},
	{
		.code = MB_COMMAND_SUSPEND,
		.name = "SUSPEND",
		.has_mandate = true,
		.changes = true,
		.sets = MB_MANDATE_SUSPENDED,
		.textual = true,
		.announcement = "Mandate suspension",
		.done = "suspended",
		.confirmation = "\\msuspended\\M",
		.meaning = "has a mandate rest",
	},
	{
		.code = MB_COMMAND_RESUME,
		.name = "RESUME",
		.has_mandate = true,
		.changes = true,
		.sets = MB_MANDATE_ACTIVE,
		.announcement = "Mandate resumption",
		.done = "resumed",
		.confirmation = "\\m(resumed|active)\\M",
		.meaning = "ends the suspension of a mandate",
	},
	{
		.code = MB_COMMAND_EXTEND,
		.name = "EXTEND",
		.has_mandate = true,
		.least_argument = 1,
		.most_argument = 99,
		.changes = true,
		.adds_up = true,
		.challenged = true,
		.textual = true,
		.announcement = "Mandate extension",
		.done = "extended",
		.confirmation = "\\mextended\\M",
		.meaning = "gives a mandate more time, its argument in days",
	},
	{
		.code = MB_COMMAND_QUERY,
		.name = "QUERY",
		.has_mandate = true,
		.asks = true,
		.textual = true,
		.announcement = "Mandate query",
		.confirmation = "\\m(active|suspended|revoked|expired)\\M",
		.meaning = "asks for the state of a mandate on the agent",
	},
	{
		.code = MB_COMMAND_PING,
		.name = "PING",
		.textual = true,
		.announcement = "Line test",
		.done = "is ready",
		.confirmation = "\\m(pong|alive|ready)\\M",
		.meaning = "asks an agent to answer, and nothing else",
	},
};

const mb_command_kind *
mb_command_kind_at(size_t i)
{
	return i < sizeof(command_kinds) / sizeof(command_kinds[0]) ? &command_kinds[i] : NULL;
}

const mb_command_kind *
mb_command_kind_by_code(int code)
{
	const mb_command_kind *kind;

	for (size_t i = 0; (kind = mb_command_kind_at(i)) != NULL; i++)
		if ((int) kind->code == code)
			return kind;
	return NULL;
}

const mb_command_kind *
mb_command_kind_by_name(const char *name)
{
	const mb_command_kind *kind;

	for (size_t i = 0; (kind = mb_command_kind_at(i)) != NULL; i++)
		if (strcmp(kind->name, name) == 0)
			return kind;
	return NULL;
}

const char *
mb_command_name(int code)
{
	const mb_command_kind *kind = mb_command_kind_by_code(code);

	return kind ? kind->name : NULL;
}

bool
mb_command_from_name(const char *name, mb_command_code *code)
{
	const mb_command_kind *kind = mb_command_kind_by_name(name);

	if (kind)
		*code = kind->code;
	return kind != NULL;
}
