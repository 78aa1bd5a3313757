/*
 * command.h
 *	  The frames of signed voice commands: 32 DTMF symbols from the cloud to an edge agent, 22
 *	  symbols of acknowledgement back, and the digits of a challenge.  Building, parsing, keys, tags and
 *	  check digits; VOICE_COMMANDS.md sections 2 and 4 define them.
 *
 *		command			*  KK  CC  MMMMMMMM  AA  NNNN  TTTTTTTTTT  XX  #
 *		acknowledgement	*  KK  SS  QQ  NNNN  TTTTTTTT  XX  #
 *
 * Whether a received frame is to be acted on is command_judge.h's; the
 * symbols come from frame_collector.h.  No mandates, no storage, no clock here.
 */
#ifndef MB_COMMAND_H
#define MB_COMMAND_H

#include "core/crypto/digest.h"
#include "core/mb.h"

#define MB_COMMAND_FRAME_LENGTH 32 /* symbols, without a terminating NUL */
#define MB_ACK_FRAME_LENGTH 22
#define MB_MANDATE_ID_LENGTH 8	 /* ASCII digits */
#define MB_COMMAND_TAG_LENGTH 10 /* decimal digits */
#define MB_ACK_TAG_LENGTH 8
#define MB_COMMAND_KEY_SIZE 32	 /* bytes of the key K of an edge */
#define MB_COMMAND_KEY_ID_MAX 99 /* ids are 0 to 99 */
#define MB_PARTY_ID_SIZE 16		 /* bytes of a UUID */

/* A frame carries its counter modulo this; counters start at 1. */
#define MB_COUNTER_MODULUS 10000
#define MB_COUNTER_MAX INT64_MAX

/* A challenge: six random digits, played with two check digits. */
#define MB_NONCE_LENGTH 6
#define MB_CHALLENGE_LENGTH 8

/* CC of a command frame; command_kinds.h says what each is. */
typedef enum mb_command_code
{
	MB_COMMAND_REVOKE = 1,
	MB_COMMAND_SUSPEND = 2,
	MB_COMMAND_EXTEND = 3,
	MB_COMMAND_QUERY = 4,
	MB_COMMAND_RESUME = 5,
	MB_COMMAND_PING = 99
} mb_command_code;

/* SS of an acknowledgement. */
typedef enum mb_ack_status
{
	MB_ACK_APPLIED = 0,
	MB_ACK_ALREADY_SO = 1,
	MB_ACK_UNKNOWN_MANDATE = 2,
	MB_ACK_REFUSED = 3,
	MB_ACK_CHALLENGE_WANTED = 4
} mb_ack_status;

/* QQ of an acknowledgement: the mandate's state afterwards. */
typedef enum mb_mandate_state
{
	MB_MANDATE_NONE = 0,
	MB_MANDATE_REVOKED = 1,
	MB_MANDATE_SUSPENDED = 2,
	MB_MANDATE_ACTIVE = 3,
	MB_MANDATE_EXPIRED = 4
} mb_mandate_state;

/* Why symbols are no frame.  All of them are decode errors: ask for a repeat. */
typedef enum mb_frame_status
{
	MB_FRAME_OK = 0,
	MB_FRAME_LENGTH, /* not the right number of symbols */
	MB_FRAME_SYMBOL, /* does not begin with *, end with # and have digits between */
	MB_FRAME_CHECK	 /* the check digits do not fit */
} mb_frame_status;

/* The keys derived from K: of command tags and of acknowledgement tags. */
typedef struct mb_command_keys
{
	uint8_t command[MB_SHA256_SIZE];
	uint8_t ack[MB_SHA256_SIZE];
} mb_command_keys;

/* Between whom a key is valid: the 16 bytes of two UUIDs, as they print. */
typedef struct mb_command_party
{
	uint8_t tenant[MB_PARTY_ID_SIZE];
	uint8_t edge[MB_PARTY_ID_SIZE];
} mb_command_party;

/* What a command says.  Numbers are in range of their field, see mb_command_build(). */
typedef struct mb_command
{
	int key_id; /* 0 to 99 */
	int code;	/* 0 to 99; mb_command_code names those that mean something */
	char mandate[MB_MANDATE_ID_LENGTH + 1]; /* eight digits and a NUL */
	int argument;							/* 0 to 99 */
} mb_command;

/* The fields of a well-formed command frame.  Authentic they are not yet. */
typedef struct mb_command_frame
{
	mb_command command;
	int counter;						 /* 0 to 9999, the counter modulo MB_COUNTER_MODULUS */
	char tag[MB_COMMAND_TAG_LENGTH + 1]; /* digits and a NUL */
	int check;							 /* 2 to 98 */
} mb_command_frame;

/* The fields of a well-formed acknowledgement. */
typedef struct mb_ack_frame
{
	int key_id;
	int status; /* 0 to 99; mb_ack_status names those that mean something */
	int state;	/* 0 to 99; likewise mb_mandate_state */
	int counter;
	char tag[MB_ACK_TAG_LENGTH + 1];
	int check;
} mb_ack_frame;

