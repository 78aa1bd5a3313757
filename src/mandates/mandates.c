/*
 * mandates.c
 *	  The trigger that guards the state machine of mandates (core/state/machine.c): every change of a
 *	  mandate, whoever makes it, is checked here, counted in its version and in its agent's, and
 *	  written down (history, event, audit log) by record_mandate_change().
 *
 * What a command or a clock makes of a mandate is decided by the SQL functions.
 */
#include "server/compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "server/catalog.h"
#include "server/columns.h"
#include "server/state_guard.h"
#include "core/command/command.h"
#include "core/text/e164.h"
#include "server/plans.h"

/* Columns of "mandates", by position. */
enum
{
	Anum_mandates_tenant = 1,
	Anum_mandates_id,
	Anum_mandates_agent,
	Anum_mandates_sponsor,
	Anum_mandates_status,
	Anum_mandates_max_amount,
	Anum_mandates_spent,
	Anum_mandates_currency,
	Anum_mandates_expires_at,
	Anum_mandates_version,
	Anum_mandates_created_at,
	Anum_mandates_updated_at,
	Anum_mandates_agent_version,
	Natts_mandates = Anum_mandates_agent_version
};

/* What set the change off that is under way in change_mandate(); for the history. */
typedef struct change_cause
{
	Datum cause; /* text */
	Datum command;
	bool has_cause;
	bool has_command;
} change_cause;

static const change_cause no_cause;
static const change_cause *current_cause = &no_cause;

PG_FUNCTION_INFO_V1(mulberry_guard_mandate);
PG_FUNCTION_INFO_V1(mulberry_change_mandate);
PG_FUNCTION_INFO_V1(mulberry_phone_valid);

static mb_mandate_state status_of(HeapTuple tuple, TupleDesc desc);
static void check_update(HeapTuple old, HeapTuple new, TupleDesc desc, const char *id);
static bool is_extended(HeapTuple old, HeapTuple new, TupleDesc desc);
static void
require_transition(const char *id, mb_mandate_state from, mb_mandate_state to, bool extended);
static bool differs(HeapTuple old, HeapTuple new, TupleDesc desc, int column);
static int64 next_agent_version(HeapTuple tuple, TupleDesc desc, const char *id, bool may_wait);
static void
record_change(HeapTuple tuple, TupleDesc desc, int64 version, Datum from_status, bool created);
static void delete_belongings(HeapTuple tuple, TupleDesc desc);

/*
 * Trigger on "mandates", before INSERT, UPDATE and DELETE of each row.  A row that is
 * inserted with its agent_version comes from a dump and is taken as it is.
 */
