/*
 * state_guard.c
 *	  The state machines in the database; see state_guard.h.
 *
 * Calls and mandates have triggers of their own, which do more.  The others share this one: it fires
 * after a row whose state has changed, so that updates that leave it alone cost nothing but the comparison.
 */
#include "server/compat.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/rel.h"

#include "server/row.h"
#include "server/state_guard.h"

PG_FUNCTION_INFO_V1(mulberry_guard_state);
PG_FUNCTION_INFO_V1(mulberry_state_machines);

void
mulberry_require_transition(const mb_machine *machine, const char *id, const char *from,
							const char *to, bool admitted, const char *hint)
{
	const mb_transition *transition = mb_machine_find(machine, from, to);
	char allowed[500];

	if (transition && (!transition->conditional || admitted))
		return;
	mb_machine_explain(machine, from, allowed, sizeof(allowed));
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("%s %s cannot change from %s %s to %s", machine->name, id,
						   machine->column, from, to),
					errdetail_internal("%s", allowed), hint ? errhint("%s", hint) : 0));
}

/* Trigger, after UPDATE of each row whose state differs; the first column is what the row is known by. */
Datum
mulberry_guard_state(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	const mb_machine *machine = NULL;
	TupleDesc desc;
	int column;
	char *from;
	char *to;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || !TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("guard_state() is a trigger after UPDATE of each row")));
	machine = mb_machine_of_table(RelationGetRelationName(trigger->tg_relation));
	if (machine == NULL)
		elog(ERROR, "table \"%s\" has no state machine",
			 RelationGetRelationName(trigger->tg_relation));
	desc = RelationGetDescr(trigger->tg_relation);
	column = SPI_fnumber(desc, machine->column);
	if (column <= 0)
		elog(ERROR, "table \"%s\" has no column \"%s\"", machine->table, machine->column);
	from = SPI_getvalue(trigger->tg_trigtuple, desc, column);
	to = SPI_getvalue(trigger->tg_newtuple, desc, column);
	if (from && to && strcmp(from, to) != 0)
		mulberry_require_transition(machine, SPI_getvalue(trigger->tg_trigtuple, desc, 1), from, to,
									/* admitted */ false, NULL);
	return PointerGetDatum(NULL);
}

/* state_machines() → setof (table_name, machine, from_state, to_state, conditional, description) */
Datum
mulberry_state_machines(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	for (size_t i = 0; i < mb_nmachines; i++)
		for (size_t k = 0; k < mb_machines[i]->ntransitions; k++)
		{
			const mb_transition *transition = &mb_machines[i]->transitions[k];
			mulberry_row row;

			mulberry_row_begin(&row, fcinfo);
			mulberry_row_add_text(&row, mb_machines[i]->table);
			mulberry_row_add_text(&row, mb_machines[i]->name);
			mulberry_row_add_text(&row, transition->from);
			mulberry_row_add_text(&row, transition->to);
			mulberry_row_add(&row, BoolGetDatum(transition->conditional));
			mulberry_row_add_text(&row, transition->when);
			mulberry_row_put(&row, fcinfo);
		}
	return (Datum) 0;
}
