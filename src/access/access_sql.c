/*
 * access_sql.c
 *	  The SQL functions over access.h, and the trigger that tells every session
 *	  of changed memberships.  They only convert; nothing is decided here.
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "access/access.h"
#include "access/callers.h"
#include "server/catalog.h"

PG_FUNCTION_INFO_V1(mulberry_access_names);
PG_FUNCTION_INFO_V1(mulberry_access_includes);
PG_FUNCTION_INFO_V1(mulberry_access_changed);
PG_FUNCTION_INFO_V1(mulberry_current_tenants);
PG_FUNCTION_INFO_V1(mulberry_held_access);
PG_FUNCTION_INFO_V1(mulberry_has_access_everywhere_sql);
PG_FUNCTION_INFO_V1(mulberry_require_access_everywhere_sql);
PG_FUNCTION_INFO_V1(mulberry_resolve_tenant_sql);
PG_FUNCTION_INFO_V1(mulberry_outer_role);
PG_FUNCTION_INFO_V1(mulberry_caller_roles);
PG_FUNCTION_INFO_V1(mulberry_current_tenants_sql);
PG_FUNCTION_INFO_V1(mulberry_everywhere_through_views);

/* access_names() → text[] */
Datum
mulberry_access_names(PG_FUNCTION_ARGS)
{
	PG_RETURN_ARRAYTYPE_P(mulberry_access_array(MULBERRY_ACCESS_ANY));
}

/* access_includes(access text) → text[] */
Datum
mulberry_access_includes(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	(void) mulberry_access_from_name(name); /* says what is allowed */
	PG_RETURN_ARRAYTYPE_P(mulberry_access_array(mulberry_access_included(name)));
}

/* Trigger, after each statement that writes members or tenants. */
Datum
mulberry_access_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("access_changed() must be called as a trigger")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	return PointerGetDatum(NULL);
}

static Datum
tenants_with_access(ArrayType *access)
{
	pg_uuid_t *tenants;
	int count;
	Datum *ids;

	count = mulberry_tenants_with_access(mulberry_access_from_array(access), &tenants);
	ids = palloc(Max(count, 1) * sizeof(Datum));
	for (int i = 0; i < count; i++)
		ids[i] = UUIDPGetDatum(&tenants[i]);
	return PointerGetDatum(construct_array(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

/* current_tenants(VARIADIC access text[]) → uuid[] */
Datum
mulberry_current_tenants(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(tenants_with_access(PG_GETARG_ARRAYTYPE_P(0)));
}

/* A set of the one value that "ask" answers. */
static Datum
set_of_answer(FunctionCallInfo fcinfo, PGFunction ask)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum value = mulberry_ask_through_views(fcinfo, ask);
	bool isnull = false;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
	return (Datum) 0;
}

static Datum
ask_tenants(PG_FUNCTION_ARGS)
{
	return tenants_with_access(PG_GETARG_ARRAYTYPE_P(1));
}

static Datum
ask_everywhere(PG_FUNCTION_ARGS)
{
	return BoolGetDatum(
		mulberry_has_access_everywhere(mulberry_access_from_array(PG_GETARG_ARRAYTYPE_P(0))));
}

/* current_tenants(through_views boolean, VARIADIC access text[]) → setof uuid[] */
Datum
mulberry_current_tenants_sql(PG_FUNCTION_ARGS)
{
	return set_of_answer(fcinfo, ask_tenants);
}

/* everywhere_through_views(VARIADIC access text[]) → setof boolean */
Datum
mulberry_everywhere_through_views(PG_FUNCTION_ARGS)
{
	return set_of_answer(fcinfo, ask_everywhere);
}

/* held_access(tenant uuid) → text[] */
Datum
mulberry_held_access(PG_FUNCTION_ARGS)
{
	PG_RETURN_ARRAYTYPE_P(mulberry_access_array(mulberry_access_to(PG_GETARG_UUID_P(0))));
}

/* has_access_everywhere(VARIADIC access text[]) → boolean */
Datum
mulberry_has_access_everywhere_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(
		mulberry_has_access_everywhere(mulberry_access_from_array(PG_GETARG_ARRAYTYPE_P(0))));
}

/* require_access_everywhere(VARIADIC access text[]) → void */
Datum
mulberry_require_access_everywhere_sql(PG_FUNCTION_ARGS)
{
	mulberry_require_access_everywhere(mulberry_access_from_array(PG_GETARG_ARRAYTYPE_P(0)));
	PG_RETURN_VOID();
}

/* resolve_tenant(name text, VARIADIC access text[]) → uuid; the name may be null */
Datum
mulberry_resolve_tenant_sql(PG_FUNCTION_ARGS)
{
	const char *name = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	const mulberry_tenant *tenant;
	pg_uuid_t *id;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("access must not be null")));
	tenant = mulberry_resolve_tenant(name, mulberry_access_from_array(PG_GETARG_ARRAYTYPE_P(1)));
	id = palloc(sizeof(pg_uuid_t));
	*id = tenant->id;
	PG_RETURN_UUID_P(id);
}

/* outer_role() → regrole */
Datum
mulberry_outer_role(PG_FUNCTION_ARGS)
{
	PG_RETURN_OID(GetOuterUserId());
}

/* caller_roles() → setof oid, each once; the owner only where nobody else calls */
Datum
mulberry_caller_roles(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	List *roles = list_make1_oid(GetOuterUserId());
	ListCell *cell;

	if (!mulberry_acts_as_owner())
		roles = list_append_unique_oid(roles, GetUserId());
	for (const mulberry_caller *caller = mulberry_callers(); caller != NULL; caller = caller->below)
		if (caller->role != mulberry_owner_oid())
			roles = list_append_unique_oid(roles, caller->role);

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	foreach (cell, roles)
	{
		Datum value = ObjectIdGetDatum(lfirst_oid(cell));
		bool isnull = false;

		tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
	}
	return (Datum) 0;
}
