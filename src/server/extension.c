/*
 * extension.c
 *	  The row of our extension in pg_extension and its version; see extension.h.
 *
 * Library and SQL come into a database at different times: the one by installing files and a
 * restart, the other by ALTER EXTENSION.  Meanwhile packets are taken, but what does many
 * things in one go, as workers do, waits.
 */
#include "server/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "server/catalog.h"
#include "server/extension.h"

PG_FUNCTION_INFO_V1(mulberry_library_version_sql);
PG_FUNCTION_INFO_V1(mulberry_version_hint_sql);

/* Only this file is compiled again when the version changes, see the Makefile. */
const char mulberry_library_version[] = MULBERRY_VERSION;

bool
mulberry_find_extension(Oid *extension, Oid *owner, char **version)
{
	Relation relation = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	bool found;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(MULBERRY_EXTENSION));
	scan = systable_beginscan(relation, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		Form_pg_extension row = (Form_pg_extension) GETSTRUCT(tuple);

		*extension = row->oid;
		*owner = row->extowner;
		if (version != NULL)
		{
			bool isnull;
			Datum value = heap_getattr(tuple, Anum_pg_extension_extversion,
									   RelationGetDescr(relation), &isnull);

			*version = isnull ? pstrdup("") : TextDatumGetCString(value);
		}
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return found;
}

bool
mulberry_fits(const char *version)
{
	return strcmp(version, mulberry_library_version) == 0;
}

/* Compares versions number by number, as 1.9 and 1.10. */
static int
compare_versions(const char *a, const char *b)
{
	while (*a != '\0' && *b != '\0')
	{
		if (isdigit((unsigned char) *a) && isdigit((unsigned char) *b))
		{
			unsigned long x = strtoul(a, (char **) &a, 10);
			unsigned long y = strtoul(b, (char **) &b, 10);

			if (x != y)
				return x < y ? -1 : 1;
		}
		else if (*a != *b)
			return *a < *b ? -1 : 1;
		else
			a++, b++;
	}
	return (*a != '\0') - (*b != '\0');
}

const char *
mulberry_version_hint(const char *version)
{
	if (compare_versions(version, mulberry_library_version) < 0)
		return "The SQL is older: ALTER EXTENSION mulberry UPDATE, then SELECT "
			   "mulberry.refresh_grants().";
	return "The library is older: install the one that belongs to the SQL, and restart the server.";
}

void
mulberry_require_version(const char *function)
{
	Oid extension;
	Oid owner;
	char *version;

	if (mulberry_find_extension(&extension, &owner, &version) && !mulberry_fits(version))
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("%s waits until library and SQL are of one version", function),
				errdetail("The library is %s, the SQL of this database %s.",
						  mulberry_library_version, version),
				errhint("%s", mulberry_version_hint(version)));
}

Datum
mulberry_library_version_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(mulberry_library_version));
}

Datum
mulberry_version_hint_sql(PG_FUNCTION_ARGS)
{
	char *version = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (mulberry_fits(version))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(mulberry_version_hint(version)));
}
