/*
 * test_audit_record.c
 *	  The bytes and hashes of rows of the audit log.  The vectors were computed from the description in
 *	  audit_record.h with another SHA-256.
 */
#include "core/crypto/audit_record.h"
#include "check.h"

static const uint8_t zero[MB_SHA256_SIZE];
static const uint8_t agent[MB_AUDIT_UUID_SIZE] = { 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88,
												   0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00 };

static mb_audit_part
text(const char *string)
{
	return (mb_audit_part){ string, strlen(string) };
}

static mb_audit_record
first_row(void)
{
	mb_audit_record record = { { 0 }, 1, 42, 1700000000123456, { { NULL, 0 } } };

	for (int i = 0; i < MB_AUDIT_UUID_SIZE; i++)
		record.tenant[i] = (uint8_t) (i * 0x11);
	record.fields[MB_AUDIT_ROLE] = text("anna");
	record.fields[MB_AUDIT_ACTION] = text("spend");
	record.fields[MB_AUDIT_OUTCOME] = text("accepted");
	record.fields[MB_AUDIT_MANDATE] = text("12345678");
	record.fields[MB_AUDIT_AGENT] = (mb_audit_part){ agent, sizeof(agent) };
	record.fields[MB_AUDIT_EVIDENCE] = text("{\"amount\": 60.0000}");
	return record;
}

static void
hash_of(const mb_audit_record *record, const uint8_t *previous, uint8_t *hash)
{
	uint8_t buffer[1024];

	check_int(mb_audit_hash(record, previous, buffer, sizeof(buffer), hash), MB_OK);
}

static void
check_hex(const uint8_t hash[MB_SHA256_SIZE], const char *want)
{
	char hex[2 * MB_SHA256_SIZE + 1];

	for (int i = 0; i < MB_SHA256_SIZE; i++)
		sprintf(hex + 2 * i, "%02x", hash[i]);
	check_string(hex, want);
}

static void
vectors_hold(void)
{
	mb_audit_record record = first_row();
	uint8_t first[MB_SHA256_SIZE];
	uint8_t second[MB_SHA256_SIZE];
	uint8_t command[8];

	check_int(mb_audit_size(&record), 169);
	hash_of(&record, zero, first);
	check_hex(first, "c6a5fd31ccce319255ac265b9e1d223acb6f396333af46bb04cf061ea7864c3d");

	record.seq = 2;
	record.id = 41;
	record.at_us = -1;
	for (int i = 0; i < MB_AUDIT_FIELDS; i++)
		record.fields[i] = (mb_audit_part){ NULL, 0 };
	record.fields[MB_AUDIT_ROLE] = text("");
	record.fields[MB_AUDIT_ACTION] = text("");
	record.fields[MB_AUDIT_OUTCOME] = text("x");
	record.fields[MB_AUDIT_METHOD] = text("");
	mb_audit_put_i64(-7, command);
	record.fields[MB_AUDIT_COMMAND] = (mb_audit_part){ command, sizeof(command) };
	check_int(mb_audit_size(&record), 118);
	hash_of(&record, first, second);
	check_hex(second, "d09d368d25cc8f9ce3af9d4a3f9280ba43bbbed131bab71060fe988a3fb84250");
}

/* Null and empty, and the same letters in other columns, are other rows. */
static void
every_part_counts(void)
{
	mb_audit_record record = first_row();
	uint8_t hashes[2 * MB_AUDIT_FIELDS + 6][MB_SHA256_SIZE];
	uint8_t previous[MB_SHA256_SIZE] = { 0 };
	int n = 0;

	hash_of(&record, zero, hashes[n++]);
	for (int i = 0; i < MB_AUDIT_FIELDS; i++)
	{
		mb_audit_part kept = record.fields[i];

		record.fields[i] = (mb_audit_part){ NULL, 0 };
		if (kept.data != NULL)
			hash_of(&record, zero, hashes[n++]);
		record.fields[i] = text("");
		hash_of(&record, zero, hashes[n++]);
		record.fields[i] = kept;
	}
	record.fields[MB_AUDIT_ACTION] = text("spen");
	record.fields[MB_AUDIT_OUTCOME] = text("daccepted");
	hash_of(&record, zero, hashes[n++]);
	record = first_row();
	record.seq++;
	hash_of(&record, zero, hashes[n++]);
	record.seq--;
	record.id++;
	hash_of(&record, zero, hashes[n++]);
	record.id--;
	record.at_us++;
	hash_of(&record, zero, hashes[n++]);
	record.at_us--;
	previous[MB_SHA256_SIZE - 1] = 1;
	hash_of(&record, previous, hashes[n++]);
	for (int i = 0; i < n; i++)
		for (int j = 0; j < i; j++)
			check_report(!mb_equal(hashes[i], hashes[j], MB_SHA256_SIZE), __FILE__, __LINE__,
						 "rows %d and %d have the same hash", j, i);
}

static void
limits_are_kept(void)
{
	mb_audit_record record = first_row();
	uint8_t buffer[169];
	uint8_t hash[MB_SHA256_SIZE];

	check_int(mb_audit_hash(&record, zero, buffer, 169, hash), MB_OK);
	check_int(mb_audit_hash(&record, zero, buffer, 168, hash), MB_ERR_SPACE);
	record.fields[MB_AUDIT_EVIDENCE].length = UINT32_MAX;
	check_int(mb_audit_size(&record), 0);
	check_int(mb_audit_hash(&record, zero, buffer, sizeof(buffer), hash), MB_ERR_RANGE);
}

int
main(void)
{
	check_run("vectors hold", vectors_hold);
	check_run("every part counts", every_part_counts);
	check_run("limits are kept", limits_are_kept);
	return check_done();
}
