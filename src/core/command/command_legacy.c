/*
 * command_legacy.c
 *	  The textual command form of the original protocol; see command_legacy.h.
 */
#include "core/command/command_legacy.h"

#include "core/command/command_kinds.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TAG_LENGTH 4 /* hex digits, upper case */

/* What stands around and between the parts. */
#define OPENING "*#"
#define CLOSING "##"
#define SEPARATOR '-'

bool
mb_legacy_knows(int code)
{
	const mb_command_kind *kind = mb_command_kind_by_code(code);

	return kind && kind->textual;
}

const char *
mb_legacy_message(mb_legacy_status status)
{
	switch (status)
	{
		case MB_LEGACY_VALID:
			break;
		case MB_LEGACY_FORMAT:
			return "Invalid format";
		case MB_LEGACY_STRUCTURE:
			return "Invalid structure";
		case MB_LEGACY_COMMAND:
			return "Unknown command code";
		case MB_LEGACY_MANDATE:
			return "Mandate ID must be 8 digits";
		case MB_LEGACY_MISMATCH:
			return "HMAC mismatch or expired";
		case MB_LEGACY_RANGE:
			return "Time or window out of range";
		case MB_LEGACY_FAILURE:
			return "HMAC could not be computed";
	}
	return NULL;
}

const char *
mb_legacy_error_code(mb_legacy_status status)
{
	switch (status)
	{
		case MB_LEGACY_VALID:
			break;
		case MB_LEGACY_FORMAT:
		case MB_LEGACY_STRUCTURE:
		case MB_LEGACY_COMMAND:
		case MB_LEGACY_MANDATE:
			return "E001";
		case MB_LEGACY_MISMATCH:
		case MB_LEGACY_RANGE:
		case MB_LEGACY_FAILURE:
			return "E002";
	}
	return NULL;
}

/* Writes the payload: code, mandate, and the minute unless it is NULL. */
static size_t
make_payload(int code, const char *mandate, const int64_t *minute,
			 char payload[MB_LEGACY_PAYLOAD_MAX])
{
	int length = minute != NULL ? snprintf(payload, MB_LEGACY_PAYLOAD_MAX, "%02d%s%" PRId64, code,
										   mandate, *minute)
								: snprintf(payload, MB_LEGACY_PAYLOAD_MAX, "%02d%s", code, mandate);

	return (size_t) length;
}

/* The first two bytes of the payload's HMAC in hexadecimal, and a NUL. */
static mb_status
make_tag(const void *secret, size_t secret_length, const char *payload, size_t n,
		 char tag[TAG_LENGTH + 1])
{
	static const char hex[] = "0123456789ABCDEF";
	uint8_t mac[MB_SHA256_SIZE];
	mb_status status = mb_hmac_sha256(secret, secret_length, payload, n, mac);

	if (status != MB_OK)
		return status;
	for (int i = 0; i < TAG_LENGTH; i++)
		tag[i] = hex[mac[i / 2] >> (i % 2 == 0 ? 4 : 0) & 0xF];
	tag[TAG_LENGTH] = '\0';
	mb_forget(mac, sizeof(mac));
	return MB_OK;
}

mb_status
mb_legacy_generate(int code, const char *mandate, const void *secret, size_t secret_length,
				   const int64_t *minute, char sequence[MB_LEGACY_SEQUENCE_LENGTH + 1],
				   char payload[MB_LEGACY_PAYLOAD_MAX])
{
	char signed_text[MB_LEGACY_PAYLOAD_MAX];
	char tag[TAG_LENGTH + 1];
	size_t n;
	mb_status status;

	if (!mb_legacy_knows(code) || !mb_mandate_id_valid(mandate))
		return MB_ERR_RANGE;
	n = make_payload(code, mandate, minute, signed_text);
	status = make_tag(secret, secret_length, signed_text, n, tag);
	if (status != MB_OK)
		return status;
	(void) snprintf(sequence, MB_LEGACY_SEQUENCE_LENGTH + 1, OPENING "%02d%c%s%c%s" CLOSING, code,
					SEPARATOR, mandate, SEPARATOR, tag);
	memcpy(payload, signed_text, n + 1);
	return MB_OK;
}

