/*
 * narrowing.c
 *	  Narrows a transaction to what a bearer token, or somebody without one, may do.
 *
 * What is kept here is all there is: it lives in the memory of the backend, where no
 * statement reaches it, and held.c asks for it whenever anything asks for access.
 * Subtransactions do not matter, so that ROLLBACK TO a savepoint gives nothing back.
 *
 * A token that is revoked counts no more from the next question on, as with
 * memberships: the trigger on tokens makes every session look it up again.
 */
#include "server/compat.h"

#include "access/genam.h"
#include "access/table.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "access/access.h"
#include "access/narrowing.h"
#include "core/crypto/digest.h"
#include "server/catalog.h"
#include "server/columns.h"
#include "server/texts.h"
#include "server/xact.h"

PG_FUNCTION_INFO_V1(mulberry_authenticate);
PG_FUNCTION_INFO_V1(mulberry_authenticate_anonymous);
PG_FUNCTION_INFO_V1(mulberry_require_authentication);
PG_FUNCTION_INFO_V1(mulberry_acting_token_sql);

/* Attribute numbers of tokens, in the order of its columns. */
enum tokens_column
{
	TOKENS_ID = 1,
	TOKENS_TENANT,
	TOKENS_NAME,
	TOKENS_ACCESS,
	TOKENS_DIGEST,
	TOKENS_EXPIRES_AT
};

/* For whom the transaction works. */
static struct
{
	enum
	{
		FOR_ROLE,	  /* nobody has said */
		FOR_NOBODY,	  /* a token that does not count */
		FOR_STRANGER, /* without a token: what the role holds, of this access and tenant */
		FOR_TOKEN	  /* what the token says, while the role is a gateway's */
	} whom;
	int mask;
	bool everywhere; /* all tenants */
	pg_uuid_t tenant;
	pg_uuid_t id;
	NameData name;
	TimestampTz expires_at;
	uint64 generation; /* under which the token was read */
	uint8_t digest[MB_SHA256_SIZE];
} narrowed;

/* Whether this session holds nothing until somebody has said for whom it works. */
static bool authentication_required;

/* While a tenant is looked up among those of the role, for somebody without a token. */
static bool asking_for_role;

static void
forget_narrowing(bool committed)
{
	memset(&narrowed, 0, sizeof(narrowed));
}

void
mulberry_narrowing_init(void)
{
	mulberry_xact_on_end(forget_narrowing);
}

/*
 * Reads the token of the digest that is noted; false when there is none.  The scan takes a snapshot of its
 * own: that of a statement may be older than a revocation.
 */
static bool
read_token(void)
{
	uint64 generation = mulberry_use_access_caches();
	Relation rel = table_open(mulberry_relation_oid("tokens"), AccessShareLock);
	bytea *digest = palloc(VARHDRSZ + MB_SHA256_SIZE);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	bool found;

	SET_VARSIZE(digest, VARHDRSZ + MB_SHA256_SIZE);
	memcpy(VARDATA(digest), narrowed.digest, MB_SHA256_SIZE);
	ScanKeyInit(&key, TOKENS_DIGEST, BTEqualStrategyNumber, F_BYTEAEQ, PointerGetDatum(digest));
	scan = systable_beginscan(rel, mulberry_relation_oid("tokens_digest_key"), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		TupleDesc desc = RelationGetDescr(rel);
		char *string;
		bool isnull;
		Datum value;

		narrowed.id = *DatumGetUUIDP(mulberry_column(tuple, desc, TOKENS_ID));
		string = TextDatumGetCString(mulberry_column(tuple, desc, TOKENS_NAME));
		namestrcpy(&narrowed.name, string);
		pfree(string);
		string = TextDatumGetCString(mulberry_column(tuple, desc, TOKENS_ACCESS));
		narrowed.mask = mulberry_access_included(string);
		pfree(string);
		value = heap_getattr(tuple, TOKENS_TENANT, desc, &isnull);
		narrowed.everywhere = isnull;
		if (!isnull)
			narrowed.tenant = *DatumGetUUIDP(value);
		value = heap_getattr(tuple, TOKENS_EXPIRES_AT, desc, &isnull);
		narrowed.expires_at = isnull ? DT_NOEND : DatumGetTimestampTz(value);
		narrowed.generation = generation;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	pfree(digest);
	return found;
}

static bool
expired(void)
{
	return narrowed.expires_at != DT_NOEND && GetCurrentTimestamp() >= narrowed.expires_at;
}

const mulberry_role_access *
mulberry_narrowed(const mulberry_role_access *roles)
{
	static const mulberry_role_access nothing = { 0 };
	static mulberry_tenant_access one;
	static mulberry_role_access held;
	int mask;

	if (asking_for_role)
		return roles;
	if (narrowed.whom == FOR_ROLE)
		return authentication_required ? &nothing : roles;
	if (narrowed.whom == FOR_TOKEN && narrowed.generation != mulberry_access_generation() &&
		!read_token())
		narrowed.whom = FOR_NOBODY;
	if (narrowed.whom == FOR_NOBODY || (narrowed.whom == FOR_TOKEN && expired()))
		return &nothing;

	mask =
		narrowed.everywhere ? roles->everywhere : mulberry_mask_for_tenant(roles, &narrowed.tenant);
	if (narrowed.whom == FOR_TOKEN)
		mask = (mask & MULBERRY_ACCESS_GATEWAY) != 0 ? narrowed.mask : 0;
	else
		mask &= narrowed.mask;
	memset(&held, 0, sizeof(held));
	held.complete = true;
	held.anywhere = mask;
	if (narrowed.everywhere)
		held.everywhere = mask;
	else if (mask != 0)
	{
		one = (mulberry_tenant_access){ narrowed.tenant, mask };
		held.tenants = &one;
		held.ntenants = 1;
	}
	return &held;
}

const char *
mulberry_acting_token(void)
{
	return narrowed.whom == FOR_TOKEN ? NameStr(narrowed.name) : NULL;
}

char *
mulberry_name_caller(Oid role)
{
	if (narrowed.whom == FOR_TOKEN)
		return psprintf("token \"%s\"", NameStr(narrowed.name));
	if (narrowed.whom == FOR_STRANGER)
		return pstrdup("who comes without a token");
	if (narrowed.whom == FOR_NOBODY || authentication_required)
		return pstrdup("a session without a valid token");
	return psprintf("role \"%s\"", GetUserNameFromId(role, false));
}

/* ---------------------------------------------------------------------------
 * Saying for whom
 * ---------------------------------------------------------------------------
 */

/* Before anything is looked up: whatever comes of it, the transaction holds no more than before. */
static void
begin_narrowing(void)
{
	const mulberry_role_access *roles = mulberry_access_of_roles();

	if ((roles->anywhere & MULBERRY_ACCESS_GATEWAY) == 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("role \"%s\" has no gateway access",
							   GetUserNameFromId(GetOuterUserId(), false))));
	if (narrowed.whom != FOR_ROLE)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("this transaction has said already for whom it works"),
						errhint("A transaction is for one identity: begin another.")));
	narrowed.whom = FOR_NOBODY;
}

