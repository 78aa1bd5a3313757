/*
 * extension.h
 *	  The row of our extension in pg_extension, and whether the SQL that it stands
 *	  for is of the version of this library.
 */
#ifndef MULBERRY_EXTENSION_H
#define MULBERRY_EXTENSION_H

#include "postgres.h"

/* The default_version of mulberry.control when this library was built. */
extern const char mulberry_library_version[];

/*
 * Looks for the extension in this database; false when there is none.  "version" is
 * allocated in the current context, and may be NULL when nobody wants it.
 */
extern bool mulberry_find_extension(Oid *extension, Oid *owner, char **version);

/* True when SQL of this version and this library belong together. */
extern bool mulberry_fits(const char *version);

/* What to do when they do not, for errhint(). */
extern const char *mulberry_version_hint(const char *version);

/* An error (55000) when they do not; "function" is what cannot be done then. */
extern void mulberry_require_version(const char *function);

#endif /* MULBERRY_EXTENSION_H */
