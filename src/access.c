/*
 * access.c
 *	  Who may do what to which tenant: reads members and tenants, keeps what it
 *	  read in backend-local caches, and answers for the outer user.
 *
 * The caches are filled lazily and thrown away as a whole when something they
 * depend on changes: members and tenants (a statement trigger on them sends a
 * relcache invalidation), roles and role memberships.  So a grant or revocation
 * counts in every open session from its next call on.
 *
 * This file must not write members or tenants; that is SQL.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/sinval.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "access.h"

#define SCHEMA_NAME "mulberry"

const pg_uuid_t mulberry_default_tenant = { { 0x6d, 0x75, 0x6c, 0x62, 0x65, 0x72, 0x72, 0x79, 0x80,
											  0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01 } };

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
	{ "gateway", MULBERRY_ACCESS_GATEWAY | MULBERRY_ACCESS_INGEST | MULBERRY_ACCESS_SUPERVISOR },
	{ "worker", MULBERRY_ACCESS_WORKER },
	{ "admin", MULBERRY_ACCESS_ADMIN | MULBERRY_ACCESS_INGEST | MULBERRY_ACCESS_SUPERVISOR |
				   MULBERRY_ACCESS_OPERATOR | MULBERRY_ACCESS_AUDITOR },
};

StaticAssertDecl(MULBERRY_ACCESS_ANY == (1 << lengthof(access_definitions)) - 1,
				 "every access has a bit and a definition");

/* Attribute numbers of the tables read here, in the order of their columns. */
enum members_column
{
	MEMBERS_ROLE = 1,
	MEMBERS_ACCESS,
	MEMBERS_TENANT
};

enum tenants_column
{
	TENANTS_ID = 1,
	TENANTS_NAME,
	TENANTS_DEFAULT_ENCODING,
	TENANTS_DEFAULT_SAMPLE_RATE
};

/* The accesses that one role has to one tenant. */
typedef struct tenant_access
{
	pg_uuid_t tenant;
	int mask;
} tenant_access;

/* What one role may do, all its inherited roles included. */
typedef struct role_access
{
	Oid role;		/* hash key */
	bool complete;	/* false while it is being read */
	int everywhere; /* mask for all tenants */
	int anywhere;	/* union of all masks */
	int ntenants;
	tenant_access *tenants;
} role_access;

/*
 * A tenant, never freed: callers keep pointers.  Stale when its generation is
 * not that of the cache.
 */
typedef struct tenant_entry
{
	mulberry_tenant tenant; /* begins with the hash key, its id */
	uint64 generation;
} tenant_entry;

/* Goes up with each invalidation; everything older is stale. */
static uint64 cache_generation = 1;

/* Where the tables are, as of that generation. */
static struct
{
	uint64 generation;
	Oid schema;
	Oid owner;
	Oid members;
	Oid tenants;
	Oid tenants_by_id;
	Oid tenants_by_name;
} places;

static MemoryContext roles_context;
static HTAB *roles;
static uint64 roles_generation;

static HTAB *tenants;

/* Ids of all tenants, for those who may see all of them. */
static struct
{
	uint64 generation;
	int count;
	pg_uuid_t *ids;
} all_tenants;

PG_FUNCTION_INFO_V1(mulberry_access_names);
PG_FUNCTION_INFO_V1(mulberry_access_includes);
PG_FUNCTION_INFO_V1(mulberry_access_changed);
PG_FUNCTION_INFO_V1(mulberry_current_tenants);
PG_FUNCTION_INFO_V1(mulberry_held_access);
PG_FUNCTION_INFO_V1(mulberry_has_access_sql);
PG_FUNCTION_INFO_V1(mulberry_has_access_everywhere_sql);
PG_FUNCTION_INFO_V1(mulberry_require_access_everywhere_sql);
PG_FUNCTION_INFO_V1(mulberry_resolve_tenant_sql);
PG_FUNCTION_INFO_V1(mulberry_outer_role);

