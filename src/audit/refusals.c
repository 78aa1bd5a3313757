/*
 * refusals.c
 *	  Takes refused commands into shared memory, and from there into the audit log; see refusals.h.
 *
 * What is refused, and why, is decided in SQL.  Without a notifier (no preloading) and when too many wait, a
 * refusal goes to the server's log alone.
 */
#include "server/compat.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "server/plans.h"
#include "audit/refusals.h"
#include "core/command/command.h"
#include "server/shared_state.h"

PG_FUNCTION_INFO_V1(mulberry_note_refusal);
PG_FUNCTION_INFO_V1(mulberry_store_refusals);

#define MAX_REFUSALS 64 /* of one database that wait for the notifier */

/* One row of the audit log to be: fixed size, no pointers, "" for null. */
typedef struct refusal
{
	pg_uuid_t tenant;
	pg_uuid_t agent;
	bool has_agent;
	TimestampTz at;
	NameData role;
	NameData action;
	char error[8]; /* E003 … */
	char mandate[MB_MANDATE_ID_LENGTH + 1];
	char message[160]; /* cut where it is longer */
} refusal;

/* In a slot, protected by its lock. */
typedef struct refusals
{
	uint64 head; /* refusals ever put; position modulo MAX_REFUSALS */
	uint64 tail; /* refusals ever taken */
	refusal entries[MAX_REFUSALS];
} refusals;

static int section;

static Size
refusals_size(void)
{
	return sizeof(refusals);
}

static void
reset_refusals(void *memory)
{
	refusals *waiting = memory;

	waiting->head = waiting->tail = 0;
}

void
mulberry_refusals_init(void)
{
	section = mulberry_register_section(
		&(mulberry_section){ .size = refusals_size, .reset = reset_refusals });
}

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
put(mulberry_slot *slot, const refusal *refused)
{
	refusals *all = mulberry_slot_section(slot, section);
	bool taken = false;

	LWLockAcquire(mulberry_slot_lock(slot), LW_EXCLUSIVE);
	if (mulberry_slot_database(slot) == MyDatabaseId && mulberry_slot_has_notifier(slot) &&
		all->head - all->tail < MAX_REFUSALS)
	{
		all->entries[all->head % MAX_REFUSALS] = *refused;
		all->head++;
		taken = true;
	}
	LWLockRelease(mulberry_slot_lock(slot));
	return taken;
}

/* note_refusal(tenant, action, mandate, agent, error, message): whatever becomes of the transaction */
Datum
mulberry_note_refusal(PG_FUNCTION_ARGS)
{
	mulberry_slot *slot = mulberry_my_slot();
	refusal refused = { 0 };
	char *role = GetUserNameFromId(GetOuterUserId(), /* noerr */ false);

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		elog(ERROR, "a refusal needs a tenant and an action");
	refused.tenant = *PG_GETARG_UUID_P(0);
	refused.at = GetCurrentTimestamp();
	namestrcpy(&refused.role, role);
	copy_text(NameStr(refused.action), NAMEDATALEN, fcinfo, 1);
	copy_text(refused.mandate, sizeof(refused.mandate), fcinfo, 2);
	refused.has_agent = !PG_ARGISNULL(3);
	if (refused.has_agent)
		refused.agent = *PG_GETARG_UUID_P(3);
	copy_text(refused.error, sizeof(refused.error), fcinfo, 4);
	copy_text(refused.message, sizeof(refused.message), fcinfo, 5);

	if (slot != NULL && put(slot, &refused))
		mulberry_wake_notifier(slot, /* events_stored */ false, /* audit_recorded */ true,
							   /* channels_changed */ false);
	else
		ereport(
			LOG,
			errmsg("refused %s by role \"%s\": %s", NameStr(refused.action), role, refused.message),
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

/* The tenant may be gone by now, or about to go. */
static void
store(const refusal *refused)
{
	static mulberry_statement statement = {
		"INSERT INTO mulberry_internal.audit (tenant, at, role, action, outcome, "
		"mandate, agent, evidence) "
		"SELECT t.id, $2, $3, $4, 'refused', $5, $6, "
		"jsonb_strip_nulls(jsonb_build_object('error', $7, 'message', $8)) "
		"FROM mulberry_internal.tenants t WHERE t.id = $1 FOR KEY SHARE SKIP LOCKED",
		8,
		{ UUIDOID, TIMESTAMPTZOID, NAMEOID, TEXTOID, TEXTOID, UUIDOID, TEXTOID, TEXTOID }
	};
	char nulls[] = "        ";
	Datum values[8];

	values[0] = UUIDPGetDatum(&refused->tenant);
	values[1] = TimestampTzGetDatum(refused->at);
	values[2] = NameGetDatum(&refused->role);
	values[3] = CStringGetTextDatum(NameStr(refused->action));
	values[4] = text_or_null(refused->mandate, &nulls[4]);
	values[5] = UUIDPGetDatum(&refused->agent);
	nulls[5] = refused->has_agent ? ' ' : 'n';
	values[6] = text_or_null(refused->error, &nulls[6]);
	values[7] = text_or_null(refused->message, &nulls[7]);
	mulberry_statement_run(&statement, values, nulls);
}

/* The same in a subtransaction; what cannot be stored is told to the server's log. */
static void
store_or_log(const refusal *refused)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		store(refused);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		/* a table that is locked will be free again, and all are kept until then */
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		ereport(LOG,
				errmsg("refused %s by role \"%s\": %s", NameStr(refused->action),
					   NameStr(refused->role), refused->message),
				errdetail("It is not in the audit log: %s", error->message), errhidestmt(true));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

/*
 * store_refusals(singly boolean) → bigint: writes what waits into the audit log, and returns how many
 * those were.  The notifier alone calls it: nobody else takes refusals out.
 */
Datum
mulberry_store_refusals(PG_FUNCTION_ARGS)
{
	mulberry_slot *slot = mulberry_my_slot();
	refusals *all;
	refusal *waiting;
	bool singly = !PG_ARGISNULL(0) && PG_GETARG_BOOL(0);
	uint64 count = 0;

	if (slot == NULL)
		PG_RETURN_INT64(0);
	all = mulberry_slot_section(slot, section);
	waiting = palloc(sizeof(refusal) * MAX_REFUSALS);
	LWLockAcquire(mulberry_slot_lock(slot), LW_SHARED);
	while (all->tail + count < all->head)
	{
		waiting[count] = all->entries[(all->tail + count) % MAX_REFUSALS];
		count++;
	}
	LWLockRelease(mulberry_slot_lock(slot));
	if (count > 0)
	{
		SPI_connect();
		for (uint64 i = 0; i < count; i++)
		{
			if (singly)
				store_or_log(&waiting[i]);
			else
				store(&waiting[i]);
		}
		SPI_finish();
		/* only now: what fails is tried again */
		LWLockAcquire(mulberry_slot_lock(slot), LW_EXCLUSIVE);
		all->tail += count;
		LWLockRelease(mulberry_slot_lock(slot));
	}
	PG_RETURN_INT64((int64) count);
}