Datum
mulberry_guard_mandate(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc desc;
	HeapTuple old, new;
	char *id;
	bool recorded;
	int columns[3];
	Datum values[3];
	bool nulls[3] = { false, false, false };
	int n = 0;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(
			ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("guard_mandate() is a trigger before INSERT, UPDATE and DELETE of each row")));
	desc = RelationGetDescr(trigger->tg_relation);
	if (desc->natts < Natts_mandates)
		elog(ERROR, "guard_mandate() is for table \"mandates\"");

	old = trigger->tg_trigtuple;
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
	{
		delete_belongings(old, desc);
		return PointerGetDatum(old);
	}
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
	{
		if (!heap_attisnull(old, Anum_mandates_agent_version, desc) ||
			heap_attisnull(old, Anum_mandates_tenant, desc) ||
			heap_attisnull(old, Anum_mandates_agent, desc) ||
			heap_attisnull(old, Anum_mandates_id, desc))
			return PointerGetDatum(old);
		new = old;
		id = TextDatumGetCString(mulberry_column(new, desc, Anum_mandates_id));
		columns[n] = Anum_mandates_agent_version;
		values[n++] = Int64GetDatum(next_agent_version(new, desc, id, /* may_wait */ true));
		record_change(new, desc, DatumGetInt64(mulberry_column(new, desc, Anum_mandates_version)),
					  (Datum) 0, /* created */ true);
		return PointerGetDatum(heap_modify_tuple_by_cols(new, desc, n, columns, values, nulls));
	}

	new = trigger->tg_newtuple;
	id = TextDatumGetCString(mulberry_column(old, desc, Anum_mandates_id));
	check_update(old, new, desc, id);
	recorded = differs(old, new, desc, Anum_mandates_status) ||
			   differs(old, new, desc, Anum_mandates_sponsor) ||
			   differs(old, new, desc, Anum_mandates_max_amount) ||
			   differs(old, new, desc, Anum_mandates_expires_at);
	if (!recorded && !differs(old, new, desc, Anum_mandates_spent))
		return PointerGetDatum(new);

	columns[n] = Anum_mandates_updated_at;
	values[n++] = TimestampTzGetDatum(GetCurrentTimestamp());
	if (recorded)
	{
		int64 version = DatumGetInt64(mulberry_column(old, desc, Anum_mandates_version)) + 1;

		columns[n] = Anum_mandates_version;
		values[n++] = Int64GetDatum(version);
		columns[n] = Anum_mandates_agent_version;
		values[n++] = Int64GetDatum(next_agent_version(new, desc, id, /* may_wait */ false));
		record_change(new, desc, version, mulberry_column(old, desc, Anum_mandates_status),
					  /* created */ false);
	}
	return PointerGetDatum(heap_modify_tuple_by_cols(new, desc, n, columns, values, nulls));
}

/* Raises an error unless the row may change in this way. */
static void
check_update(HeapTuple old, HeapTuple new, TupleDesc desc, const char *id)
{
	static const int fixed[] = { Anum_mandates_tenant,		 Anum_mandates_id,
								 Anum_mandates_agent,		 Anum_mandates_currency,
								 Anum_mandates_version,		 Anum_mandates_created_at,
								 Anum_mandates_agent_version };
	mb_mandate_state from = status_of(old, desc);
	mb_mandate_state to;

	if (heap_attisnull(new, Anum_mandates_status, desc) ||
		heap_attisnull(new, Anum_mandates_expires_at, desc) ||
		heap_attisnull(new, Anum_mandates_spent, desc))
		return; /* refused by the table */
	to = status_of(new, desc);
	if (to == MB_MANDATE_NONE)
		return; /* likewise */
	if (from != to)
		require_transition(id, from, to, is_extended(old, new, desc));
	for (int i = 0; i < lengthof(fixed); i++)
		if (differs(old, new, desc, fixed[i]))
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							errmsg("column \"%s\" of mandate \"%s\" cannot be changed",
								   NameStr(TupleDescAttr(desc, fixed[i] - 1)->attname), id)));
	if (from == MB_MANDATE_REVOKED && (differs(old, new, desc, Anum_mandates_sponsor) ||
									   differs(old, new, desc, Anum_mandates_max_amount) ||
									   differs(old, new, desc, Anum_mandates_spent) ||
									   differs(old, new, desc, Anum_mandates_expires_at)))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("mandate \"%s\" is REVOKED and cannot be changed", id),
						errdetail("Protocol error E004.")));
	if (DatumGetBool(DirectFunctionCall2(numeric_lt,
										 mulberry_column(new, desc, Anum_mandates_spent),
										 mulberry_column(old, desc, Anum_mandates_spent))))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("what was spent from mandate \"%s\" cannot become less", id)));
}

/* The condition of the one transition that has one. */
static bool
is_extended(HeapTuple old, HeapTuple new, TupleDesc desc)
{
	TimestampTz expired = DatumGetTimestampTz(mulberry_column(old, desc, Anum_mandates_expires_at));
	TimestampTz extended =
		DatumGetTimestampTz(mulberry_column(new, desc, Anum_mandates_expires_at));

	return extended > expired && extended > GetCurrentTimestamp();
}

