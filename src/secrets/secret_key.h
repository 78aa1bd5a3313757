/*
 * secret_key.h
 *	  The keys that secrets are sealed with: the file of
 *	  mulberry.secret_key_file.
 *
 * The file holds one key a line, 64 hexadecimal digits.  The first is the one
 * that new secrets are sealed with; the others are those it replaced, which
 * open what was sealed before.  It belongs to the server's operating system
 * user and nobody else may read it.  Keys stay in memory no longer than needed.
 */
#ifndef MULBERRY_SECRET_KEY_H
#define MULBERRY_SECRET_KEY_H

#include "postgres.h"

#include "core/crypto/seal.h"

#define MULBERRY_MAX_SECRET_KEYS 16

typedef struct mulberry_secret_keys
{
	int count;
	struct
	{
		uint8 key[MB_SEAL_KEY_SIZE];
		char fingerprint[MB_SEAL_FINGERPRINT_SIZE + 1];
	} keys[MULBERRY_MAX_SECRET_KEYS];
} mulberry_secret_keys;

/*
 * Reads the file.  False when there is none and missing_ok; every other trouble
 * is an error of class F0 (config_file_error) or of the operating system.  The
 * caller wipes *keys with explicit_bzero.
 */
extern bool mulberry_read_secret_keys(mulberry_secret_keys *keys, bool missing_ok);

/* What tells one key file from another without reading it: all zero where there is none. */
typedef struct mulberry_key_file_stamp
{
	uint64 device;
	uint64 inode;
	uint64 size;
	uint64 mode;
	uint64 owner;
	int64 changed_s;
	int64 changed_ns;
} mulberry_key_file_stamp;

extern void mulberry_stamp_key_file(mulberry_key_file_stamp *stamp);

/* The key with that fingerprint, or NULL. */
extern const uint8 *
mulberry_find_secret_key(const mulberry_secret_keys *keys, const char *fingerprint);

/*
 * The following write the file.  The caller holds mulberry_lock_secret_keys(),
 * which lasts until the end of the transaction and excludes every other session
 * of the server, whatever its database: they share the file.
 */
extern void mulberry_lock_secret_keys(void);

/* Makes the file with one new key; an error when it exists. */
extern void mulberry_create_secret_key_file(mulberry_secret_keys *keys);

/* Puts a new key before those of *keys, for mulberry_replace_secret_key_file(). */
extern void mulberry_add_secret_key(mulberry_secret_keys *keys);

/* Replaces the file durably and at once. */
extern void mulberry_replace_secret_key_file(const mulberry_secret_keys *keys);

#endif /* MULBERRY_SECRET_KEY_H */
