/*
 * secrets.h
 *	  Reading of stored secrets, by C code only: never returned to SQL, never
 *	  logged.
 */
#ifndef MULBERRY_SECRETS_H
#define MULBERRY_SECRETS_H

#include "postgres.h"

#include "utils/uuid.h"

/*
 * The plain bytes of a tenant's secret in the current memory context, with a NUL
 * behind them; the caller overwrites them (explicit_bzero) when done.  NULL when
 * there is none by that name.  Raises an error when the key file is missing or
 * is not the one that the secret was stored with.
 */
extern char *mulberry_secret_read(const pg_uuid_t *tenant, const char *name, Size *length);

#endif							/* MULBERRY_SECRETS_H */
