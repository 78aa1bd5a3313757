/*
 * access.h
 *	  Who may do what to which tenant.  Everything that is called by a user
 *	  asks here before it reads or writes a tenant's rows.
 *
 * The question is always about every caller at once (callers.h): the outer user,
 * whose SET ROLE is followed, and, where a SECURITY DEFINER function of somebody
 * calls, that somebody too.  Only what all of them hold counts.  A membership counts
 * for every role that inherits the rights of the member.  Superusers and the owner of
 * the extension hold every access; nobody holds any in a security-restricted operation.
 *
 * None of this works in a parallel worker, where the session's narrowing of
 * rights is not known: functions that ask are PARALLEL RESTRICTED or UNSAFE, and
 * one that is not fails with an internal error.
 */
#ifndef MULBERRY_ACCESS_H
#define MULBERRY_ACCESS_H

#include "postgres.h"

#include "utils/array.h"
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
	MULBERRY_ACCESS_ADMIN = 1 << 6,
	MULBERRY_ACCESS_MONITOR = 1 << 7,
	MULBERRY_ACCESS_AGENT = 1 << 8
} mulberry_access;

/* every access there is */
#define MULBERRY_ACCESS_ANY 0x1ff

/*
 * What holding one access includes, itself among it, is defined in access_names.c
 * alone and applied when memberships are read: whoever asks
 * for MULBERRY_ACCESS_SUPERVISOR gets operators, gateways and admins as well.
 */

/*
 * True when the callers hold one of the accesses in "mask" for the tenant.
 * Cached; no catalog access in the common case.
 */
extern bool mulberry_has_access(const pg_uuid_t *tenant, int mask);

/* The same for all tenants at once (a membership whose tenant is null). */
extern bool mulberry_has_access_everywhere(int mask);

/* The accesses (bits) that the callers hold for the tenant. */
extern int mulberry_access_to(const pg_uuid_t *tenant);

/*
 * The tenants for which the callers hold one of the accesses in "mask", as
 * a palloc'd array; returns their number.
 */
extern int mulberry_tenants_with_access(int mask, pg_uuid_t **ids);

/* Raises ERRCODE_INSUFFICIENT_PRIVILEGE unless mulberry_has_access_everywhere(). */
extern void mulberry_require_access_everywhere(int mask);

/*
 * Names.  mulberry_access_included(): the bits that holding the named access
 * means, 0 for an unknown name.  mulberry_access_from_name(): its own bit; raises
 * ERRCODE_INVALID_PARAMETER_VALUE for an unknown name and lists what is allowed.
 * mulberry_access_from_array(): the bits of a text[], any access when it is
 * empty.  mulberry_access_list(): "ingest, operator or admin", palloc'd.
 */
extern int mulberry_access_included(const char *name);
extern int mulberry_access_from_name(const char *name);
extern int mulberry_access_from_array(ArrayType *names);
extern char *mulberry_access_list(int mask, const char *last_separator);
extern ArrayType *mulberry_access_array(int mask);

/* What is known about a tenant, from a backend-local cache. */
typedef struct mulberry_tenant
{
	pg_uuid_t id;
	NameData name;
	char default_encoding[8];
	int default_sample_rate; /* Hz */
} mulberry_tenant;

/*
 * The tenant that a call of an SQL function is about.  "name" may be NULL: then
 * it is the one tenant for which the user holds one of the accesses in "mask",
 * or "default" when that is among several.  Raises ERRCODE_UNDEFINED_OBJECT when
 * there is no such tenant or the user has no such access to it (the two cannot
 * be told apart), ERRCODE_INSUFFICIENT_PRIVILEGE when the user has no such access
 * anywhere, ERRCODE_AMBIGUOUS_PARAMETER when a name is needed.  The pointer stays
 * valid for the life of the backend; what it points to may be refreshed by the
 * next call of a function of this header.
 */
extern const mulberry_tenant *mulberry_resolve_tenant(const char *name, int mask);

/* The tenant with that id, whoever asks; NULL, or an error, when there is none. */
extern const mulberry_tenant *mulberry_find_tenant(const pg_uuid_t *id);
extern const mulberry_tenant *mulberry_tenant_by_id(const pg_uuid_t *id);

#endif /* MULBERRY_ACCESS_H */