static void
require_transition(const char *id, mb_mandate_state from, mb_mandate_state to, bool extended)
{
	if (from == MB_MANDATE_REVOKED)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("mandate \"%s\" cannot change from status %s to %s", id,
							   mb_mandate_state_name(from), mb_mandate_state_name(to)),
						errdetail("Protocol error E004.")));
	mulberry_require_transition(&mb_mandate_machine, psprintf("\"%s\"", id),
								mb_mandate_state_name(from), mb_mandate_state_name(to), extended,
								NULL);
}

/* MB_MANDATE_NONE for a word that is no status. */
static mb_mandate_state
status_of(HeapTuple tuple, TupleDesc desc)
{
	char *name = TextDatumGetCString(mulberry_column(tuple, desc, Anum_mandates_status));

	for (int state = MB_MANDATE_REVOKED; state <= MB_MANDATE_EXPIRED; state++)
		if (strcmp(name, mb_mandate_state_name(state)) == 0)
			return state;
	return MB_MANDATE_NONE;
}

/* Whether a column, null in neither row, differs.  Amounts of unlike scale may be equal. */
static bool
differs(HeapTuple old, HeapTuple new, TupleDesc desc, int column)
{
	Form_pg_attribute attribute = TupleDescAttr(desc, column - 1);
	bool old_null, new_null;
	Datum old_value = heap_getattr(old, column, desc, &old_null);
	Datum new_value = heap_getattr(new, column, desc, &new_null);

	if (old_null || new_null)
		return old_null != new_null;
	return !datum_image_eq(old_value, new_value, attribute->attbyval, attribute->attlen);
}

/*
 * Counts one more change of the agent's mandates, under the lock of the agent's row, which is
 * held until commit: who sees a number sees all below it.  Our own functions lock the agent before
 * the mandate; a statement written by hand has locked the mandate first, the wrong
 * order, so it does not wait.
 */
static int64
next_agent_version(HeapTuple tuple, TupleDesc desc, const char *id, bool may_wait)
{
	static mulberry_statement lock = {
		"SELECT FROM mulberry_internal.agents a WHERE a.tenant = $1 AND a.id = $2 "
		"FOR NO KEY UPDATE SKIP LOCKED",
		2,
		{ UUIDOID, UUIDOID }
	};
	static mulberry_statement count = {
		"UPDATE mulberry_internal.agents a "
		"SET mandates_version = a.mandates_version + 1 "
		"WHERE a.tenant = $1 AND a.id = $2 RETURNING mandates_version",
		2,
		{ UUIDOID, UUIDOID }
	};
	Datum values[2];
	int64 version = 1; /* of no agent: the foreign key refuses the row */
	mulberry_identity caller = mulberry_become_owner();

	SPI_connect();
	values[0] = mulberry_column(tuple, desc, Anum_mandates_tenant);
	values[1] = mulberry_column(tuple, desc, Anum_mandates_agent);
	if (!may_wait)
	{
		mulberry_statement_run(&lock, values, NULL);
		if (SPI_processed == 0)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("the agent of mandate \"%s\" is being changed by another session", id),
					 errhint("Lock the agent's row first.")));
	}
	mulberry_statement_run(&count, values, NULL);
	if (SPI_processed > 0)
		version = mulberry_result_int64(0, 1);
	SPI_finish();
	mulberry_leave_owner(caller);
	return version;
}

