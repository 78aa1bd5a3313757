/*
 * audit_record.h
 *	  The one way in which a row of the audit log is written as bytes, and the hash that chains it to
 *	  the row before it.
 *
 * hash = SHA-256 of the bytes, in this order, numbers big endian:
 *
 *		"MLBA" 01			four letters and the version of this form
 *		previous			32 bytes: hash of the row before, all zero for the first
 *		tenant				16 bytes of the UUID
 *		seq, id				u64 each
 *		at					i64, microseconds since 1970-01-01 00:00 UTC
 *		role, action, outcome, method, mandate, agent, command, evidence
 *							each a u32 length and so many bytes; length ffffffff: null
 *
 * Texts are UTF-8 (whatever bytes a SQL_ASCII database has), agent the 16 bytes of a UUID, command an i64,
 * evidence the text of the jsonb.  No two rows have the same bytes, because every part tells
 * its length.
 *
 * Which rows there are, and what a broken chain means, is the caller's.
 */
#ifndef MB_AUDIT_RECORD_H
#define MB_AUDIT_RECORD_H

#include "core/crypto/digest.h"
#include "core/mb.h"

#define MB_AUDIT_UUID_SIZE 16

/* A part of variable length; data NULL: null. */
typedef struct mb_audit_part
{
	const void *data;
	size_t length; /* below 2^32 - 1 */
} mb_audit_part;

/* Parts in the order in which they are written. */
typedef enum mb_audit_field
{
	MB_AUDIT_ROLE,
	MB_AUDIT_ACTION,
	MB_AUDIT_OUTCOME,
	MB_AUDIT_METHOD,
	MB_AUDIT_MANDATE,
	MB_AUDIT_AGENT,	  /* 16 bytes */
	MB_AUDIT_COMMAND, /* 8 bytes, see mb_audit_put_i64() */
	MB_AUDIT_EVIDENCE,
	MB_AUDIT_FIELDS
} mb_audit_field;

typedef struct mb_audit_record
{
	uint8_t tenant[MB_AUDIT_UUID_SIZE];
	int64_t seq;
	int64_t id;
	int64_t at_us;
	mb_audit_part fields[MB_AUDIT_FIELDS];
} mb_audit_record;

/* A number as it stands in the bytes. */
extern void mb_audit_put_i64(int64_t number, uint8_t bytes[8]);

/* Bytes that mb_audit_write() needs; 0 when a part is too long. */
extern size_t mb_audit_size(const mb_audit_record *record);

/* Writes mb_audit_size() bytes. */
extern void mb_audit_write(const mb_audit_record *record, const uint8_t previous[MB_SHA256_SIZE],
						   uint8_t *bytes);

/*
 * The hash; "space" bytes at "buffer" are scratch.  MB_ERR_SPACE when that is less than
 * mb_audit_size(), MB_ERR_RANGE when a part is too long, MB_ERR_CRYPTO.
 */
extern mb_status
mb_audit_hash(const mb_audit_record *record, const uint8_t previous[MB_SHA256_SIZE],
			  uint8_t *buffer, size_t space, uint8_t hash[MB_SHA256_SIZE]);

#endif /* MB_AUDIT_RECORD_H */
