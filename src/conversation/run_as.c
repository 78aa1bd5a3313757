/*
 * run_as.c
 *	  Runs what a tenant has written, as who owns it and for a limited time, and opens the keys of services for gateways.
 *
 * A function of a tenant is never run by the owner of the extension, nor by a superuser, whatever it says of itself: the
 * user is switched before anything of it is looked at, and cannot be switched back from within.
 */
#include "server/compat.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/uuid.h"

#include "secrets/secrets.h"

PG_FUNCTION_INFO_V1(mulberry_run_as);
PG_FUNCTION_INFO_V1(mulberry_service_key);

/* run_as(role oid, query text, arguments text[], timeout_ms integer) → text */
Datum
mulberry_run_as(PG_FUNCTION_ARGS)
{
	Oid role = PG_GETARG_OID(0);
	char *query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Datum *arguments;
	bool *nulls;
	int n;
	int timeout_ms = PG_GETARG_INT32(3);
	TimestampTz until = get_timeout_finish_time(STATEMENT_TIMEOUT);
	TimestampTz ours = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	bool sooner = !get_timeout_active(STATEMENT_TIMEOUT) || ours < until;
	bool was_active = get_timeout_active(STATEMENT_TIMEOUT);
	MemoryContext context = CurrentMemoryContext;
	Oid *types;
	char *null_flags;
	Oid before;
	int security;
	int nest;
	text *result = NULL;

	if (superuser_arg(role))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("the function of a conversation must not belong to a superuser"));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), TEXTOID, -1, false, TYPALIGN_INT, &arguments,
					  &nulls, &n);
	types = palloc(sizeof(Oid) * Max(n, 1));
	null_flags = palloc(Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		types[i] = TEXTOID;
		null_flags[i] = nulls[i] ? 'n' : ' ';
	}

	GetUserIdAndSecContext(&before, &security);
	nest = NewGUCNestLevel();
	SetUserIdAndSecContext(role,
						   security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	(void) set_config_option("search_path", "\"$user\", public", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	/* an error ends the statement, and this with it */
	if (sooner)
		enable_timeout_at(STATEMENT_TIMEOUT, ours);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(query, n, types, arguments, null_flags, false, 2) != SPI_OK_SELECT ||
		SPI_processed != 1)
		ereport(ERROR, errcode(ERRCODE_CARDINALITY_VIOLATION),
				errmsg("the function of a conversation must return one row"));
	else
	{
		char *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		MemoryContext spi = MemoryContextSwitchTo(context);

		if (value != NULL)
			result = cstring_to_text(value);
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();

	if (sooner && was_active)
		enable_timeout_at(STATEMENT_TIMEOUT, until);
	else if (sooner)
		disable_timeout(STATEMENT_TIMEOUT, false);
	AtEOXact_GUC(false, nest);
	SetUserIdAndSecContext(before, security);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}

/* service_key(tenant uuid, name text) → text */
Datum
mulberry_service_key(PG_FUNCTION_ARGS)
{
	Size length;
	char *value =
		mulberry_secret_read(PG_GETARG_UUID_P(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), &length);
	text *key;

	if (value == NULL)
		PG_RETURN_NULL();
	key = cstring_to_text_with_len(value, (int) length);
	explicit_bzero(value, length);
	PG_RETURN_TEXT_P(key);
}
