/*
 * machine.c
 *	  The state machines of Mulberry; see machine.h.
 */
#include "core/state/machine.h"

#include <stdio.h>
#include <string.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const mb_transition call_transitions[] = {
	{ NULL, "IN_PROGRESS", false, "its first packet" },
	{ "IN_PROGRESS", "COMPLETED", false, "complete_call(), or its sender went silent" },
	{ "COMPLETED", "PROCESSING_AI", false, "nothing is missing, or the grace period is over" },
	{ "PROCESSING_AI", "ARCHIVED", false, "transcript and sentiment are there" },
	{ "PROCESSING_AI", "FAILED", false, "its job is given up" },
	{ "FAILED", "PROCESSING_AI", true, "by retry_job()" },
};

static const mb_transition mandate_transitions[] = {
	{ NULL, "ACTIVE", false, "create_mandate()" },
	{ "ACTIVE", "SUSPENDED", false, "SUSPEND" },
	{ "ACTIVE", "REVOKED", false, "REVOKE" },
	{ "ACTIVE", "EXPIRED", false, "its time is over" },
	{ "SUSPENDED", "ACTIVE", false, "RESUME" },
	{ "SUSPENDED", "REVOKED", false, "REVOKE" },
	{ "SUSPENDED", "EXPIRED", false, "its time is over" },
	{ "EXPIRED", "ACTIVE", true, "with an extension into the future" },
	{ "EXPIRED", "REVOKED", false, "REVOKE" },
};

static const mb_transition command_transitions[] = {
	{ NULL, "waiting", false, "it is given" },
	{ "waiting", "outstanding", false, "its turn comes: counter, frame, signature" },
	{ "waiting", "confirmed", false, "a late genuine answer 00 or 01" },
	{ "waiting", "refused", false, "a late genuine answer 02 or 03" },
	{ "waiting", "escalated", false, "there is no way to the agent" },
	{ "waiting", "cancelled", false, "pointless, or cancel_command()" },
	{ "outstanding", "waiting", false, "displaced by a revocation" },
	{ "outstanding", "confirmed", false, "a genuine answer 00 or 01" },
	{ "outstanding", "refused", false, "a genuine answer 02 or 03" },
	{ "outstanding", "escalated", false, "all calls were in vain" },
	{ "outstanding", "cancelled", false, "cancel_command() of QUERY or PING" },
	{ "escalated", "waiting", false, "retry_command(), or the agent is back online" },
	{ "escalated", "confirmed", false, "a late genuine answer 00 or 01" },
	{ "escalated", "refused", false, "a late genuine answer 02 or 03" },
	{ "escalated", "cancelled", false,
	  "cancel_command() with a reason, or a later one was confirmed" },
};

/*
 * From the request on the states are Twilio's, of which answers and callbacks may leave out any and
 * come in any order, so that a call goes from each to all later ones.
 */
static const mb_transition voice_call_transitions[] = {
	{ NULL, "planned", false, "a command needs it" },
	{ "planned", "requested", false, "POST Calls is sent" },
	{ "planned", "uncertain", false, "it, or the call it takes over, was placed after all" },
	{ "planned", "queued", false, "it takes over an earlier call" },
	{ "planned", "ringing", false, "it takes over an earlier call" },
	{ "planned", "in-progress", false, "it takes over an earlier call" },
	{ "planned", "failed", false, "it cannot be placed" },
	{ "requested", "planned", false, "it was not placed: refused, too many, never sent" },
	{ "requested", "uncertain", false, "the request had no answer" },
	{ "requested", "queued", false, "Twilio has it" },
	{ "requested", "ringing", false, "Twilio says so" },
	{ "requested", "in-progress", false, "Twilio says so" },
	{ "requested", "completed", false, "Twilio says so" },
	{ "requested", "busy", false, "Twilio says so" },
	{ "requested", "failed", false, "Twilio says so, or a later call takes it over" },
	{ "requested", "no-answer", false, "Twilio says so" },
	{ "requested", "canceled", false, "Twilio says so" },
	{ "uncertain", "planned", false, "the list of calls does not show it" },
	{ "uncertain", "queued", false, "the list of calls shows it, or a callback tells of it" },
	{ "uncertain", "ringing", false, "Twilio says so" },
	{ "uncertain", "in-progress", false, "Twilio says so" },
	{ "uncertain", "completed", false, "Twilio says so" },
	{ "uncertain", "busy", false, "Twilio says so" },
	{ "uncertain", "failed", false, "Twilio says so, or a later call takes it over" },
	{ "uncertain", "no-answer", false, "Twilio says so" },
	{ "uncertain", "canceled", false, "Twilio says so" },
	{ "queued", "ringing", false, "Twilio says so" },
	{ "queued", "in-progress", false, "Twilio says so" },
	{ "queued", "completed", false, "Twilio says so" },
	{ "queued", "busy", false, "Twilio says so" },
	{ "queued", "failed", false, "Twilio says so, or a later call takes it over" },
	{ "queued", "no-answer", false, "Twilio says so" },
	{ "queued", "canceled", false, "Twilio says so" },
	{ "ringing", "in-progress", false, "Twilio says so" },
	{ "ringing", "completed", false, "Twilio says so" },
	{ "ringing", "busy", false, "Twilio says so" },
	{ "ringing", "failed", false, "Twilio says so, or a later call takes it over" },
	{ "ringing", "no-answer", false, "Twilio says so" },
	{ "ringing", "canceled", false, "Twilio says so" },
	{ "in-progress", "completed", false, "Twilio says so" },
	{ "in-progress", "busy", false, "Twilio says so" },
	{ "in-progress", "failed", false, "Twilio says so, or a later call takes it over" },
	{ "in-progress", "no-answer", false, "Twilio says so" },
	{ "in-progress", "canceled", false, "Twilio says so" },
};

