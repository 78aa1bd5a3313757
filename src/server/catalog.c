/*
 * catalog.c
 *	  Looks the extension up in the catalogs of this database.  What its tables
 *	  hold is the business of the subjects.
 */
#include "server/compat.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "server/catalog.h"

#define SCHEMA_NAME "mulberry_internal"

/* The table that stands for all of them. */
#define TABLE_NAME "installation"

/* Goes up with each invalidation; what was found before is stale. */
static uint64 generation = 1;

static struct
{
	uint64 generation;
	Oid schema;
	Oid table;
	Oid owner;
} found;

static void
forget_on_relcache(Datum arg, Oid relation)
{
	if (relation == InvalidOid || relation == found.table)
		generation++;
}

static void
forget_on_syscache(Datum arg, int cache, uint32 hash)
{
	generation++;
}

/*
 * Takes note of what others have committed first.  Looking up may take note of
 * more changes; then it is done again.  Not for ever: debug_discard_caches makes a
 * change of every look.
 */
static void
look_up(void)
{
	static bool registered = false;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(forget_on_relcache, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACENAME, forget_on_syscache, (Datum) 0);
		registered = true;
	}

	AcceptInvalidationMessages();
	for (int tries = 0; found.generation != generation && tries < 3; tries++)
	{
		uint64 before = generation;
		HeapTuple tuple;

		found.schema = get_namespace_oid(SCHEMA_NAME, false);
		found.table = mulberry_relation_oid(TABLE_NAME);
		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(found.table));
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for relation %u", found.table);
		found.owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
		found.generation = before;
	}
}

Oid
mulberry_schema_oid(void)
{
	look_up();
	return found.schema;
}

Oid
mulberry_owner_oid(void)
{
	look_up();
	return found.owner;
}

Oid
mulberry_relation_oid(const char *name)
{
	Oid relation = get_relname_relid(name, get_namespace_oid(SCHEMA_NAME, false));

	if (!OidIsValid(relation))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation \"%s.%s\" does not exist", SCHEMA_NAME, name),
						errhint("Is the extension installed in this database?")));
	return relation;
}

mulberry_identity
mulberry_become_owner(void)
{
	mulberry_identity before;

	GetUserIdAndSecContext(&before.user, &before.security_context);
	SetUserIdAndSecContext(mulberry_owner_oid(),
						   before.security_context | SECURITY_LOCAL_USERID_CHANGE);
	return before;
}

void
mulberry_leave_owner(mulberry_identity identity)
{
	SetUserIdAndSecContext(identity.user, identity.security_context);
}
