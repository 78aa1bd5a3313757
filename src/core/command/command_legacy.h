/*
 * command_legacy.h
 *	  The textual command form of the original protocol, *#CC-MMMMMMMM-HHHH##, byte for byte as the
 *	  original made and read it; VOICE_COMMANDS.md section 1.
 *
 * It is kept for callers of the original functions and for logs.  Its 16-bit tag is no
 * protection on an open line: what is played to an agent is command.h's.
 */
#ifndef MB_COMMAND_LEGACY_H
#define MB_COMMAND_LEGACY_H

#include "core/command/command.h"

#define MB_LEGACY_SEQUENCE_LENGTH 20
#define MB_LEGACY_PAYLOAD_MAX 31 /* code, mandate and a 64-bit minute with its sign, and a NUL */

/* Each minute of the window is one more guess at a 16-bit tag; a day of them is the most we try. */
#define MB_LEGACY_MAX_WINDOW 1440

typedef enum mb_legacy_status
{
	MB_LEGACY_VALID = 0,
	MB_LEGACY_FORMAT,	 /* does not begin with *# and end with ## */
	MB_LEGACY_STRUCTURE, /* not three parts between hyphens */
	MB_LEGACY_COMMAND,	 /* unknown command code */
	MB_LEGACY_MANDATE,	 /* mandate id is not eight digits */
	MB_LEGACY_MISMATCH,	 /* the tag fits no minute of the window */
	MB_LEGACY_RANGE,	 /* window or minute out of range: nothing was verified */
	MB_LEGACY_FAILURE	 /* libcrypto failed: nothing was verified */
} mb_legacy_status;

/* A sequence that verified. */
typedef struct mb_legacy_command
{
	mb_command_code code;
	char mandate[MB_MANDATE_ID_LENGTH + 1];
	int64_t minute; /* whose tag it carries: Unix time / 60 */
} mb_legacy_command;

/*
 * True for the commands that the original knew; RESUME came later and has no
 * textual form.
 */
extern bool mb_legacy_knows(int code);

/* The original's sentence for a status; NULL for MB_LEGACY_VALID. */
extern const char *mb_legacy_message(mb_legacy_status status);

/* "E001" for what is malformed, "E002" for a mismatch or failure; NULL when there is none. */
extern const char *mb_legacy_error_code(mb_legacy_status status);

/*
 * Makes a sequence and the payload its tag was computed from.  minute is Unix
 * time / 60, rounded down; NULL leaves it out, and then the sequence never verifies.
 *
 * MB_ERR_RANGE for a code or mandate id that the original refuses, MB_ERR_CRYPTO; then nothing is
 * written.
 */
extern mb_status
mb_legacy_generate(int code, const char *mandate, const void *secret, size_t secret_length,
				   const int64_t *minute, char sequence[MB_LEGACY_SEQUENCE_LENGTH + 1],
				   char payload[MB_LEGACY_PAYLOAD_MAX]);

/*
 * Verifies n symbols against the minutes from minute - window to minute and says the earliest
 * that fits, like the original.  All minutes are tried and each tag is compared in constant time, so
 * that the time says nothing about tag or minute.  window is 0 to MB_LEGACY_MAX_WINDOW.
 *
 * Unlike the original, a mandate id that is not eight digits is never valid, even with a fitting tag: its
 * concatenation of fields lets *#01--HHHH## pass with the tag of another mandate.
 * *command is written only with MB_LEGACY_VALID.
 */
extern mb_legacy_status
mb_legacy_verify(const char *sequence, size_t n, const void *secret, size_t secret_length,
				 int window, int64_t minute, mb_legacy_command *command);

#endif /* MB_COMMAND_LEGACY_H */
