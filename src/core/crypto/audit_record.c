/*
 * audit_record.c
 *	  A row of the audit log as bytes, and its hash; see audit_record.h.
 */
#include "core/crypto/audit_record.h"

#include <string.h>

#define MAGIC "MLBA\001"
#define MAGIC_SIZE 5
#define NULL_LENGTH UINT32_MAX
#define FIXED_SIZE (MAGIC_SIZE + MB_SHA256_SIZE + MB_AUDIT_UUID_SIZE + 3 * 8)

static uint8_t *
put(uint8_t *at, const void *data, size_t n)
{
	if (n > 0)
		memcpy(at, data, n);
	return at + n;
}

static uint8_t *
put_u32(uint8_t *at, uint32_t number)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t) (number >> (24 - 8 * i));
	return at + 4;
}

static uint8_t *
put_i64(uint8_t *at, int64_t number)
{
	mb_audit_put_i64(number, at);
	return at + 8;
}

void
mb_audit_put_i64(int64_t number, uint8_t bytes[8])
{
	uint64_t value = (uint64_t) number;

	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t) (value >> (56 - 8 * i));
}

size_t
mb_audit_size(const mb_audit_record *record)
{
	size_t size = FIXED_SIZE;

	for (int i = 0; i < MB_AUDIT_FIELDS; i++)
	{
		size += 4;
		if (record->fields[i].data == NULL)
			continue;
		if (record->fields[i].length >= NULL_LENGTH)
			return 0;
		size += record->fields[i].length;
	}
	return size;
}

void
mb_audit_write(const mb_audit_record *record, const uint8_t previous[MB_SHA256_SIZE],
			   uint8_t *bytes)
{
	uint8_t *at = bytes;

	at = put(at, MAGIC, MAGIC_SIZE);
	at = put(at, previous, MB_SHA256_SIZE);
	at = put(at, record->tenant, MB_AUDIT_UUID_SIZE);
	at = put_i64(at, record->seq);
	at = put_i64(at, record->id);
	at = put_i64(at, record->at_us);
	for (int i = 0; i < MB_AUDIT_FIELDS; i++)
	{
		const mb_audit_part *part = &record->fields[i];

		if (part->data == NULL)
			at = put_u32(at, NULL_LENGTH);
		else
		{
			at = put_u32(at, (uint32_t) part->length);
			at = put(at, part->data, part->length);
		}
	}
}

mb_status
mb_audit_hash(const mb_audit_record *record, const uint8_t previous[MB_SHA256_SIZE],
			  uint8_t *buffer, size_t space, uint8_t hash[MB_SHA256_SIZE])
{
	size_t size = mb_audit_size(record);

	if (size == 0)
		return MB_ERR_RANGE;
	if (size > space)
		return MB_ERR_SPACE;
	mb_audit_write(record, previous, buffer);
	return mb_sha256(buffer, size, hash);
}
