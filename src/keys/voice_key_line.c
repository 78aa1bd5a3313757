/*
 * voice_key_line.c
 *	  Writing and reading the line that takes a voice key to its edge; see voice_key_line.h.
 */
#include "server/compat.h"

#include "utils/builtins.h"
#include "utils/uuid.h"

#include "core/crypto/digest.h"
#include "keys/voice_key_line.h"

#define LINE_START "mulberry-voice-key:1:"
#define UUID_TEXT_LENGTH 36
#define KEY_TEXT_LENGTH (2 * MB_COMMAND_KEY_SIZE)
#define CHECK_LENGTH 8
#define POLICY_EXTEND "extend"
#define POLICY_NONE "none"

/* Where the fields begin, all but the policy having fixed lengths. */
#define TENANT_AT (sizeof(LINE_START) - 1)
#define EDGE_AT (TENANT_AT + UUID_TEXT_LENGTH + 1)
#define KEY_ID_AT (EDGE_AT + UUID_TEXT_LENGTH + 1)
#define KEY_AT (KEY_ID_AT + 2 + 1)
#define POLICY_AT (KEY_AT + KEY_TEXT_LENGTH + 1)

static char *
uuid_text(const uint8 bytes[MB_PARTY_ID_SIZE])
{
	pg_uuid_t uuid;

	memcpy(uuid.data, bytes, UUID_LEN);
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&uuid)));
}

/* The check of n characters, with a NUL. */
static void
check_of(const char *text, Size n, char check[CHECK_LENGTH + 1])
{
	uint8 digest[MB_SHA256_SIZE];

	if (mb_sha256(text, n, digest) != MB_OK)
		elog(ERROR, "could not compute a SHA-256");
	(void) hex_encode((char *) digest, CHECK_LENGTH / 2, check);
	check[CHECK_LENGTH] = '\0';
}

char *
mulberry_voice_key_line_write(const mulberry_voice_key_line *line)
{
	char key[KEY_TEXT_LENGTH + 1];
	char check[CHECK_LENGTH + 1];
	char *text;
	Size room = POLICY_AT + sizeof(POLICY_EXTEND) + CHECK_LENGTH + 2;

	(void) hex_encode((const char *) line->bytes, MB_COMMAND_KEY_SIZE, key);
	key[KEY_TEXT_LENGTH] = '\0';
	text = palloc(room);
	snprintf(text, room, "%s%s:%s:%02d:%s:%s", LINE_START, uuid_text(line->party.tenant),
			 uuid_text(line->party.edge), line->key_id, key,
			 line->challenge_extend ? POLICY_EXTEND : POLICY_NONE);
	mb_forget(key, sizeof(key));
	check_of(text, strlen(text), check);
	strlcat(text, ":", room);
	strlcat(text, check, room);
	return text;
}

/* Value of a hexadecimal digit, or -1. */
static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* n bytes from hexadecimal digits in lower case; hyphens of UUIDs are at their places or it fails. */
static bool
read_hex(const char *text, Size length, bool uuid, uint8 *bytes)
{
	int half = -1;

	for (Size i = 0; i < length; i++)
	{
		int value;

		if (uuid && (i == 8 || i == 13 || i == 18 || i == 23))
		{
			if (text[i] != '-')
				return false;
			continue;
		}
		value = nibble(text[i]);
		if (value < 0)
			return false;
		if (half < 0)
			half = value;
		else
		{
			*bytes++ = (uint8) (half << 4 | value);
			half = -1;
		}
	}
	return true;
}

static bool
read_policy(const char *text, Size n, bool *challenge_extend)
{
	*challenge_extend = n == strlen(POLICY_EXTEND) && memcmp(text, POLICY_EXTEND, n) == 0;
	return *challenge_extend || (n == strlen(POLICY_NONE) && memcmp(text, POLICY_NONE, n) == 0);
}

const char *
mulberry_voice_key_line_read(const char *text, Size n, mulberry_voice_key_line *line)
{
	char check[CHECK_LENGTH + 1];
	const char *problem = NULL;
	Size checked;

	memset(line, 0, sizeof(*line));
	if (n < strlen(LINE_START) || memcmp(text, LINE_START, strlen(LINE_START)) != 0)
		return "it does not begin with " LINE_START;
	if (n < POLICY_AT + 1 + CHECK_LENGTH + 1)
		return "it is too short";
	checked = n - CHECK_LENGTH - 1;
	check_of(text, checked, check);
	if (text[checked] != ':' || memcmp(text + checked + 1, check, CHECK_LENGTH) != 0)
		return "its check does not fit: it was cut or changed";

	if (!read_hex(text + TENANT_AT, UUID_TEXT_LENGTH, true, line->party.tenant) ||
		!read_hex(text + EDGE_AT, UUID_TEXT_LENGTH, true, line->party.edge) ||
		text[EDGE_AT - 1] != ':' || text[KEY_ID_AT - 1] != ':' || text[KEY_AT - 1] != ':' ||
		text[POLICY_AT - 1] != ':' || !isdigit((unsigned char) text[KEY_ID_AT]) ||
		!isdigit((unsigned char) text[KEY_ID_AT + 1]) ||
		!read_hex(text + KEY_AT, KEY_TEXT_LENGTH, false, line->bytes) ||
		!read_policy(text + POLICY_AT, checked - POLICY_AT, &line->challenge_extend))
		problem = "one of its fields is malformed";
	line->key_id = (text[KEY_ID_AT] - '0') * 10 + text[KEY_ID_AT + 1] - '0';
	if (problem != NULL)
		mb_forget(line, sizeof(*line));
	return problem;
}
