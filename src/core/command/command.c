/*
 * command.c
 *	  Frames, keys and tags of signed voice commands; see command.h.
 *
 * Nothing here decides whether a frame is acted on, and nothing here reads a
 * clock or keeps state.
 */
#include "core/command/command.h"

#include "core/command/command_kinds.h"

#include <string.h>

/* Lengths of the digits between * and #. */
#define COMMAND_DIGITS (MB_COMMAND_FRAME_LENGTH - 2)
#define ACK_DIGITS (MB_ACK_FRAME_LENGTH - 2)
#define CHECK_LENGTH 2

#define COMMAND_TAG_MODULUS UINT64_C(10000000000)
#define ACK_TAG_MODULUS UINT64_C(100000000)

/* First bytes of what is signed: "MLB2" and which kind of frame. */
#define MESSAGE_MAGIC "MLB2"
#define MESSAGE_COMMAND 1
#define MESSAGE_ACK 2

/* magic, kind, tenant, edge, key id, command, mandate, argument, counter, nonce length, nonce */
#define COMMAND_MESSAGE_MAX                                                                        \
	(4 + 1 + 2 * MB_PARTY_ID_SIZE + 1 + 1 + MB_MANDATE_ID_LENGTH + 1 + 8 + 1 + MB_NONCE_LENGTH)
/* magic, kind, tenant, edge, key id, status, state, counter, SHA256(M) */
#define ACK_MESSAGE_SIZE (4 + 1 + 2 * MB_PARTY_ID_SIZE + 1 + 1 + 1 + 8 + MB_SHA256_SIZE)

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
all_digits(const char *symbols, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		if (!is_digit(symbols[i]))
			return false;
	}
	return true;
}

/* The number that n digits spell; n is at most 9. */
static int
number(const char *digits, size_t n)
{
	int value = 0;

	for (size_t i = 0; i < n; i++)
		value = value * 10 + (digits[i] - '0');
	return value;
}

static bool
two_digits(int value)
{
	return value >= 0 && value <= 99;
}

static bool
counter_valid(uint64_t counter)
{
	return counter >= 1 && counter <= MB_COUNTER_MAX;
}

const char *
mb_ack_status_name(int status)
{
	static const char *const names[] = {
		[MB_ACK_APPLIED] = "applied",
		[MB_ACK_ALREADY_SO] = "already so",
		[MB_ACK_UNKNOWN_MANDATE] = "unknown mandate",
		[MB_ACK_REFUSED] = "refused",
		[MB_ACK_CHALLENGE_WANTED] = "challenge wanted",
	};

	return status >= 0 && status <= MB_ACK_CHALLENGE_WANTED ? names[status] : NULL;
}

const char *
mb_mandate_state_name(int state)
{
	static const char *const names[] = {
		[MB_MANDATE_NONE] = "NONE",			  [MB_MANDATE_REVOKED] = "REVOKED",
		[MB_MANDATE_SUSPENDED] = "SUSPENDED", [MB_MANDATE_ACTIVE] = "ACTIVE",
		[MB_MANDATE_EXPIRED] = "EXPIRED",
	};

	return state >= 0 && state <= MB_MANDATE_EXPIRED ? names[state] : NULL;
}

const char *
mb_frame_status_message(mb_frame_status status)
{
	switch (status)
	{
		case MB_FRAME_OK:
			return "success";
		case MB_FRAME_LENGTH:
			return "wrong number of symbols";
		case MB_FRAME_SYMBOL:
			return "symbols are not digits between * and #";
		case MB_FRAME_CHECK:
			return "check digits do not fit";
	}
	return "unknown status";
}

int
mb_check_digits(const char *digits, size_t n)
{
	uint64_t remainder = 0;

	/* divided once for each sixteen digits, which is what takes time; 97 * 10^16 fits */
	for (size_t i = 0; i < n; i++)
	{
		if (!is_digit(digits[i]))
			return -1;
		remainder = remainder * 10 + (uint64_t) (digits[i] - '0');
		if (i % 16 == 15)
			remainder %= 97;
	}
	return 98 - (int) (remainder % 97 * 100 % 97);
}

/* True when the last two of n digits are the check of those before them. */
static bool
check_fits(const char *digits, size_t n)
{
	return mb_check_digits(digits, n - CHECK_LENGTH) ==
		   number(digits + n - CHECK_LENGTH, CHECK_LENGTH);
}