static void use_caches(void);
static const role_access *outer_access(void);
static int mask_for_tenant(const role_access *held, const pg_uuid_t *tenant);
static void read_members(role_access *held);
static const mulberry_tenant *tenant_by_name(const char *name);
static const tenant_entry *remember_tenant(Relation rel, HeapTuple tuple);
static void read_all_tenants(void);
static int mask_of_names(ArrayType *names);
static char *names_of_mask(int mask, const char *last_separator);

/* ---------------------------------------------------------------------------
 * Asking
 * ---------------------------------------------------------------------------
 */

bool
mulberry_has_access(const pg_uuid_t *tenant, int mask)
{
	return (mask_for_tenant(outer_access(), tenant) & mask) != 0;
}

bool
mulberry_has_access_everywhere(int mask)
{
	return (outer_access()->everywhere & mask) != 0;
}

void
mulberry_require_access_everywhere(int mask)
{
	if (!mulberry_has_access_everywhere(mask))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" has no %s access to all tenants",
						GetUserNameFromId(GetOuterUserId(), false), names_of_mask(mask, " or "))));
}

/*
 * A name is looked for among the tenants of the role, never among all of them
 * (unless it may see all): so a foreign tenant takes the very path of one that
 * does not exist.
 */
const mulberry_tenant *
mulberry_resolve_tenant(const char *name, int mask)
{
	const role_access *held = outer_access();
	const mulberry_tenant *found = NULL;
	int candidates = 0;

	if ((held->anywhere & mask) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" has no %s access", GetUserNameFromId(GetOuterUserId(), false),
						names_of_mask(mask, " or ")),
				 errhint("An administrator can give it with mulberry.grant_access(role, access, "
						 "tenant).")));

	if ((held->everywhere & mask) != 0)
	{
		found =
			name == NULL ? mulberry_tenant_by_id(&mulberry_default_tenant) : tenant_by_name(name);
		if (found == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("tenant \"%s\" does not exist", name == NULL ? "default" : name)));
		return found;
	}

	for (int i = 0; i < held->ntenants; i++)
	{
		const mulberry_tenant *tenant;

		if ((held->tenants[i].mask & mask) == 0)
			continue;
		/* an invalidation while the tenant is read leaves "held" in place */
		tenant = mulberry_tenant_by_id(&held->tenants[i].tenant);
		if (tenant == NULL)
			continue;
		if (name != NULL)
		{
			if (strcmp(NameStr(tenant->name), name) == 0)
				return tenant;
			continue;
		}
		if (memcmp(&tenant->id, &mulberry_default_tenant, UUID_LEN) == 0)
			return tenant;
		found = tenant;
		candidates++;
	}

	if (name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("tenant \"%s\" does not exist", name)));
	if (candidates > 1)
		ereport(ERROR, (errcode(ERRCODE_AMBIGUOUS_PARAMETER), errmsg("a tenant must be named"),
						errdetail("Role \"%s\" has %s access to %d tenants.",
								  GetUserNameFromId(GetOuterUserId(), false),
								  names_of_mask(mask, " or "), candidates),
						errhint("The view mulberry.tenant_access lists them.")));
	if (found == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("tenant \"%s\" does not exist", "default")));
	return found;
}

/*
 * What the outer user holds.
 *
 * This is where rights are narrowed to those of an authenticated token, once a
 * session can have one: everything asks through this function.
 */
static const role_access *
outer_access(void)
{
	Oid role = GetOuterUserId();
	role_access *held;
	bool known;

	if (IsParallelWorker())
		elog(ERROR, "access to tenants cannot be checked in a parallel worker");

	use_caches();
	if (roles == NULL || roles_generation != cache_generation)
	{
		HASHCTL ctl = { 0 };

		if (roles_context == NULL)
			roles_context = AllocSetContextCreate(CacheMemoryContext, "mulberry access of roles",
												  ALLOCSET_SMALL_SIZES);
		roles = NULL;
		MemoryContextReset(roles_context);
		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(role_access);
		ctl.hcxt = roles_context;
		roles =
			hash_create("mulberry access of roles", 8, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		roles_generation = cache_generation;
	}

	held = hash_search(roles, &role, HASH_ENTER, &known);
	if (!known)
		held->complete = false;
	if (!held->complete)
		read_members(held);
	return held;
}

static int
mask_for_tenant(const role_access *held, const pg_uuid_t *tenant)
{
	int mask = held->everywhere;

	for (int i = 0; i < held->ntenants; i++)
		if (memcmp(&held->tenants[i].tenant, tenant, UUID_LEN) == 0)
			return mask | held->tenants[i].mask;
	return mask;
}

/* ---------------------------------------------------------------------------
 * Caches
 * ---------------------------------------------------------------------------
 */

static void
forget_on_relcache(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == places.members || relid == places.tenants)
		cache_generation++;
}

