/*
 * held.h
 *	  Which accesses roles hold: for access.c, which answers everybody else, and narrowing.c.
 */
#ifndef MULBERRY_HELD_H
#define MULBERRY_HELD_H

#include "postgres.h"

#include "utils/uuid.h"

/* The accesses that one role has to one tenant. */
typedef struct mulberry_tenant_access
{
	pg_uuid_t tenant;
	int mask;
} mulberry_tenant_access;

/* What one role may do, all its inherited roles included. */
typedef struct mulberry_role_access
{
	Oid role;		/* hash key */
	bool complete;	/* false while it is being read */
	int everywhere; /* mask for all tenants */
	int anywhere;	/* union of all masks */
	int ntenants;
	mulberry_tenant_access *tenants;
} mulberry_role_access;

/*
 * What all callers hold together; nothing in a security-restricted operation.  Valid
 * until the next call.  The second one is for narrowing.c: what they hold by their memberships.
 */
extern const mulberry_role_access *mulberry_access_of_callers(void);
extern const mulberry_role_access *mulberry_access_of_roles(void);

/* Whose lack of all accesses in "mask" to all tenants, or to any, it is that the callers lack them together. */
extern Oid mulberry_caller_without(int mask, bool everywhere);

/* The accesses (bits) that are held for the tenant. */
extern int mulberry_mask_for_tenant(const mulberry_role_access *held, const pg_uuid_t *tenant);

/*
 * By access.c.  mulberry_use_access_caches() takes note of what others have
 * committed; it returns the generation: what was read under another one is stale.
 */
extern uint64 mulberry_use_access_caches(void);
extern uint64 mulberry_access_generation(void);
extern Oid mulberry_members_oid(void);

#endif /* MULBERRY_HELD_H */