bool
mb_mandate_id_valid(const char *mandate)
{
	return strlen(mandate) == MB_MANDATE_ID_LENGTH && all_digits(mandate, MB_MANDATE_ID_LENGTH);
}

/* True when the fields fit the frame, whatever they mean. */
static bool
command_fits(const mb_command *command)
{
	return two_digits(command->key_id) && two_digits(command->code) &&
		   two_digits(command->argument) && command->mandate[MB_MANDATE_ID_LENGTH] == '\0' &&
		   all_digits(command->mandate, MB_MANDATE_ID_LENGTH);
}

bool
mb_command_meaningful(const mb_command *command)
{
	const mb_command_kind *kind = mb_command_kind_by_code(command->code);

	return kind && command_fits(command) && command->argument >= kind->least_argument &&
		   command->argument <= kind->most_argument &&
		   (kind->has_mandate || strcmp(command->mandate, "00000000") == 0);
}

mb_status
mb_command_derive_keys(const uint8_t key[MB_COMMAND_KEY_SIZE], mb_command_keys *keys)
{
	static const char command_label[] = "mulberry/dtmf/2/cmd";
	static const char ack_label[] = "mulberry/dtmf/2/ack";
	mb_status status;

	status = mb_hmac_sha256(key, MB_COMMAND_KEY_SIZE, command_label, strlen(command_label),
							keys->command);
	if (status == MB_OK)
		status = mb_hmac_sha256(key, MB_COMMAND_KEY_SIZE, ack_label, strlen(ack_label), keys->ack);
	if (status != MB_OK)
		mb_forget(keys, sizeof(*keys));
	return status;
}

static uint8_t *
put_bytes(uint8_t *at, const void *bytes, size_t n)
{
	memcpy(at, bytes, n);
	return at + n;
}

/* Eight bytes, most significant first. */
static uint8_t *
put_u64(uint8_t *at, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t) (value >> (56 - 8 * i));
	return at + 8;
}

/* How M and Ma begin. */
static uint8_t *
put_message_start(uint8_t *at, uint8_t kind, const mb_command_party *party, int key_id)
{
	at = put_bytes(at, MESSAGE_MAGIC, strlen(MESSAGE_MAGIC));
	*at++ = kind;
	at = put_bytes(at, party->tenant, MB_PARTY_ID_SIZE);
	at = put_bytes(at, party->edge, MB_PARTY_ID_SIZE);
	*at++ = (uint8_t) key_id;
	return at;
}

/* The first eight bytes of the message's HMAC, as a number below modulus. */
static mb_status
tag_of(const uint8_t *key, const uint8_t *message, size_t n, uint64_t modulus, uint64_t *tag)
{
	uint8_t mac[MB_SHA256_SIZE];
	uint64_t value = 0;
	mb_status status = mb_hmac_sha256(key, MB_SHA256_SIZE, message, n, mac);

	if (status != MB_OK)
		return status;
	for (int i = 0; i < 8; i++)
		value = value << 8 | mac[i];
	*tag = value % modulus;
	mb_forget(mac, sizeof(mac));
	return MB_OK;
}

/* Writes n decimal digits, with leading zeros, and no NUL. */
static char *
put_number(char *at, uint64_t value, size_t n)
{
	for (size_t i = n; i-- > 0; value /= 10)
		at[i] = (char) ('0' + value % 10);
	return at + n;
}

