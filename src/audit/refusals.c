/*
 * refusals.c
 *	  Takes refused commands into shared memory, and from there into the audit log; see refusals.h.
 *
 * What is refused, and why, is decided in SQL.  Without a notifier (no preloading) and when too many wait, a
 * refusal goes to the server's log alone.
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "server/plans.h"
#include "audit/refusals.h"
#include "server/shared_state.h"
#include "server/shared_state_private.h"

PG_FUNCTION_INFO_V1(mulberry_note_refusal);
PG_FUNCTION_INFO_V1(mulberry_store_refusals);

/* Copies a text, cut to whole characters, into a buffer of fixed size. */
static void
copy_text(char *to, Size size, FunctionCallInfo fcinfo, int arg)
{
	text *from;
	int length;

	if (PG_ARGISNULL(arg))
		return;
	from = PG_GETARG_TEXT_PP(arg);
	length = pg_mbcliplen(VARDATA_ANY(from), VARSIZE_ANY_EXHDR(from), (int) size - 1);
	memcpy(to, VARDATA_ANY(from), length);
	to[length] = '\0';
}

/* False when there is nobody who would store it, or no room. */
static bool
put(mulberry_slot *slot, const mulberry_refusal *refusal)
{
	bool taken = false;

	LWLockAcquire(slot->lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u32(&slot->database) == MyDatabaseId &&
		slot->places[MULBERRY_NOTIFIER_PLACE].pid != 0 &&
		slot->refusals.head - slot->refusals.tail < MULBERRY_MAX_REFUSALS)
	{
		slot->refusals.entries[slot->refusals.head % MULBERRY_MAX_REFUSALS] = *refusal;
		slot->refusals.head++;
		taken = true;
	}
	LWLockRelease(slot->lock);
	return taken;
}

/* note_refusal(tenant, action, mandate, agent, error, message): whatever becomes of the transaction */
Datum
mulberry_note_refusal(PG_FUNCTION_ARGS)
{
	mulberry_slot *slot = mulberry_my_slot();
	mulberry_refusal refusal = { 0 };
	char *role = GetUserNameFromId(GetOuterUserId(), /* noerr */ false);

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		elog(ERROR, "a refusal needs a tenant and an action");
	refusal.tenant = *PG_GETARG_UUID_P(0);
	refusal.at = GetCurrentTimestamp();
	namestrcpy(&refusal.role, role);
	copy_text(NameStr(refusal.action), NAMEDATALEN, fcinfo, 1);
	copy_text(refusal.mandate, sizeof(refusal.mandate), fcinfo, 2);
	refusal.has_agent = !PG_ARGISNULL(3);
	if (refusal.has_agent)
		refusal.agent = *PG_GETARG_UUID_P(3);
	copy_text(refusal.error, sizeof(refusal.error), fcinfo, 4);
	copy_text(refusal.message, sizeof(refusal.message), fcinfo, 5);

	if (slot != NULL && put(slot, &refusal))
		mulberry_wake_notifier(slot, /* events_stored */ false, /* audit_recorded */ true,
							   /* channels_changed */ false);
	else
		ereport(
			LOG,
			errmsg("refused %s by role \"%s\": %s", NameStr(refusal.action), role, refusal.message),
			errdetail("It is not in the audit log, because no notifier could take it."),
			errhidestmt(true));
	PG_RETURN_VOID();
}

static Datum
text_or_null(const char *value, char *null)
{
	*null = value[0] == '\0' ? 'n' : ' ';
	return value[0] == '\0' ? (Datum) 0 : CStringGetTextDatum(value);
}

/* The tenant may be gone by now. */
static void
store(const mulberry_refusal *refusal)
{
	static SPIPlanPtr plan = NULL;
	char nulls[] = "        ";
	Datum values[8];

	if (plan == NULL)
		plan = mulberry_keep_plan(
			"INSERT INTO mulberry_internal.audit (tenant, at, role, action, outcome, "
			"mandate, agent, evidence) "
			"SELECT t.id, $2, $3, $4, 'refused', $5, $6, "
			"jsonb_strip_nulls(jsonb_build_object('error', $7, 'message', $8)) "
			"FROM mulberry_internal.tenants t WHERE t.id = $1",
			8,
			(Oid[]){ UUIDOID, TIMESTAMPTZOID, NAMEOID, TEXTOID, TEXTOID, UUIDOID, TEXTOID,
					 TEXTOID });
	values[0] = UUIDPGetDatum(&refusal->tenant);
	values[1] = TimestampTzGetDatum(refusal->at);
	values[2] = NameGetDatum(&refusal->role);
	values[3] = CStringGetTextDatum(NameStr(refusal->action));
	values[4] = text_or_null(refusal->mandate, &nulls[4]);
	values[5] = UUIDPGetDatum(&refusal->agent);
	nulls[5] = refusal->has_agent ? ' ' : 'n';
	values[6] = text_or_null(refusal->error, &nulls[6]);
	values[7] = text_or_null(refusal->message, &nulls[7]);
	if (SPI_execute_plan(plan, values, nulls, /* read_only */ false, /* tcount */ 0) !=
		SPI_OK_INSERT)
		elog(ERROR, "could not store a refusal");
}

/*
 * store_refusals() → bigint: writes what waits into the audit log, and returns how many
 * those were.  The notifier alone calls it: nobody else takes refusals out.
 */
Datum
mulberry_store_refusals(PG_FUNCTION_ARGS)
{
	mulberry_slot *slot = mulberry_my_slot();
	mulberry_refusal *waiting;
	uint64 count = 0;

	if (slot == NULL)
		PG_RETURN_INT64(0);
	waiting = palloc(sizeof(mulberry_refusal) * MULBERRY_MAX_REFUSALS);
	LWLockAcquire(slot->lock, LW_SHARED);
	while (slot->refusals.tail + count < slot->refusals.head)
	{
		waiting[count] =
			slot->refusals.entries[(slot->refusals.tail + count) % MULBERRY_MAX_REFUSALS];
		count++;
	}
	LWLockRelease(slot->lock);
	if (count > 0)
	{
		SPI_connect();
		for (uint64 i = 0; i < count; i++)
			store(&waiting[i]);
		SPI_finish();
		/* only now: what fails is tried again */
		LWLockAcquire(slot->lock, LW_EXCLUSIVE);
		slot->refusals.tail += count;
		LWLockRelease(slot->lock);
	}
	PG_RETURN_INT64((int64) count);
}
