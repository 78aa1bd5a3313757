/*
 * secrets.h
 *	  Stored secrets, for C code only: a plain value is never returned to SQL
 *	  and never logged.
 */
#ifndef MULBERRY_SECRETS_H
#define MULBERRY_SECRETS_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/relcache.h"
#include "utils/uuid.h"

#define MULBERRY_MAX_SECRET_SIZE 65536 /* bytes */
#define MULBERRY_MAX_SECRET_NAME 63	   /* bytes */

/* Called from _PG_init: installs what keeps secrets out of the server's log. */
extern void mulberry_secrets_init(void);

/*
 * The plain bytes of a tenant's secret in the current memory context, with a NUL
 * behind them; the caller overwrites them (explicit_bzero) when done.  NULL when
 * there is none by that name.  Raises an error when the key file is missing or
 * is not the one that the secret was stored with.  Needs a transaction, no
 * snapshot and no rights on the table.
 */
extern char *mulberry_secret_read(const pg_uuid_t *tenant, const char *name, Size *length);

/*
 * mulberry_secret_read() for whom one secret that cannot be opened must not keep from others: NULL, with the problem, or
 * with a NULL problem where there is none by that name.  Only trouble with the key file itself is an error.
 */
extern char *mulberry_secret_try_read(const pg_uuid_t *tenant, const char *name, Size *length,
									  const char **problem);

/*
 * Does what mulberry_secret_read() does, but for the looking up, with a seal that does not open: for whom it must not be told
 * by the time whether there is a secret.  Raises the same errors for trouble with the key file, unless it is missing.
 */
extern void mulberry_secret_read_none(void);

/*
 * Stores or replaces a tenant's secret; the key file is made with the first one.
 * Raises an error for a bad name, an empty or too long value, and trouble with
 * the key file.  The caller has checked the access.
 */
extern void
mulberry_secret_store(const pg_uuid_t *tenant, const char *name, const char *value, Size length);

/*
 * For the triggers of views through which secrets enter.  The first raises an error unless COPY FROM
 * inserts into that view right now; the second gives a column of the row as a string, NULL for a null.
 * The view must be known to statement_log.c.
 */
extern void mulberry_require_copy(Relation view);
extern char *mulberry_entry_text(HeapTuple tuple, TupleDesc desc, int column);

#endif /* MULBERRY_SECRETS_H */
