/*
 * access_names.c
 *	  The accesses that grant_access() gives: what they are called, and which
 *	  others each includes.  The one definition of both; who holds them is
 *	  access.c's subject.
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "access/access.h"

/*
 * The accesses, in the order of their bits, and what each includes.  Gateway and
 * worker belong to programs, so an admin does not have them.
 */
static const struct
{
	const char *name;
	int includes;
} access_definitions[] = {
	{ "ingest", MULBERRY_ACCESS_INGEST },
	{ "supervisor", MULBERRY_ACCESS_SUPERVISOR },
	{ "operator", MULBERRY_ACCESS_OPERATOR | MULBERRY_ACCESS_SUPERVISOR },
	{ "auditor", MULBERRY_ACCESS_AUDITOR },
	{ "gateway", MULBERRY_ACCESS_GATEWAY | MULBERRY_ACCESS_INGEST | MULBERRY_ACCESS_SUPERVISOR |
					 MULBERRY_ACCESS_AGENT },
	{ "worker", MULBERRY_ACCESS_WORKER },
	{ "admin", MULBERRY_ACCESS_ADMIN | MULBERRY_ACCESS_INGEST | MULBERRY_ACCESS_SUPERVISOR |
				   MULBERRY_ACCESS_OPERATOR | MULBERRY_ACCESS_AUDITOR | MULBERRY_ACCESS_MONITOR |
				   MULBERRY_ACCESS_AGENT },
	{ "monitor", MULBERRY_ACCESS_MONITOR },
	{ "agent", MULBERRY_ACCESS_AGENT },
};

StaticAssertDecl(MULBERRY_ACCESS_ANY == (1 << lengthof(access_definitions)) - 1,
				 "every access has a bit and a definition");


/* Index of the definition with that name, -1 when there is none. */
static int
find_access(const char *name)
{
	for (int i = 0; i < lengthof(access_definitions); i++)
		if (strcmp(access_definitions[i].name, name) == 0)
			return i;
	return -1;
}

int
mulberry_access_included(const char *name)
{
	int i = find_access(name);

	return i < 0 ? 0 : access_definitions[i].includes;
}

int
mulberry_access_from_name(const char *name)
{
	int i = find_access(name);

	if (i >= 0)
		return 1 << i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown access \"%s\"", name),
			 errdetail("Allowed are %s.", mulberry_access_list(MULBERRY_ACCESS_ANY, " and "))));
}

int
mulberry_access_from_array(ArrayType *names)
{
	int mask = 0;
	Datum *elements;
	bool *nulls;
	int count;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("access must not be null")));
		mask |= mulberry_access_from_name(TextDatumGetCString(elements[i]));
	}
	return count == 0 ? MULBERRY_ACCESS_ANY : mask;
}

char *
mulberry_access_list(int mask, const char *last_separator)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(access_definitions); i++)
	{
		if ((mask & (1 << i)) == 0)
			continue;
		mask &= ~(1 << i);
		if (names.len > 0)
			appendStringInfoString(&names, mask == 0 ? last_separator : ", ");
		appendStringInfoString(&names, access_definitions[i].name);
	}
	return names.data;
}

ArrayType *
mulberry_access_array(int mask)
{
	Datum names[lengthof(access_definitions)];
	int count = 0;

	for (int i = 0; i < lengthof(access_definitions); i++)
		if ((mask & (1 << i)) != 0)
			names[count++] = CStringGetTextDatum(access_definitions[i].name);
	return construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT);
}
