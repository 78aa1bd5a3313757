/*
 * shared_catalogs.h
 *	  Names of databases and roles, for a process without a database.
 */
#ifndef MULBERRY_SHARED_CATALOGS_H
#define MULBERRY_SHARED_CATALOGS_H

/* The database of this name that takes connections; InvalidOid: there is none. */
extern Oid mulberry_look_up_database(const char *name);

/* The role of this name; InvalidOid: there is none. */
extern Oid mulberry_look_up_role(const char *name);

#endif /* MULBERRY_SHARED_CATALOGS_H */
