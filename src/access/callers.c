/*
 * callers.c
 *	  Functions that run as the owner of the extension and still know who called
 *	  them.
 *
 * A SECURITY DEFINER function cannot know: PostgreSQL has switched the user before
 * it begins, and the outer user may be anybody, a superuser among others, who only
 * happened to run into code of the caller's.  So what users call is written in a
 * language of our own, which is PL/pgSQL but for the switch: its handler notes the
 * caller, becomes the owner, and hands over.  That needs no preloading, and for
 * PostgreSQL such a function is one like any other, for which the caller needs EXECUTE.
 */
#include "server/compat.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_language.h"
#include "commands/proclang.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "access/access.h"
#include "access/callers.h"
#include "server/catalog.h"

PG_FUNCTION_INFO_V1(mulberry_call_as_owner);
PG_FUNCTION_INFO_V1(mulberry_validate_as_plpgsql);

static mulberry_caller *callers;

const mulberry_caller *
mulberry_callers(void)
{
	return callers;
}

bool
mulberry_every_caller(bool (*test)(Oid role))
{
	if (InSecurityRestrictedOperation() || !test(GetOuterUserId()) || !test(GetUserId()))
		return false;
	for (const mulberry_caller *caller = callers; caller != NULL; caller = caller->below)
		if (!test(caller->role))
			return false;
	return true;
}

bool
mulberry_acts_as_owner(void)
{
	return GetUserId() == mulberry_owner_oid();
}

/* The functions of PL/pgSQL; its library stays loaded, so the addresses stay good. */
typedef struct plpgsql_functions
{
	PGFunction handler;
	PGFunction validator;
} plpgsql_functions;

static plpgsql_functions
plpgsql(void)
{
	static plpgsql_functions functions;

	if (functions.handler == NULL)
	{
		HeapTuple tuple =
			SearchSysCache1(LANGOID, ObjectIdGetDatum(get_language_oid("plpgsql", false)));
		FmgrInfo handler;
		FmgrInfo validator;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for language plpgsql");
		fmgr_info(((Form_pg_language) GETSTRUCT(tuple))->lanplcallfoid, &handler);
		fmgr_info(((Form_pg_language) GETSTRUCT(tuple))->lanvalidator, &validator);
		ReleaseSysCache(tuple);
		functions = (plpgsql_functions){ handler.fn_addr, validator.fn_addr };
	}
	return functions;
}

/*
 * Handler of the language mulberry.  Texts in its functions have the collation "C", whatever that of an
 * argument is: neither a column of the caller's nor the database's language changes what they do.
 */
Datum
mulberry_call_as_owner(PG_FUNCTION_ARGS)
{
	PGFunction handler = plpgsql().handler;
	/* an error puts the user back with the transaction or subtransaction that it ends */
	mulberry_identity before = mulberry_become_owner();
	mulberry_caller caller = { before.user, callers };
	Datum result;

	fcinfo->fncollation = C_COLLATION_OID;
	PG_TRY();
	{
		callers = &caller;
		result = handler(fcinfo);
	}
	PG_FINALLY();
	{
		callers = caller.below;
	}
	PG_END_TRY();
	mulberry_leave_owner(before);
	return result;
}

/*
 * Validator of the language mulberry.  It checks in our name: PostgreSQL compares
 * who validates with what the language says.
 */
Datum
mulberry_validate_as_plpgsql(PG_FUNCTION_ARGS)
{
	return plpgsql().validator(fcinfo);
}

Datum
mulberry_ask_through_views(FunctionCallInfo fcinfo, PGFunction ask)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	mulberry_caller *before = callers;
	Oid schema = get_namespace_oid(MULBERRY_EXTENSION, false);
	Oid owner = mulberry_owner_oid();
	ListCell *cell;
	Datum answer;

	if (result == NULL || !IsA(result, ReturnSetInfo))
		elog(ERROR, "a function of views must be called as one that returns a set");
	PG_TRY();
	{
		foreach (cell, relations_as_users(result->econtext->ecxt_estate))
		{
			Oid relation;
			Oid user = relation_as_user(lfirst(cell), &relation);

			if (OidIsValid(user) && user != owner && get_rel_namespace(relation) == schema)
			{
				mulberry_caller *caller = palloc(sizeof(mulberry_caller));

				caller->role = user;
				caller->below = callers;
				callers = caller;
			}
		}
		answer = ask(fcinfo);
	}
	PG_FINALLY();
	{
		callers = before;
	}
	PG_END_TRY();
	return answer;
}