mb_status
mb_command_sign(const mb_command_keys *keys, const mb_command_party *party,
				const mb_command *command, uint64_t counter, const char *nonce,
				char tag[MB_COMMAND_TAG_LENGTH + 1], uint8_t message_digest[MB_SHA256_SIZE])
{
	uint8_t message[COMMAND_MESSAGE_MAX];
	uint8_t digest[MB_SHA256_SIZE];
	uint8_t *end;
	size_t nonce_length = nonce != NULL ? strlen(nonce) : 0;
	uint64_t value;
	mb_status status;

	if (!command_fits(command) || !counter_valid(counter) ||
		(nonce_length != 0 &&
		 (nonce_length != MB_NONCE_LENGTH || !all_digits(nonce, nonce_length))))
		return MB_ERR_RANGE;

	end = put_message_start(message, MESSAGE_COMMAND, party, command->key_id);
	*end++ = (uint8_t) command->code;
	end = put_bytes(end, command->mandate, MB_MANDATE_ID_LENGTH);
	*end++ = (uint8_t) command->argument;
	end = put_u64(end, counter);
	*end++ = (uint8_t) nonce_length;
	if (nonce_length != 0)
		end = put_bytes(end, nonce, nonce_length);

	status = tag_of(keys->command, message, end - message, COMMAND_TAG_MODULUS, &value);
	if (status == MB_OK)
		status = mb_sha256(message, end - message, digest);
	if (status != MB_OK)
		return status;

	*put_number(tag, value, MB_COMMAND_TAG_LENGTH) = '\0';
	if (message_digest != NULL)
		memcpy(message_digest, digest, MB_SHA256_SIZE);
	return MB_OK;
}

mb_status
mb_command_build(const mb_command_keys *keys, const mb_command_party *party,
				 const mb_command *command, uint64_t counter, const char *nonce,
				 char frame[MB_COMMAND_FRAME_LENGTH + 1], uint8_t message_digest[MB_SHA256_SIZE])
{
	char tag[MB_COMMAND_TAG_LENGTH + 1];
	char *at = frame;
	mb_status status;

	if (!mb_command_meaningful(command))
		return MB_ERR_RANGE;
	status = mb_command_sign(keys, party, command, counter, nonce, tag, message_digest);
	if (status != MB_OK)
		return status;

	*at++ = '*';
	at = put_number(at, command->key_id, 2);
	at = put_number(at, command->code, 2);
	memcpy(at, command->mandate, MB_MANDATE_ID_LENGTH);
	at += MB_MANDATE_ID_LENGTH;
	at = put_number(at, command->argument, 2);
	at = put_number(at, counter % MB_COUNTER_MODULUS, 4);
	memcpy(at, tag, MB_COMMAND_TAG_LENGTH);
	at += MB_COMMAND_TAG_LENGTH;
	at = put_number(at, mb_check_digits(frame + 1, at - frame - 1), CHECK_LENGTH);
	*at++ = '#';
	*at = '\0';
	return MB_OK;
}

/* What both kinds of frame have in common. */
static mb_frame_status
frame_status(const char *symbols, size_t n, size_t length)
{
	if (n != length)
		return MB_FRAME_LENGTH;
	if (symbols[0] != '*' || symbols[n - 1] != '#' || !all_digits(symbols + 1, n - 2))
		return MB_FRAME_SYMBOL;
	return check_fits(symbols + 1, n - 2) ? MB_FRAME_OK : MB_FRAME_CHECK;
}

/* Copies n symbols and a NUL; returns what follows them. */
static const char *
take_text(const char *from, char *to, size_t n)
{
	memcpy(to, from, n);
	to[n] = '\0';
	return from + n;
}

static const char *
take_number(const char *from, int *to, size_t n)
{
	*to = number(from, n);
	return from + n;
}

mb_frame_status
mb_command_parse(const char *symbols, size_t n, mb_command_frame *fields)
{
	mb_frame_status status = frame_status(symbols, n, MB_COMMAND_FRAME_LENGTH);
	const char *at = symbols + 1;

	if (status != MB_FRAME_OK)
		return status;
	memset(fields, 0, sizeof(*fields));
	at = take_number(at, &fields->command.key_id, 2);
	at = take_number(at, &fields->command.code, 2);
	at = take_text(at, fields->command.mandate, MB_MANDATE_ID_LENGTH);
	at = take_number(at, &fields->command.argument, 2);
	at = take_number(at, &fields->counter, 4);
	at = take_text(at, fields->tag, MB_COMMAND_TAG_LENGTH);
	(void) take_number(at, &fields->check, CHECK_LENGTH);
	return MB_FRAME_OK;
}

