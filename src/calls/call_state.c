/*
 * call_state.c
 *	  The state machine of calls in the database (core/state/machine.c has the table), and the trigger
 *	  that guards it, and what else must not change, against statements written by hand.
 *
 * The product's own functions change states by mulberry_move_call(), which fires no
 * trigger; both ways go through the same table of transitions.
 */
#include "server/compat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "calls/call_state.h"
#include "events/event_payload.h"
#include "metrics/counters.h"
#include "server/state_guard.h"

/* Raises the error of mulberry_move_call() unless the state machine has the transition. */
static void
check_transition(const mulberry_call *call, mulberry_call_state to, bool reopening)
{
	mulberry_require_transition(&mb_call_machine, psprintf("\"%s\"", call->call_id),
								mulberry_call_state_name(call->state), mulberry_call_state_name(to),
								reopening,
								call->state == MULBERRY_FAILED && to == MULBERRY_PROCESSING_AI
									? "Use retry_job() to process a failed call again."
									: NULL);
}

/* Stores state_changed, and counts it, without changing the row. */
static void
store_transition(const mulberry_call *call, mulberry_call_state to)
{
	mulberry_payload payload;

	mulberry_begin_payload(&payload);
	mulberry_payload_text(&payload, "from_state", mulberry_call_state_name(call->state));
	mulberry_payload_text(&payload, "to_state", mulberry_call_state_name(to));
	mulberry_store_event(&call->tenant, "state_changed", call->id, call->call_id,
						 mulberry_end_payload(&payload));
	mulberry_count_named(MULBERRY_METRIC_CALL_TRANSITIONS, mulberry_call_state_name(to), NULL,
						 &call->tenant);
}

void
mulberry_move_call(Relation calls, mulberry_call *call, mulberry_call_state to, bool reopening,
				   mulberry_call_change *change)
{
	mulberry_call before = *call;

	check_transition(call, to, reopening);
	mulberry_change_column(change, Anum_calls_state,
						   CStringGetTextDatum(mulberry_call_state_name(to)));
	mulberry_change_call(calls, call, change);
	store_transition(&before, to);
}

/* A call as a trigger sees it; what its first track is and has is left out. */
static void
read_trigger_row(HeapTuple tuple, TupleDesc desc, mulberry_call *call)
{
	bool isnull;
	text *name;
	text *state;

	memset(call, 0, sizeof(*call));
	call->id = DatumGetInt64(heap_getattr(tuple, Anum_calls_id, desc, &isnull));
	call->track.id = call->id;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the column is NOT NULL */
	call->tenant = *DatumGetUUIDP(heap_getattr(tuple, Anum_calls_tenant, desc, &isnull));
	name = DatumGetTextPP(heap_getattr(tuple, Anum_calls_call_id, desc, &isnull));
	call->call_id_length = Min(VARSIZE_ANY_EXHDR(name), MULBERRY_MAX_CALL_ID);
	memcpy(call->call_id, VARDATA_ANY(name), call->call_id_length);
	state = DatumGetTextPP(heap_getattr(tuple, Anum_calls_state, desc, &isnull));
	call->state = mulberry_call_state_from_name(VARDATA_ANY(state), VARSIZE_ANY_EXHDR(state));
}

/*
 * A statement locks the row before this trigger can take the call lock, which is
 * the wrong order; so it does not wait for it.
 */
static void
require_call_lock(const mulberry_call *call)
{
	if (!mulberry_try_lock_call(&call->tenant, call->call_id, call->call_id_length))
		ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						errmsg("call \"%s\" is being changed by another session", call->call_id)));
}

static bool
column_changes(HeapTuple old, HeapTuple new, TupleDesc desc, int column)
{
	Form_pg_attribute attribute = TupleDescAttr(desc, column - 1);
	bool old_null, new_null;
	Datum old_value = heap_getattr(old, column, desc, &old_null);
	Datum new_value = heap_getattr(new, column, desc, &new_null);

	if (old_null || new_null)
		return old_null != new_null;
	return !datumIsEqual(old_value, new_value, attribute->attbyval, attribute->attlen);
}

/*
 * Columns that packets and other rows rely on.  A total, once announced, is
 * one of them.
 */
static void
require_fixed_columns(const mulberry_call *call, HeapTuple old, HeapTuple new, TupleDesc desc)
{
	static const int fixed[] = { Anum_calls_id,
								 Anum_calls_tenant,
								 Anum_calls_call_id,
								 Anum_calls_encoding,
								 Anum_calls_sample_rate,
								 Anum_calls_missing_count,
								 Anum_calls_first_sequence,
								 Anum_calls_counter_bits,
								 Anum_calls_tracks_named,
								 Anum_calls_track,
								 Anum_calls_created_at };

	for (int i = 0; i < lengthof(fixed); i++)
		if (column_changes(old, new, desc, fixed[i]))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("column \"%s\" of call \"%s\" cannot be changed",
							NameStr(TupleDescAttr(desc, fixed[i] - 1)->attname), call->call_id)));
	if (!heap_attisnull(old, Anum_calls_expected_total_packets, desc) &&
		column_changes(old, new, desc, Anum_calls_expected_total_packets))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("call \"%s\" was already completed with another number of packets",
							   call->call_id)));
}

PG_FUNCTION_INFO_V1(mulberry_guard_call);

/*
 * Trigger on "calls", before UPDATE and DELETE of each row.
 */
Datum
mulberry_guard_call(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc desc;
	HeapTuple new;
	mulberry_call before;
	mulberry_call after;
	int updated_at = Anum_calls_updated_at;
	Datum now;
	bool isnull = false;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("guard_call() is a trigger before UPDATE and DELETE of each row")));
	desc = RelationGetDescr(trigger->tg_relation);
	if (desc->natts < Natts_calls)
		elog(ERROR, "guard_call() is for table \"calls\"");

	read_trigger_row(trigger->tg_trigtuple, desc, &before);
	require_call_lock(&before);
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
	{
		mulberry_delete_belongings(&before, true);
		return PointerGetDatum(trigger->tg_trigtuple);
	}

	new = trigger->tg_newtuple;
	require_fixed_columns(&before, trigger->tg_trigtuple, new, desc);
	read_trigger_row(new, desc, &after);
	if (before.state != after.state)
	{
		check_transition(&before, after.state, false);
		store_transition(&before, after.state);
	}
	now = TimestampTzGetDatum(GetCurrentTimestamp());
	return PointerGetDatum(heap_modify_tuple_by_cols(new, desc, 1, &updated_at, &now, &isnull));
}