/* Result of mb_ack_verify(). */
typedef enum mb_ack_verdict
{
	MB_ACK_GENUINE = 0,
	MB_ACK_OTHER_COMMAND, /* of another key or counter than the one waited for; no tag was checked */
	MB_ACK_FORGERY,		  /* the tag is wrong */
	MB_ACK_NOT_JUDGED	  /* libcrypto failed, or counter or key id were out of range */
} mb_ack_verdict;

/*
 * Names in upper case as the protocol writes them: "REVOKE", "ACTIVE".  Acknowledgement
 * statuses read "applied", "already so" ….  NULL for a value without a name.  "NONE" is the state of
 * a mandate that does not exist.
 */
extern const char *mb_command_name(int code);
extern const char *mb_ack_status_name(int status);
extern const char *mb_mandate_state_name(int state);

/* False, with *code untouched, when no command has this exact name. */
extern bool mb_command_from_name(const char *name, mb_command_code *code);

/* One sentence for a decode error, in PostgreSQL's message style. */
extern const char *mb_frame_status_message(mb_frame_status status);

/*
 * ISO 7064 MOD 97-10 check of n digits: 2 to 98, or -1 when one of them is no ASCII digit.
 * The two check digits that follow must be this very number: 00, 01 and 99, which leave the same
 * remainder as 97, 98 and 02, are never made and never accepted.
 */
extern int mb_check_digits(const char *digits, size_t n);

/* True for eight ASCII digits and a NUL. */
extern bool mb_mandate_id_valid(const char *mandate);

/*
 * Whether a command means something: a known code, an argument in its range, mandate 00000000 for what is
 * about none.  A genuine command that does not is refused by whoever would apply
 * it (MB_ACK_REFUSED), so that a newer sender can be told so.
 */
extern bool mb_command_meaningful(const mb_command *command);

/* Kc and Ka of an edge's key K. */
extern mb_status
mb_command_derive_keys(const uint8_t key[MB_COMMAND_KEY_SIZE], mb_command_keys *keys);

/*
 * Builds the frame of a command.  counter is 1 to MB_COUNTER_MAX; nonce is NULL or "" or, to
 * answer a challenge, its six digits.  message_digest, which may be NULL, receives SHA256(M): the
 * acknowledgement is bound to it.
 *
 * MB_ERR_RANGE when the command is not meaningful or counter, key id or nonce are not as said,
 * MB_ERR_CRYPTO; then nothing is written.
 */
extern mb_status
mb_command_build(const mb_command_keys *keys, const mb_command_party *party,
				 const mb_command *command, uint64_t counter, const char *nonce,
				 char frame[MB_COMMAND_FRAME_LENGTH + 1], uint8_t message_digest[MB_SHA256_SIZE]);

/*
 * The tag (digits and a NUL) and SHA256(M) of any command whose fields fit the frame, meaningful or
 * not: what a judge compares with.  Arguments and errors as mb_command_build().
 */
extern mb_status
mb_command_sign(const mb_command_keys *keys, const mb_command_party *party,
				const mb_command *command, uint64_t counter, const char *nonce,
				char tag[MB_COMMAND_TAG_LENGTH + 1], uint8_t message_digest[MB_SHA256_SIZE]);

/* Splits n symbols; *fields is written only with MB_FRAME_OK. */
extern mb_frame_status mb_command_parse(const char *symbols, size_t n, mb_command_frame *fields);

/*
 * Builds an acknowledgement of the command with this key id, full counter and SHA256(M).
 * status and state are 0 to 99.  Errors as mb_command_build().
 */
extern mb_status
mb_ack_build(const mb_command_keys *keys, const mb_command_party *party, int key_id, int status,
			 int state, uint64_t counter, const uint8_t message_digest[MB_SHA256_SIZE],
			 char frame[MB_ACK_FRAME_LENGTH + 1]);

/* Splits n symbols; *fields is written only with MB_FRAME_OK. */
extern mb_frame_status mb_ack_parse(const char *symbols, size_t n, mb_ack_frame *fields);

/*
 * Whether an acknowledgement is of the one command that is waited for.  The tag is compared in
 * constant time.
 */
extern mb_ack_verdict mb_ack_verify(const mb_ack_frame *fields, const mb_command_keys *keys,
									const mb_command_party *party, int key_id, uint64_t counter,
									const uint8_t message_digest[MB_SHA256_SIZE]);

/*
 * The eight digits to play for a challenge of six.  MB_ERR_RANGE when nonce is not six digits.
 * The caller draws the digits from a cryptographic generator.
 */
extern mb_status mb_challenge_build(const char *nonce, char digits[MB_CHALLENGE_LENGTH + 1]);

/* The six digits of a challenge heard; nonce is written only with MB_FRAME_OK. */
extern mb_frame_status
mb_challenge_parse(const char *symbols, size_t n, char nonce[MB_NONCE_LENGTH + 1]);

#endif /* MB_COMMAND_H */