/* The tag, digits and a NUL, of an acknowledgement. */
static mb_status
ack_sign(const mb_command_keys *keys, const mb_command_party *party, int key_id, int status,
		 int state, uint64_t counter, const uint8_t *message_digest,
		 char tag[MB_ACK_TAG_LENGTH + 1])
{
	uint8_t message[ACK_MESSAGE_SIZE];
	uint8_t *end;
	uint64_t value;
	mb_status result;

	if (!two_digits(key_id) || !two_digits(status) || !two_digits(state) || !counter_valid(counter))
		return MB_ERR_RANGE;

	end = put_message_start(message, MESSAGE_ACK, party, key_id);
	*end++ = (uint8_t) status;
	*end++ = (uint8_t) state;
	end = put_u64(end, counter);
	end = put_bytes(end, message_digest, MB_SHA256_SIZE);

	result = tag_of(keys->ack, message, end - message, ACK_TAG_MODULUS, &value);
	if (result == MB_OK)
		*put_number(tag, value, MB_ACK_TAG_LENGTH) = '\0';
	return result;
}

mb_status
mb_ack_build(const mb_command_keys *keys, const mb_command_party *party, int key_id, int status,
			 int state, uint64_t counter, const uint8_t message_digest[MB_SHA256_SIZE],
			 char frame[MB_ACK_FRAME_LENGTH + 1])
{
	char tag[MB_ACK_TAG_LENGTH + 1];
	char *at = frame;
	mb_status result = ack_sign(keys, party, key_id, status, state, counter, message_digest, tag);

	if (result != MB_OK)
		return result;
	*at++ = '*';
	at = put_number(at, key_id, 2);
	at = put_number(at, status, 2);
	at = put_number(at, state, 2);
	at = put_number(at, counter % MB_COUNTER_MODULUS, 4);
	memcpy(at, tag, MB_ACK_TAG_LENGTH);
	at += MB_ACK_TAG_LENGTH;
	at = put_number(at, mb_check_digits(frame + 1, at - frame - 1), CHECK_LENGTH);
	*at++ = '#';
	*at = '\0';
	return MB_OK;
}

mb_frame_status
mb_ack_parse(const char *symbols, size_t n, mb_ack_frame *fields)
{
	mb_frame_status status = frame_status(symbols, n, MB_ACK_FRAME_LENGTH);
	const char *at = symbols + 1;

	if (status != MB_FRAME_OK)
		return status;
	memset(fields, 0, sizeof(*fields));
	at = take_number(at, &fields->key_id, 2);
	at = take_number(at, &fields->status, 2);
	at = take_number(at, &fields->state, 2);
	at = take_number(at, &fields->counter, 4);
	at = take_text(at, fields->tag, MB_ACK_TAG_LENGTH);
	(void) take_number(at, &fields->check, CHECK_LENGTH);
	return MB_FRAME_OK;
}

mb_ack_verdict
mb_ack_verify(const mb_ack_frame *fields, const mb_command_keys *keys,
			  const mb_command_party *party, int key_id, uint64_t counter,
			  const uint8_t message_digest[MB_SHA256_SIZE])
{
	char expected[MB_ACK_TAG_LENGTH + 1];

	if (fields->key_id != key_id || (uint64_t) fields->counter != counter % MB_COUNTER_MODULUS)
		return MB_ACK_OTHER_COMMAND;
	if (ack_sign(keys, party, key_id, fields->status, fields->state, counter, message_digest,
				 expected) != MB_OK)
		return MB_ACK_NOT_JUDGED;
	return mb_equal(expected, fields->tag, MB_ACK_TAG_LENGTH) ? MB_ACK_GENUINE : MB_ACK_FORGERY;
}

mb_status
mb_challenge_build(const char *nonce, char digits[MB_CHALLENGE_LENGTH + 1])
{
	if (strlen(nonce) != MB_NONCE_LENGTH || !all_digits(nonce, MB_NONCE_LENGTH))
		return MB_ERR_RANGE;
	memcpy(digits, nonce, MB_NONCE_LENGTH);
	*put_number(digits + MB_NONCE_LENGTH, mb_check_digits(nonce, MB_NONCE_LENGTH), CHECK_LENGTH) =
		'\0';
	return MB_OK;
}

mb_frame_status
mb_challenge_parse(const char *symbols, size_t n, char nonce[MB_NONCE_LENGTH + 1])
{
	if (n != MB_CHALLENGE_LENGTH)
		return MB_FRAME_LENGTH;
	if (!all_digits(symbols, n))
		return MB_FRAME_SYMBOL;
	if (!check_fits(symbols, n))
		return MB_FRAME_CHECK;
	(void) take_text(symbols, nonce, MB_NONCE_LENGTH);
	return MB_FRAME_OK;
}