static const mb_transition breaker_transitions[] = {
	{ NULL, "closed", false, "the first failure is recorded" },
	{ "closed", "open", false, "the endpoint fails" },
	{ "open", "half_open", false, "its pause is over: one job asks" },
	{ "open", "closed", false, "a late probe was answered" },
	{ "half_open", "open", false, "the probe failed, or was not sent" },
	{ "half_open", "closed", false, "the probe was answered" },
};

const mb_machine mb_call_machine = { "call", "calls", "state", call_transitions,
									 N(call_transitions) };
const mb_machine mb_mandate_machine = { "mandate", "mandates", "status", mandate_transitions,
										N(mandate_transitions) };
const mb_machine mb_command_machine = { "command", "commands", "state", command_transitions,
										N(command_transitions) };
const mb_machine mb_voice_call_machine = { "voice call", "voice_calls", "state",
										   voice_call_transitions, N(voice_call_transitions) };
const mb_machine mb_breaker_machine = { "breaker of endpoint", "endpoint_state", "state",
										breaker_transitions, N(breaker_transitions) };

const mb_machine *const mb_machines[] = { &mb_call_machine, &mb_mandate_machine,
										  &mb_command_machine, &mb_voice_call_machine,
										  &mb_breaker_machine };
const size_t mb_nmachines = N(mb_machines);

const mb_machine *
mb_machine_of_table(const char *table)
{
	for (size_t i = 0; i < mb_nmachines; i++)
		if (strcmp(mb_machines[i]->table, table) == 0)
			return mb_machines[i];
	return NULL;
}

const mb_transition *
mb_machine_find(const mb_machine *machine, const char *from, const char *to)
{
	for (size_t i = 0; i < machine->ntransitions; i++)
	{
		const mb_transition *transition = &machine->transitions[i];

		if (transition->from && strcmp(transition->from, from) == 0 &&
			strcmp(transition->to, to) == 0)
			return transition;
	}
	return NULL;
}

static bool
leaves(const mb_transition *transition, const char *from)
{
	return transition->from && strcmp(transition->from, from) == 0;
}

void
mb_machine_explain(const mb_machine *machine, const char *from, char *buffer, size_t size)
{
	size_t n = 0;
	size_t seen = 0;
	size_t used;

	for (size_t i = 0; i < machine->ntransitions; i++)
		n += leaves(&machine->transitions[i], from);
	if (n == 0)
	{
		snprintf(buffer, size, "%s is a last state.", from);
		return;
	}
	snprintf(buffer, size, "From %s it changes to ", from);
	for (size_t i = 0; i < machine->ntransitions; i++)
	{
		const mb_transition *transition = &machine->transitions[i];

		if (!leaves(transition, from))
			continue;
		seen++;
		used = strlen(buffer);
		snprintf(buffer + used, size - used, "%s%s%s%s%s", transition->to,
				 transition->conditional ? " (" : "",
				 transition->conditional ? transition->when : "",
				 transition->conditional ? ")" : "",
				 seen == n		 ? "."
				 : seen + 1 == n ? " or "
								 : ", ");
	}
}
