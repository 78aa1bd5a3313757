/*
 * test_machine.c
 *	  The tables of the state machines: sound in themselves, and what is said of them.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "core/state/machine.h"

/* Whether a row can get into a state. */
static bool
is_entered(const mb_machine *machine, const char *state)
{
	for (size_t i = 0; i < machine->ntransitions; i++)
		if (strcmp(machine->transitions[i].to, state) == 0)
			return true;
	return false;
}

static void
tables_are_sound(void)
{
	check_int(mb_nmachines, 5);
	for (size_t m = 0; m < mb_nmachines; m++)
	{
		const mb_machine *machine = mb_machines[m];
		int beginnings = 0;

		check_int(mb_machine_of_table(machine->table) == machine, true);
		for (size_t i = 0; i < machine->ntransitions; i++)
		{
			const mb_transition *transition = &machine->transitions[i];

			check_int(transition->when && transition->when[0], true);
			if (transition->from == NULL)
			{
				beginnings++;
				check_int(transition->conditional, false);
				continue;
			}
			/* no state leads to itself, none is left that is never entered, and each way is there once */
			check_int(strcmp(transition->from, transition->to) == 0, false);
			check_int(is_entered(machine, transition->from), true);
			check_int(mb_machine_find(machine, transition->from, transition->to) == transition,
					  true);
		}
		check_int(beginnings, 1);
	}
	check_int(mb_machine_of_table("packets") == NULL, true);
}

static void
transitions_are_found(void)
{
	const mb_transition *reopening = mb_machine_find(&mb_call_machine, "FAILED", "PROCESSING_AI");

	check_int(reopening && reopening->conditional, true);
	check_int(mb_machine_find(&mb_call_machine, "IN_PROGRESS", "COMPLETED")->conditional, false);
	check_int(mb_machine_find(&mb_call_machine, "COMPLETED", "IN_PROGRESS") == NULL, true);
	check_int(mb_machine_find(&mb_call_machine, "COMPLETED", "COMPLETED") == NULL, true);
	check_int(mb_machine_find(&mb_call_machine, "", "IN_PROGRESS") == NULL, true);
	check_int(mb_machine_find(&mb_command_machine, "confirmed", "waiting") == NULL, true);
}

static void
what_follows_is_said(void)
{
	char text[200];
	char tiny[8];

	mb_machine_explain(&mb_call_machine, "PROCESSING_AI", text, sizeof text);
	check_string(text, "From PROCESSING_AI it changes to ARCHIVED or FAILED.");
	mb_machine_explain(&mb_mandate_machine, "SUSPENDED", text, sizeof text);
	check_string(text, "From SUSPENDED it changes to ACTIVE, REVOKED or EXPIRED.");
	mb_machine_explain(&mb_mandate_machine, "EXPIRED", text, sizeof text);
	check_string(
		text, "From EXPIRED it changes to ACTIVE (with an extension into the future) or REVOKED.");
	mb_machine_explain(&mb_mandate_machine, "REVOKED", text, sizeof text);
	check_string(text, "REVOKED is a last state.");

	/* the room is kept to, whatever it is */
	for (size_t size = 1; size <= sizeof tiny; size++)
	{
		mb_machine_explain(&mb_voice_call_machine, "queued", tiny, size);
		check_int(strlen(tiny) < size, true);
		check_int(strncmp(tiny, "From queued", strlen(tiny)), 0);
	}
}

int
main(void)
{
	check_run("tables are sound", tables_are_sound);
	check_run("transitions are found", transitions_are_found);
	check_run("what follows is said", what_follows_is_said);
	return check_done();
}
