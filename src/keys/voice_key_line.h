/*
 * voice_key_line.h
 *	  The one line of text that takes a voice key from the cloud to its edge:
 *
 *		mulberry-voice-key:1:TENANT:EDGE:KK:KEY:POLICY:CHECK
 *
 * TENANT and EDGE are the UUIDs that are signed, KK the key id, KEY 64 hexadecimal digits, POLICY "extend"
 * (EXTEND must answer a challenge) or "none", CHECK the first 8 hexadecimal digits of the SHA-256 of all before
 * its colon, so that a line that was cut or mistyped is noticed.
 *
 * No storage and no access rights here.
 */
#ifndef MULBERRY_VOICE_KEY_LINE_H
#define MULBERRY_VOICE_KEY_LINE_H

#include "postgres.h"

#include "core/command/command.h"
#include "keys/voice_keys.h"

typedef struct mulberry_voice_key_line
{
	mb_command_party party;
	int key_id;
	uint8 bytes[MB_COMMAND_KEY_SIZE];
	bool challenge_extend;
} mulberry_voice_key_line;

/* The line in palloc'd memory, which the caller wipes. */
extern char *mulberry_voice_key_line_write(const mulberry_voice_key_line *line);

/*
 * Takes a line apart; NULL when it is one, otherwise what is wrong with it, in words that quote
 * nothing of it.  *line is wiped then.
 */
extern const char *
mulberry_voice_key_line_read(const char *text, Size n, mulberry_voice_key_line *line);

/* Names a key without giving it away: 16 hexadecimal digits and a NUL. */
extern void mulberry_voice_key_fingerprint(const uint8 bytes[MB_COMMAND_KEY_SIZE],
										   char fingerprint[MULBERRY_VOICE_FINGERPRINT_SIZE + 1]);

#endif /* MULBERRY_VOICE_KEY_LINE_H */
