/*
 * voice_keys.h
 *	  The keys of signed voice commands, for C code only: their bytes are never returned to SQL (but
 *	  once, by export_voice_key(), to the edge they are for) and never logged.
 *
 * Rows are in voice_keys, bytes in secrets.  What frames say and what they are worth is
 * core/command.h's and receiver.c's.
 */
#ifndef MULBERRY_VOICE_KEYS_H
#define MULBERRY_VOICE_KEYS_H

#include "postgres.h"

#include "utils/uuid.h"

#include "core/command/command.h"

#define MULBERRY_VOICE_FINGERPRINT_SIZE 16 /* hexadecimal digits, without a NUL */

/* The side of the telephone line that a key is for. */
typedef enum mulberry_voice_role
{
	MULBERRY_VOICE_SENDER,	/* the cloud: signs commands, checks acknowledgements */
	MULBERRY_VOICE_RECEIVER /* the edge: judges commands, signs acknowledgements */
} mulberry_voice_role;

/* What a row of voice_keys and its secret say. */
typedef struct mulberry_voice_key
{
	pg_uuid_t agent;
	int key_id;
	bool enabled;
	mb_command_keys keys; /* all zero when the key is disabled: its bytes are gone */
	mb_command_party party;
} mulberry_voice_key;

/*
 * Reads the key of an agent in a tenant.  agent may be NULL for a receiver, whose key ids are unique
 * in the tenant.  False when there is no such row.  Sees what is committed, and this transaction's own
 * changes.  Raises the errors of mulberry_secret_read(), and ERRCODE_DATA_CORRUPTED when an enabled key
 * has no bytes.  Needs a transaction and no rights.  The caller wipes *key with mb_forget().
 */
extern bool mulberry_voice_key_load(const pg_uuid_t *tenant, mulberry_voice_role role,
									const pg_uuid_t *agent, int key_id, mulberry_voice_key *key);

#endif /* MULBERRY_VOICE_KEYS_H */
