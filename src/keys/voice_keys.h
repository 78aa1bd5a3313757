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
#define MULBERRY_VOICE_KEY_IDS (MB_COMMAND_KEY_ID_MAX + 1)

/* The side of the telephone line that a key is for. */
typedef enum mulberry_voice_role
{
	MULBERRY_VOICE_SENDER,	/* the cloud: signs commands, checks acknowledgements */
	MULBERRY_VOICE_RECEIVER /* the edge: judges commands, signs acknowledgements */
} mulberry_voice_role;

/* What the row of an enabled key and its secret say. */
typedef struct mulberry_voice_key
{
	pg_uuid_t agent;
	int key_id;
	bool opened; /* false: there are no bytes, or they cannot be read, and no keys */
	mb_command_keys keys;
	mb_command_party party;
} mulberry_voice_key;

/*
 * Reads an enabled key of an agent in a tenant.  agent may be NULL for a receiver, whose key ids are unique
 * in the tenant.  False, with *key all zero, when there is none; that costs what finding one costs, whatever this process
 * remembers.  Sees what is committed, and this transaction's own changes.  Raises the errors of mulberry_secret_read(), and
 * ERRCODE_DATA_CORRUPTED when the key has no bytes; of the key file also without such a key, where the tenant or agent
 * has others.  Needs a transaction and no rights.  The caller wipes *key with mb_forget().
 */
extern bool mulberry_voice_key_load(const pg_uuid_t *tenant, mulberry_voice_role role,
									const pg_uuid_t *agent, int key_id, mulberry_voice_key *key);

/*
 * The 32 bytes of an enabled key, which the caller wipes, and between whom it is valid.  False when there is no such
 * key.  Errors as mulberry_voice_key_load().
 */
extern bool
mulberry_voice_key_bytes(const pg_uuid_t *tenant, mulberry_voice_role role, const pg_uuid_t *agent,
						 int key_id, uint8 bytes[MB_COMMAND_KEY_SIZE], mb_command_party *party);

/* The role that SQL calls "sender" or "receiver"; an internal error for any other name. */
extern mulberry_voice_role mulberry_voice_role_from_name(const char *name);

#endif /* MULBERRY_VOICE_KEYS_H */
