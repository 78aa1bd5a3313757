/*
 * access.c
 *	  Who may do what to which tenant: answers for all callers at once, and keeps
 *	  tenants in a backend-local cache.  Who holds what is held.c's subject.
 *
 * The caches are filled lazily and thrown away as a whole when something they
 * depend on changes: members, tokens and tenants (a statement trigger on them sends a
 * relcache invalidation), roles and role memberships.  So a grant or revocation
 * counts in every open session from its next call on.
 *
 * This file must not write members, tokens or tenants; that is SQL.  What accesses are
 * called and include is in access_names.c, SQL functions are in access_sql.c.
 */
#include "server/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "storage/sinval.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "access/access.h"
#include "access/held.h"
#include "access/narrowing.h"
#include "server/catalog.h"
#include "server/columns.h"
#include "server/texts.h"

/* The tenant that exists from the start: 6d756c62-6572-7279-8000-000000000001 */
static const pg_uuid_t default_tenant = { { 0x6d, 0x75, 0x6c, 0x62, 0x65, 0x72, 0x72, 0x79, 0x80,
											0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01 } };

/* Attribute numbers of tenants, in the order of its columns. */
enum tenants_column
{
	TENANTS_ID = 1,
	TENANTS_NAME,
	TENANTS_DEFAULT_ENCODING,
	TENANTS_DEFAULT_SAMPLE_RATE
};

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
	Oid members;
	Oid tokens;
	Oid tenants;
	Oid tenants_by_id;
	Oid tenants_by_name;
} places;

static HTAB *tenants;

/* Ids of all tenants, for those who may see all of them. */
static struct
{
	uint64 generation;
	int count;
	pg_uuid_t *ids;
} all_tenants;

static void use_caches(void);
static const mulberry_tenant *tenant_by_name(const char *name);
static const tenant_entry *remember_tenant(Relation rel, HeapTuple tuple);
static void read_all_tenants(void);
pg_noreturn static void refuse_tenant(const char *name);

/* ---------------------------------------------------------------------------
 * Asking
 * ---------------------------------------------------------------------------
 */

bool
mulberry_has_access(const pg_uuid_t *tenant, int mask)
{
	return (mulberry_mask_for_tenant(mulberry_access_of_callers(), tenant) & mask) != 0;
}

bool
mulberry_has_access_everywhere(int mask)
{
	return (mulberry_access_of_callers()->everywhere & mask) != 0;
}

int
mulberry_access_to(const pg_uuid_t *tenant)
{
	return mulberry_mask_for_tenant(mulberry_access_of_callers(), tenant);
}

int
mulberry_tenants_with_access(int mask, pg_uuid_t **ids)
{
	const mulberry_role_access *held = mulberry_access_of_callers();
	int count = 0;

	if ((held->everywhere & mask) != 0)
	{
		read_all_tenants();
		count = all_tenants.count;
		*ids = palloc(Max(count, 1) * sizeof(pg_uuid_t));
		memcpy(*ids, all_tenants.ids, count * sizeof(pg_uuid_t));
		return count;
	}
	*ids = palloc(Max(held->ntenants, 1) * sizeof(pg_uuid_t));
	for (int i = 0; i < held->ntenants; i++)
		if ((held->tenants[i].mask & mask) != 0)
			(*ids)[count++] = held->tenants[i].tenant;
	return count;
}

/* Where users' code runs in a session of somebody who has not asked for it, there is nothing to refuse but all. */
static void
refuse_security_restricted(void)
{
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("nobody has access within a security-restricted operation"),
				 errdetail("That is what functions run in that an index, a statistics object or "
						   "a materialized view calls.")));
}

void
mulberry_require_access_everywhere(int mask)
{
	refuse_security_restricted();
	if (!mulberry_has_access_everywhere(mask))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("%s has no %s access to all tenants",
							   mulberry_name_caller(mulberry_caller_without(mask, true)),
							   mulberry_access_list(mask, " or "))));
}

/*
 * A name is looked for among the tenants of the role, never among all of them
 * (unless it may see all): so a foreign tenant takes the very path of one that
 * does not exist.
 */
static void
refuse_tenant(const char *name)
{
	mulberry_check_text("tenant", name, (int) strlen(name));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("tenant \"%s\" does not exist", name)));
}