/* Has record_mandate_change() write down what the row will be. */
static void
record_change(HeapTuple tuple, TupleDesc desc, int64 version, Datum from_status, bool created)
{
	static const int from_row[] = { Anum_mandates_tenant,	  Anum_mandates_id,
									Anum_mandates_agent,	  Anum_mandates_status,
									Anum_mandates_max_amount, Anum_mandates_expires_at,
									Anum_mandates_sponsor };
	static mulberry_statement statement = {
		"SELECT mulberry_internal.record_mandate_change($1, $2, $3, $4, "
		"$5, $6, $7, $8, $9, $10, $11)",
		11,
		{ UUIDOID, TEXTOID, UUIDOID, TEXTOID, NUMERICOID, TIMESTAMPTZOID, TEXTOID, INT8OID, TEXTOID,
		  TEXTOID, INT8OID }
	};
	Datum values[11];
	char nulls[11];
	int n = 0;
	mulberry_identity caller = mulberry_become_owner();

	memset(nulls, ' ', sizeof(nulls));
	for (; n < lengthof(from_row); n++)
	{
		bool isnull;

		values[n] = heap_getattr(tuple, from_row[n], desc, &isnull);
		if (isnull || (from_row[n] == Anum_mandates_expires_at &&
					   TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(values[n]))))
			goto refused; /* by the table */
	}
	values[n++] = Int64GetDatum(version);
	nulls[n] = created ? 'n' : ' ';
	values[n++] = from_status;
	nulls[n] = current_cause->has_cause ? ' ' : 'n';
	values[n++] = current_cause->cause;
	nulls[n] = current_cause->has_command ? ' ' : 'n';
	values[n++] = current_cause->command;

	SPI_connect();
	mulberry_statement_run(&statement, values, nulls);
	SPI_finish();
refused:
	mulberry_leave_owner(caller);
}

/* History and spendings go with their mandate; the audit log keeps what was. */
static void
delete_belongings(HeapTuple tuple, TupleDesc desc)
{
	static mulberry_statement statement = { "SELECT mulberry_internal.forget_mandate($1, $2, $3)",
											3,
											{ UUIDOID, TEXTOID, UUIDOID } };
	Datum values[3];
	mulberry_identity caller = mulberry_become_owner();

	SPI_connect();
	values[0] = mulberry_column(tuple, desc, Anum_mandates_tenant);
	values[1] = mulberry_column(tuple, desc, Anum_mandates_id);
	values[2] = mulberry_column(tuple, desc, Anum_mandates_agent);
	mulberry_statement_run(&statement, values, NULL);
	SPI_finish();
	mulberry_leave_owner(caller);
}

/*
 * change_mandate(tenant, mandate, status, expires_at, max_amount, sponsor, cause, command):
 * updates what is not null; cause and command go to the history.  The caller has locked
 * agent and mandate.  True when there is such a mandate.
 */
Datum
mulberry_change_mandate(PG_FUNCTION_ARGS)
{
	static mulberry_statement statement = {
		"UPDATE mulberry_internal.mandates m SET status = coalesce($3, m.status), "
		"expires_at = coalesce($4, m.expires_at), max_amount = coalesce($5, m.max_amount), "
		"sponsor = coalesce($6, m.sponsor) WHERE m.tenant = $1 AND m.id = $2",
		6,
		{ UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, NUMERICOID, TEXTOID }
	};
	const int ncolumns = 6; /* that the statement has */
	const change_cause *outer = current_cause;
	change_cause cause = { 0 };
	Datum values[6];
	char nulls[6];
	uint64 changed = 0;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		elog(ERROR, "change_mandate() needs tenant and mandate");
	for (int i = 0; i < ncolumns; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	cause.has_cause = !PG_ARGISNULL(6);
	cause.cause = PG_GETARG_DATUM(6);
	cause.has_command = !PG_ARGISNULL(7);
	cause.command = PG_GETARG_DATUM(7);

	SPI_connect();
	PG_TRY();
	{
		current_cause = &cause;
		mulberry_statement_run(&statement, values, nulls);
		changed = SPI_processed;
	}
	PG_FINALLY();
	{
		current_cause = outer;
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_BOOL(changed > 0);
}

/* phone_valid(text): a number as E.164 writes it, with its plus sign. */
Datum
mulberry_phone_valid(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mb_e164_valid(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}
