/*
 * access.h
 *	  Who may do what to which tenant.  Everything that is called by a user
 *	  asks here before it reads or writes a tenant's rows.
 */
#ifndef MULBERRY_ACCESS_H
#define MULBERRY_ACCESS_H

#include "postgres.h"

#include "utils/uuid.h"

/* What grant_access() gives; a role may hold several, in several tenants. */
typedef enum mulberry_access
{
	MULBERRY_ACCESS_INGEST = 1 << 0,
	MULBERRY_ACCESS_SUPERVISOR = 1 << 1,
	MULBERRY_ACCESS_OPERATOR = 1 << 2,
	MULBERRY_ACCESS_AUDITOR = 1 << 3,
	MULBERRY_ACCESS_GATEWAY = 1 << 4,
	MULBERRY_ACCESS_WORKER = 1 << 5,
	MULBERRY_ACCESS_ADMIN = 1 << 6
} mulberry_access;

/*
 * True when the outer user (SET ROLE followed, SECURITY DEFINER ignored) holds
 * one of the accesses in "mask" for the tenant.  Superusers and the owner of
 * the extension hold all.  Cached; no catalog access in the common case.
 */
extern bool mulberry_has_access(const pg_uuid_t *tenant, int mask);

/* The same for all tenants at once (a membership whose tenant is null). */
extern bool mulberry_has_access_everywhere(int mask);

/* What is known about a tenant, from a backend-local cache. */
typedef struct mulberry_tenant
{
	pg_uuid_t	id;
	NameData	name;
	char		default_encoding[8];
	int			default_sample_rate;
} mulberry_tenant;

/*
 * The tenant that a call of an SQL function is about.  "name" may be NULL: then
 * it is the one tenant for which the user holds one of the accesses in "mask",
 * or "default" when that is among several.  Raises ERRCODE_UNDEFINED_OBJECT when
 * there is no such tenant or the user has no such access to it (the two cannot
 * be told apart), ERRCODE_INSUFFICIENT_PRIVILEGE when the user has no such access
 * anywhere, ERRCODE_AMBIGUOUS_PARAMETER when a name is needed.  The result is
 * valid until the end of the statement.
 */
extern const mulberry_tenant *mulberry_resolve_tenant(const char *name, int mask);

/* Oid of the schema and of the extension's owner, cached. */
extern Oid	mulberry_schema_oid(void);
extern Oid	mulberry_owner_oid(void);

#endif							/* MULBERRY_ACCESS_H */