/* The name of the tenant that is left; NULL where it is all of them. */
static const char *
narrowed_tenant(void)
{
	return narrowed.everywhere ? NULL
							   : NameStr(mulberry_resolve_tenant(NULL, MULBERRY_ACCESS_ANY)->name);
}

/* authenticate(token text) → (id uuid, name text, access text[], tenant text, expires_at timestamptz, seconds_left) */
Datum
mulberry_authenticate(PG_FUNCTION_ARGS)
{
	Datum values[6] = { 0 };
	bool nulls[6] = { false };
	TupleDesc desc;
	const char *tenant;
	text *token;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "authenticate() must return a row");
	begin_narrowing();
	token = PG_ARGISNULL(0) ? cstring_to_text("") : PG_GETARG_TEXT_PP(0);
	mulberry_check_argument("token", token);
	if (mb_sha256(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), narrowed.digest) != MB_OK)
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("libcrypto cannot make a SHA-256")));
	/* a digest of 256 random bits: how long the search takes says nothing about another token */
	if (!read_token())
		ereport(ERROR, (errcode(ERRCODE_INVALID_PASSWORD), errhidestmt(true),
						errmsg("there is no such token")));
	if (expired())
		ereport(ERROR, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION), errhidestmt(true),
						errmsg("token \"%s\" has expired", NameStr(narrowed.name))));
	narrowed.whom = FOR_TOKEN;
	if (mulberry_narrowed(mulberry_access_of_roles())->anywhere == 0)
	{
		/* of a tenant that this gateway does not serve: as if there were none */
		narrowed.whom = FOR_NOBODY;
		ereport(ERROR, (errcode(ERRCODE_INVALID_PASSWORD), errhidestmt(true),
						errmsg("there is no such token")));
	}

	tenant = narrowed_tenant();
	values[0] = UUIDPGetDatum(&narrowed.id);
	values[1] = CStringGetTextDatum(NameStr(narrowed.name));
	values[2] = PointerGetDatum(mulberry_access_array(narrowed.mask));
	nulls[3] = tenant == NULL;
	if (tenant != NULL)
		values[3] = CStringGetTextDatum(tenant);
	nulls[4] = nulls[5] = narrowed.expires_at == DT_NOEND;
	values[4] = TimestampTzGetDatum(narrowed.expires_at);
	values[5] = Float8GetDatum(nulls[5] ? 0 : (narrowed.expires_at - GetCurrentTimestamp()) / 1e6);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* authenticate_anonymous(access text, tenant text) → void */
Datum
mulberry_authenticate_anonymous(PG_FUNCTION_ARGS)
{
	char *access;
	int own;

	begin_narrowing();
	for (int i = 0; i < 2; i++)
	{
		if (!PG_ARGISNULL(i))
			mulberry_check_argument(i == 0 ? "access" : "tenant", PG_GETARG_TEXT_PP(i));
	}
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("access and tenant must not be null")));
	access = text_to_cstring(PG_GETARG_TEXT_PP(0));
	own = mulberry_access_from_name(access);
	narrowed.mask = mulberry_access_included(access);

	/* an error leaves nobody */
	PG_TRY();
	{
		asking_for_role = true;
		narrowed.tenant = mulberry_resolve_tenant(text_to_cstring(PG_GETARG_TEXT_PP(1)), own)->id;
	}
	PG_FINALLY();
	{
		asking_for_role = false;
	}
	PG_END_TRY();
	narrowed.whom = FOR_STRANGER;
	PG_RETURN_VOID();
}

/* require_authentication() → void */
Datum
mulberry_require_authentication(PG_FUNCTION_ARGS)
{
	if ((mulberry_access_of_roles()->anywhere & MULBERRY_ACCESS_GATEWAY) == 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("role \"%s\" has no gateway access",
							   GetUserNameFromId(GetOuterUserId(), false))));
	authentication_required = true;
	PG_RETURN_VOID();
}

/* acting_token() → text */
Datum
mulberry_acting_token_sql(PG_FUNCTION_ARGS)
{
	const char *name = mulberry_acting_token();

	if (name == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}
