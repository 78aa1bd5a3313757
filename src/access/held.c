/*
 * held.c
 *	  Which accesses roles hold: reads members into a cache of roles, and takes
 *	  what all callers (callers.h) hold together.
 *
 * The cache is filled lazily and thrown away as a whole when something it depends
 * on changes; see access.c.
 */
#include "server/compat.h"

#include "access/genam.h"
#include "access/parallel.h"
#include "access/table.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "access/access.h"
#include "access/callers.h"
#include "access/held.h"
#include "access/narrowing.h"
#include "server/catalog.h"
#include "server/columns.h"

/* Attribute numbers of members, in the order of its columns. */
enum members_column
{
	MEMBERS_ROLE = 1,
	MEMBERS_ACCESS,
	MEMBERS_TENANT
};

static MemoryContext roles_context;
static HTAB *roles;
static uint64 roles_generation;

static void read_members(mulberry_role_access *held);

/* What one role holds, from the cache, which must not be stale. */
static const mulberry_role_access *
access_of_role(Oid role)
{
	bool known;
	mulberry_role_access *held = hash_search(roles, &role, HASH_ENTER, &known);

	if (!known)
		held->complete = false;
	if (!held->complete)
		read_members(held);
	return held;
}

/* What both hold: "held" itself where the role does not narrow it. */
static const mulberry_role_access *
narrow_access(const mulberry_role_access *held, Oid role)
{
	const mulberry_role_access *other = access_of_role(role);
	mulberry_role_access *both;

	if (other == held || other->everywhere == MULBERRY_ACCESS_ANY)
		return held;
	both = palloc0(sizeof(mulberry_role_access));
	both->everywhere = held->everywhere & other->everywhere;
	both->anywhere = both->everywhere;
	both->tenants = palloc((held->ntenants + other->ntenants) * sizeof(mulberry_tenant_access));
	for (int i = 0; i < held->ntenants + other->ntenants; i++)
	{
		mulberry_tenant_access *known =
			i < held->ntenants ? &held->tenants[i] : &other->tenants[i - held->ntenants];
		int mask = mulberry_mask_for_tenant(held, &known->tenant) &
				   mulberry_mask_for_tenant(other, &known->tenant);

		if (mask == 0 || (mulberry_mask_for_tenant(both, &known->tenant) & mask) == mask)
			continue;
		both->tenants[both->ntenants++] = (mulberry_tenant_access){ known->tenant, mask };
		both->anywhere |= mask;
	}
	return both;
}

/* What all callers hold by their memberships; in most calls they are one role. */
const mulberry_role_access *
mulberry_access_of_roles(void)
{
	static const mulberry_role_access nothing = { 0 };
	Oid outer = GetOuterUserId();
	Oid current = GetUserId();
	const mulberry_role_access *held;
	uint64 generation;

	if (IsParallelWorker())
		elog(ERROR, "access to tenants cannot be checked in a parallel worker");
	if (InSecurityRestrictedOperation())
		return &nothing;

	generation = mulberry_use_access_caches();
	if (roles == NULL || roles_generation != generation)
	{
		HASHCTL ctl = { 0 };

		if (roles_context == NULL)
			roles_context = AllocSetContextCreate(CacheMemoryContext, "mulberry access of roles",
												  ALLOCSET_SMALL_SIZES);
		roles = NULL;
		MemoryContextReset(roles_context);
		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(mulberry_role_access);
		ctl.hcxt = roles_context;
		roles =
			hash_create("mulberry access of roles", 8, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		roles_generation = generation;
	}

	held = access_of_role(outer);
	if (current != outer)
		held = narrow_access(held, current);
	for (const mulberry_caller *caller = mulberry_callers(); caller != NULL; caller = caller->below)
		if (caller->role != outer)
			held = narrow_access(held, caller->role);
	return held;
}

/* Everything asks through this function: here rights are narrowed to those of a token. */
const mulberry_role_access *
mulberry_access_of_callers(void)
{
	return mulberry_narrowed(mulberry_access_of_roles());
}

Oid
mulberry_caller_without(int mask, bool everywhere)
{
	Oid found = GetOuterUserId();
	const mulberry_role_access *held = access_of_role(found);

	if (((everywhere ? held->everywhere : held->anywhere) & mask) == 0)
		return found;
	/* the outer user has it, so it is the one who called last among those who have not */
	for (const mulberry_caller *caller = mulberry_callers(); caller != NULL; caller = caller->below)
	{
		held = access_of_role(caller->role);
		if (((everywhere ? held->everywhere : held->anywhere) & mask) == 0)
			return caller->role;
		if (found == GetOuterUserId() && held->everywhere != MULBERRY_ACCESS_ANY)
			found = caller->role;
	}
	held = access_of_role(GetUserId());
	return held->everywhere == MULBERRY_ACCESS_ANY ? found : GetUserId();
}

int
mulberry_mask_for_tenant(const mulberry_role_access *held, const pg_uuid_t *tenant)
{
	int mask = held->everywhere;

	for (int i = 0; i < held->ntenants; i++)
		if (memcmp(&held->tenants[i].tenant, tenant, UUID_LEN) == 0)
			return mask | held->tenants[i].mask;
	return mask;
}

/*
 * Fills an entry of the cache of roles.
 *
 * The scan takes a snapshot of its own, after invalidations have been accepted:
 * the statement's may be older than the change that made the cache stale, and
 * what it shows would then stay for good.
 */
static void
read_members(mulberry_role_access *held)
{
	uint64 generation = mulberry_access_generation();
	int room = 0;
	Relation rel;
	SysScanDesc scan;
	HeapTuple tuple;

	held->everywhere = 0;
	held->anywhere = 0;
	held->ntenants = 0;
	held->tenants = NULL;

	if (superuser_arg(held->role) || has_privs_of_role(held->role, mulberry_owner_oid()))
	{
		held->everywhere = held->anywhere = MULBERRY_ACCESS_ANY;
		held->complete = generation == mulberry_access_generation();
		return;
	}

	rel = table_open(mulberry_members_oid(), AccessShareLock);
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

		member = DatumGetObjectId(mulberry_column(tuple, RelationGetDescr(rel), MEMBERS_ROLE));
		if (!has_privs_of_role(held->role, member))
			continue;

		value = mulberry_column(tuple, RelationGetDescr(rel), MEMBERS_ACCESS);
		name = TextDatumGetCString(value);
		mask = mulberry_access_included(name);
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
						? MemoryContextAlloc(roles_context, room * sizeof(mulberry_tenant_access))
						: repalloc(held->tenants, room * sizeof(mulberry_tenant_access));
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
	held->complete = generation == mulberry_access_generation();
}
