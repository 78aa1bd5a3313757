/*
 * event_counts.c
 *	  Counts stored events for metrics(): when they get their number, so that those of a prepared
 *	  transaction are counted as well, and each once.
 */
#include "server/compat.h"

#include "utils/builtins.h"

#include "events/event_counts.h"
#include "events/event_kinds.h"
#include "metrics/counters.h"

/* Of the packet events there are no rows. */
static const char *
event_name(int i)
{
	const mulberry_event_kind *kind = mulberry_event_kind_at(i);

	if (kind == NULL)
		return NULL;
	return kind->delivery == MULBERRY_EVENT_STORED ? kind->name : "";
}

void
mulberry_event_counts_init(void)
{
	mulberry_metric_label_values(MULBERRY_METRIC_EVENTS, 0, event_name);
}

/* What became of a command, from the event that says it; NULL: nothing that lasts. */
static const char *
outcome_of(const char *event)
{
	static const struct
	{
		const char *event;
		const char *outcome;
	} outcomes[] = {
		{ "command_queued", "queued" },		  { "command_confirmed", "confirmed" },
		{ "command_refused", "refused" },	  { "escalated", "escalated" },
		{ "command_cancelled", "cancelled" },
	};

	for (int i = 0; i < lengthof(outcomes); i++)
		if (strcmp(outcomes[i].event, event) == 0)
			return outcomes[i].outcome;
	return NULL;
}

void
mulberry_count_event(const pg_uuid_t *tenant, const char *event, Jsonb *payload)
{
	int kind = mulberry_event_kind_number(event);
	const char *outcome = outcome_of(event);
	JsonbValue buffer;
	JsonbValue *command;

	if (kind >= 0)
		mulberry_count(MULBERRY_METRIC_EVENTS, kind, 0, tenant, 1);
	if (outcome == NULL)
		return;
	command = getKeyJsonValueFromContainer(&payload->root, "command", strlen("command"), &buffer);
	if (command != NULL && command->type == jbvString)
		mulberry_count_named(MULBERRY_METRIC_COMMANDS,
							 pnstrdup(command->val.string.val, command->val.string.len), outcome,
							 tenant);
}