/* One of the three parts. */
typedef struct part
{
	const char *text;
	size_t length;
} part;

/* Splits at hyphens; false unless that makes three parts. */
static bool
split(const char *text, size_t n, part parts[3])
{
	size_t count = 0;
	size_t start = 0;

	for (size_t i = 0; i <= n; i++)
	{
		if (i < n && text[i] != SEPARATOR)
			continue;
		if (count == 3)
			return false;
		parts[count++] = (part){ text + start, i - start };
		start = i + 1;
	}
	return count == 3;
}

/* The code of a part, or -1. */
static int
code_of(part code)
{
	int value;

	if (code.length != 2 || code.text[0] < '0' || code.text[0] > '9' || code.text[1] < '0' ||
		code.text[1] > '9')
		return -1;
	value = (code.text[0] - '0') * 10 + (code.text[1] - '0');
	return mb_legacy_knows(value) ? value : -1;
}

/* Tries every minute; see mb_legacy_verify(). */
static mb_legacy_status
verify_tag(mb_legacy_command *command, part received, const void *secret, size_t secret_length,
		   int window, int64_t minute)
{
	char received_tag[TAG_LENGTH] = { 0 };
	bool found = false;

	/* one of another length cannot fit, and costs the same */
	if (received.length == TAG_LENGTH)
		memcpy(received_tag, received.text, TAG_LENGTH);

	for (int64_t candidate = minute - window; candidate <= minute; candidate++)
	{
		char payload[MB_LEGACY_PAYLOAD_MAX];
		char tag[TAG_LENGTH + 1];
		size_t n = make_payload(command->code, command->mandate, &candidate, payload);

		if (make_tag(secret, secret_length, payload, n, tag) != MB_OK)
			return MB_LEGACY_FAILURE;
		if (mb_equal(tag, received_tag, TAG_LENGTH) && !found)
		{
			found = true;
			command->minute = candidate;
		}
	}
	return found ? MB_LEGACY_VALID : MB_LEGACY_MISMATCH;
}

mb_legacy_status
mb_legacy_verify(const char *sequence, size_t n, const void *secret, size_t secret_length,
				 int window, int64_t minute, mb_legacy_command *command)
{
	const size_t opening = strlen(OPENING);
	const size_t closing = strlen(CLOSING);
	mb_legacy_command candidate = { 0 };
	part parts[3];
	int code;
	mb_legacy_status status;

	if (window < 0 || window > MB_LEGACY_MAX_WINDOW || minute < INT64_MIN / 2 ||
		minute > INT64_MAX / 2)
		return MB_LEGACY_RANGE;
	if (n < opening || memcmp(sequence, OPENING, opening) != 0 || n < closing ||
		memcmp(sequence + n - closing, CLOSING, closing) != 0)
		return MB_LEGACY_FORMAT;

	/* in *## the markers share a symbol and nothing is between them */
	if (n < opening + closing || !split(sequence + opening, n - opening - closing, parts))
		return MB_LEGACY_STRUCTURE;
	code = code_of(parts[0]);
	if (code < 0)
		return MB_LEGACY_COMMAND;
	if (parts[1].length != MB_MANDATE_ID_LENGTH)
		return MB_LEGACY_MANDATE;
	candidate.code = (mb_command_code) code;
	memcpy(candidate.mandate, parts[1].text, MB_MANDATE_ID_LENGTH);
	if (!mb_mandate_id_valid(candidate.mandate))
		return MB_LEGACY_MANDATE;

	status = verify_tag(&candidate, parts[2], secret, secret_length, window, minute);
	if (status == MB_LEGACY_VALID)
		*command = candidate;
	return status;
}
