/*
 * catalog.h
 *	  Where the extension is in this database: its schema, its owner, its
 *	  relations by name.
 */
#ifndef MULBERRY_CATALOG_H
#define MULBERRY_CATALOG_H

#include "postgres.h"

#define MULBERRY_EXTENSION "mulberry" /* its name, and that of its library */

/* For what runs with more rights than its caller: nothing here is anybody else's. */
#define MULBERRY_SAFE_SEARCH_PATH "pg_catalog, mulberry, mulberry_internal, pg_temp"

/* Oid of the schema of tables and of the extension's owner (of its tables), cached. */
extern Oid mulberry_schema_oid(void);
extern Oid mulberry_owner_oid(void);

/*
 * Oid of a table, view, index or sequence of the extension; raises an error when
 * it does not exist.  Not cached.
 */
extern Oid mulberry_relation_oid(const char *name);

/* Becomes the extension's owner; give the result to mulberry_leave_owner(). */
typedef struct mulberry_identity
{
	Oid user;
	int security_context;
} mulberry_identity;

extern mulberry_identity mulberry_become_owner(void);
extern void mulberry_leave_owner(mulberry_identity identity);

#endif /* MULBERRY_CATALOG_H */