static void
forget_on_syscache(Datum arg, int cacheid, uint32 hashvalue)
{
	cache_generation++;
}

/*
 * To be called before a cache is looked at: takes note of what others have
 * committed, so that a revocation counts within a long transaction as well.
 */
static void
use_caches(void)
{
	static bool registered = false;

	if (!registered)
	{
		if (CacheMemoryContext == NULL)
			CreateCacheMemoryContext();
		CacheRegisterRelcacheCallback(forget_on_relcache, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHOID, forget_on_syscache, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget_on_syscache, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACENAME, forget_on_syscache, (Datum) 0);
		registered = true;
	}

	AcceptInvalidationMessages();

	/* looking tables up may take note of more changes; then they are current */
	while (places.generation != cache_generation)
	{
		uint64 generation = cache_generation;
		HeapTuple tuple;

		places.schema = get_namespace_oid(SCHEMA_NAME, false);
		places.members = mulberry_relation_oid("members");
		places.tenants = mulberry_relation_oid("tenants");
		places.tenants_by_id = mulberry_relation_oid("tenants_pkey");
		places.tenants_by_name = mulberry_relation_oid("tenants_name_key");

		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(places.members));
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for relation %u", places.members);
		places.owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
		places.generation = generation;
	}
}

Oid
mulberry_schema_oid(void)
{
	use_caches();
	return places.schema;
}