const mulberry_tenant *
mulberry_resolve_tenant(const char *name, int mask)
{
	const mulberry_role_access *held = mulberry_access_of_callers();
	const mulberry_tenant *found = NULL;
	int candidates = 0;

	refuse_security_restricted();
	if ((held->anywhere & mask) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("%s has no %s access",
						mulberry_name_caller(mulberry_caller_without(mask, false)),
						mulberry_access_list(mask, " or ")),
				 errhint("An administrator can give it with mulberry.grant_access(role, access, "
						 "tenant).")));

	if ((held->everywhere & mask) != 0)
	{
		found = name == NULL ? mulberry_find_tenant(&default_tenant) : tenant_by_name(name);
		if (found == NULL)
			refuse_tenant(name == NULL ? "default" : name);
		return found;
	}

	for (int i = 0; i < held->ntenants; i++)
	{
		const mulberry_tenant *tenant;

		if ((held->tenants[i].mask & mask) == 0)
			continue;
		/* an invalidation while the tenant is read leaves "held" in place */
		tenant = mulberry_find_tenant(&held->tenants[i].tenant);
		if (tenant == NULL)
			continue;
		if (name != NULL)
		{
			if (strcmp(NameStr(tenant->name), name) == 0)
				return tenant;
			continue;
		}
		if (memcmp(&tenant->id, &default_tenant, UUID_LEN) == 0)
			return tenant;
		found = tenant;
		candidates++;
	}

	if (name != NULL)
		refuse_tenant(name);
	if (candidates > 1)
		ereport(ERROR, (errcode(ERRCODE_AMBIGUOUS_PARAMETER), errmsg("a tenant must be named"),
						errdetail("Role \"%s\" has %s access to %d tenants.",
								  GetUserNameFromId(GetOuterUserId(), false),
								  mulberry_access_list(mask, " or "), candidates),
						errhint("The view mulberry.tenant_access lists them.")));
	if (found == NULL)
		refuse_tenant("default");
	return found;
}

/* ---------------------------------------------------------------------------
 * Caches
 * ---------------------------------------------------------------------------
 */

static void
forget_on_relcache(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == places.members || relid == places.tokens ||
		relid == places.tenants)
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

	/*
	 * Looking tables up may take note of more changes; then they are looked up
	 * again.  Not for ever: debug_discard_caches makes a change of every look.
	 */
	for (int tries = 0; places.generation != cache_generation && tries < 3; tries++)
	{
		uint64 generation = cache_generation;

		places.members = mulberry_relation_oid("members");
		places.tokens = mulberry_relation_oid("tokens");
		places.tenants = mulberry_relation_oid("tenants");
		places.tenants_by_id = mulberry_relation_oid("tenants_pkey");
		places.tenants_by_name = mulberry_relation_oid("tenants_name_key");
		places.generation = generation;
	}
}

uint64
mulberry_use_access_caches(void)
{
	use_caches();
	return cache_generation;
}

uint64
mulberry_access_generation(void)
{
	return cache_generation;
}

Oid
mulberry_members_oid(void)
{
	return places.members;
}

/* The tenant with that id, whoever asks; NULL when there is none. */
const mulberry_tenant *
mulberry_find_tenant(const pg_uuid_t *id)
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

const mulberry_tenant *
mulberry_tenant_by_id(const pg_uuid_t *id)
{
	const mulberry_tenant *found = mulberry_find_tenant(id);

	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the tenant does not exist any more")));
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

	id = DatumGetUUIDP(mulberry_column(tuple, desc, TENANTS_ID));
	entry = hash_search(tenants, id, HASH_ENTER, NULL);
	entry->generation = 0;

	value = TextDatumGetCString(mulberry_column(tuple, desc, TENANTS_NAME));
	namestrcpy(&entry->tenant.name, value);
	value = TextDatumGetCString(mulberry_column(tuple, desc, TENANTS_DEFAULT_ENCODING));
	strlcpy(entry->tenant.default_encoding, value, sizeof(entry->tenant.default_encoding));
	entry->tenant.default_sample_rate =
		DatumGetInt32(mulberry_column(tuple, desc, TENANTS_DEFAULT_SAMPLE_RATE));

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
		if (all_tenants.count == room)
		{
			room *= 2;
			all_tenants.ids = repalloc(all_tenants.ids, room * sizeof(pg_uuid_t));
		}
		all_tenants.ids[all_tenants.count++] =
			*DatumGetUUIDP(mulberry_column(tuple, RelationGetDescr(rel), TENANTS_ID));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	all_tenants.generation = generation;
}