Oid
mulberry_owner_oid(void)
{
	use_caches();
	return places.owner;
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

/*
 * Fills an entry of the cache of roles.
 *
 * The scan takes a snapshot of its own, after invalidations have been accepted:
 * the statement's may be older than the change that made the cache stale, and
 * what it shows would then stay for good.
 */
static void
read_members(role_access *held)
{
	uint64 generation = cache_generation;
	int room = 0;
	Relation rel;
	SysScanDesc scan;
	HeapTuple tuple;

	held->everywhere = 0;
	held->anywhere = 0;
	held->ntenants = 0;
	held->tenants = NULL;

	if (superuser_arg(held->role) || has_privs_of_role(held->role, places.owner))
	{
		held->everywhere = held->anywhere = MULBERRY_ACCESS_ANY;
		held->complete = generation == cache_generation;
		return;
	}

	rel = table_open(places.members, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;
		Oid member;
		Datum value;
		char *name;
		int mask = 0;
		int i;
		pg_uuid_t *tenant;

		member =
			DatumGetObjectId(heap_getattr(tuple, MEMBERS_ROLE, RelationGetDescr(rel), &isnull));
		if (!has_privs_of_role(held->role, member))
			continue;

		value = heap_getattr(tuple, MEMBERS_ACCESS, RelationGetDescr(rel), &isnull);
		name = TextDatumGetCString(value);
		for (i = 0; i < lengthof(access_definitions); i++)
			if (strcmp(access_definitions[i].name, name) == 0)
				mask = access_definitions[i].includes;
		pfree(name);
		held->anywhere |= mask;

		value = heap_getattr(tuple, MEMBERS_TENANT, RelationGetDescr(rel), &isnull);
		if (isnull)
		{
			held->everywhere |= mask;
			continue;
		}
		tenant = DatumGetUUIDP(value);
		for (i = 0; i < held->ntenants; i++)
			if (memcmp(&held->tenants[i].tenant, tenant, UUID_LEN) == 0)
				break;
		if (i == held->ntenants)
		{
			if (held->ntenants == room)
			{
				room = room == 0 ? 4 : room * 2;
				held->tenants =
					held->tenants == NULL
						? MemoryContextAlloc(roles_context, room * sizeof(tenant_access))
						: repalloc(held->tenants, room * sizeof(tenant_access));
			}
			held->tenants[i].tenant = *tenant;
			held->tenants[i].mask = 0;
			held->ntenants++;
		}
		held->tenants[i].mask |= mask;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	/* if something changed meanwhile, this call may use it and the next reads again */
	held->complete = generation == cache_generation;
}

const mulberry_tenant *
mulberry_tenant_by_id(const pg_uuid_t *id)
{
	const mulberry_tenant *found = NULL;
	tenant_entry *entry = NULL;
	Relation rel;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple tuple;

	use_caches();
	if (tenants != NULL)
		entry = hash_search(tenants, id, HASH_FIND, NULL);
	if (entry != NULL && entry->generation == cache_generation)
		return &entry->tenant;

	rel = table_open(places.tenants, AccessShareLock);
	ScanKeyInit(&key, TENANTS_ID, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(id));
	scan = systable_beginscan(rel, places.tenants_by_id, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		found = &remember_tenant(rel, tuple)->tenant;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* Only for roles that may know every tenant.  Remembers the last one asked for. */
static const mulberry_tenant *
tenant_by_name(const char *name)
{
	static const tenant_entry *last;
	const mulberry_tenant *found = NULL;
	Relation rel;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple tuple;

	use_caches();
	if (last != NULL && last->generation == cache_generation &&
		strcmp(NameStr(last->tenant.name), name) == 0)
		return &last->tenant;

	rel = table_open(places.tenants, AccessShareLock);
	ScanKeyInit(&key, TENANTS_NAME, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(name));
	scan = systable_beginscan(rel, places.tenants_by_name, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		found = &(last = remember_tenant(rel, tuple))->tenant;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* Puts a row of tenants into the cache, over what was known about it. */
static const tenant_entry *
remember_tenant(Relation rel, HeapTuple tuple)
{
	TupleDesc desc = RelationGetDescr(rel);
	tenant_entry *entry;
	bool isnull;
	pg_uuid_t *id;
	char *value;

	if (tenants == NULL)
	{
		HASHCTL ctl = { 0 };

		ctl.keysize = UUID_LEN;
		ctl.entrysize = sizeof(tenant_entry);
		ctl.hcxt = CacheMemoryContext;
		tenants = hash_create("mulberry tenants", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}

	id = DatumGetUUIDP(heap_getattr(tuple, TENANTS_ID, desc, &isnull));
	entry = hash_search(tenants, id, HASH_ENTER, NULL);
	entry->generation = 0;

	value = TextDatumGetCString(heap_getattr(tuple, TENANTS_NAME, desc, &isnull));
	namestrcpy(&entry->tenant.name, value);
	value = TextDatumGetCString(heap_getattr(tuple, TENANTS_DEFAULT_ENCODING, desc, &isnull));
	strlcpy(entry->tenant.default_encoding, value, sizeof(entry->tenant.default_encoding));
	entry->tenant.default_sample_rate =
		DatumGetInt32(heap_getattr(tuple, TENANTS_DEFAULT_SAMPLE_RATE, desc, &isnull));

	/* the scan began after use_caches(); what changed since has raised the generation */
	entry->generation = places.generation;
	return entry;
}

static void
read_all_tenants(void)
{
	uint64 generation;
	int room = 16;
	Relation rel;
	SysScanDesc scan;
	HeapTuple tuple;

	use_caches();
	if (all_tenants.generation == cache_generation)
		return;

	generation = cache_generation;
	all_tenants.generation = 0;
	all_tenants.count = 0;
	if (all_tenants.ids != NULL)
		pfree(all_tenants.ids);
	all_tenants.ids = NULL;
	all_tenants.ids = MemoryContextAlloc(CacheMemoryContext, room * sizeof(pg_uuid_t));

	rel = table_open(places.tenants, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;

		if (all_tenants.count == room)
		{
			room *= 2;
			all_tenants.ids = repalloc(all_tenants.ids, room * sizeof(pg_uuid_t));
		}
		all_tenants.ids[all_tenants.count++] =
			*DatumGetUUIDP(heap_getattr(tuple, TENANTS_ID, RelationGetDescr(rel), &isnull));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	all_tenants.generation = generation;
}

/* ---------------------------------------------------------------------------
 * Names of accesses
 * ---------------------------------------------------------------------------
 */

/* The definition of an access; an unknown name is the caller's mistake. */
static int
access_from_name(const char *name)
{
	for (int i = 0; i < lengthof(access_definitions); i++)
		if (strcmp(access_definitions[i].name, name) == 0)
			return i;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown access \"%s\"", name),
					errdetail("Allowed are %s.", names_of_mask(MULBERRY_ACCESS_ANY, " and "))));
}

/* No name at all means any access. */
static int
mask_of_names(ArrayType *names)
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
		mask |= 1 << access_from_name(TextDatumGetCString(elements[i]));
	}
	return count == 0 ? MULBERRY_ACCESS_ANY : mask;
}

/* "a", "a or b", "a, b or c" */
static char *
names_of_mask(int mask, const char *last_separator)
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

static ArrayType *
array_of_mask(int mask)
{
	Datum names[lengthof(access_definitions)];
	int count = 0;

	for (int i = 0; i < lengthof(access_definitions); i++)
		if ((mask & (1 << i)) != 0)
			names[count++] = CStringGetTextDatum(access_definitions[i].name);
	return construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT);
}

/* ---------------------------------------------------------------------------
 * SQL
 * ---------------------------------------------------------------------------
 */

/* access_names() → text[] */
Datum
mulberry_access_names(PG_FUNCTION_ARGS)
{
	PG_RETURN_ARRAYTYPE_P(array_of_mask(MULBERRY_ACCESS_ANY));
}

/* access_includes(access text) → text[] */
Datum
mulberry_access_includes(PG_FUNCTION_ARGS)
{
	int access = access_from_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	PG_RETURN_ARRAYTYPE_P(array_of_mask(access_definitions[access].includes));
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

/* current_tenants(VARIADIC access text[]) → uuid[] */
Datum
mulberry_current_tenants(PG_FUNCTION_ARGS)
{
	int mask = mask_of_names(PG_GETARG_ARRAYTYPE_P(0));
	const role_access *held = outer_access();
	Datum *ids;
	int count = 0;

	if ((held->everywhere & mask) != 0)
	{
		read_all_tenants();
		ids = palloc(Max(all_tenants.count, 1) * sizeof(Datum));
		for (; count < all_tenants.count; count++)
			ids[count] = UUIDPGetDatum(&all_tenants.ids[count]);
	}
	else
	{
		ids = palloc(Max(held->ntenants, 1) * sizeof(Datum));
		for (int i = 0; i < held->ntenants; i++)
			if ((held->tenants[i].mask & mask) != 0)
				ids[count++] = UUIDPGetDatum(&held->tenants[i].tenant);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

/* held_access(tenant uuid) → text[] */
Datum
mulberry_held_access(PG_FUNCTION_ARGS)
{
	PG_RETURN_ARRAYTYPE_P(array_of_mask(mask_for_tenant(outer_access(), PG_GETARG_UUID_P(0))));
}

/* has_access(tenant uuid, VARIADIC access text[]) → boolean */
Datum
mulberry_has_access_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(
		mulberry_has_access(PG_GETARG_UUID_P(0), mask_of_names(PG_GETARG_ARRAYTYPE_P(1))));
}

/* has_access_everywhere(VARIADIC access text[]) → boolean */
Datum
mulberry_has_access_everywhere_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mulberry_has_access_everywhere(mask_of_names(PG_GETARG_ARRAYTYPE_P(0))));
}

/* require_access_everywhere(VARIADIC access text[]) → void */
Datum
mulberry_require_access_everywhere_sql(PG_FUNCTION_ARGS)
{
	mulberry_require_access_everywhere(mask_of_names(PG_GETARG_ARRAYTYPE_P(0)));
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
	tenant = mulberry_resolve_tenant(name, mask_of_names(PG_GETARG_ARRAYTYPE_P(1)));
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
