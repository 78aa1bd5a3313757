/*
 * command_judge.h
 *	  What a received command frame is worth: VOICE_COMMANDS.md section 3, steps 2 to 5, and
 *	  the challenge of section 4, as one pure function over what the caller has stored about the key.
 *
 * The caller finds the key's row, applies allowed callers and lockout, and stores
 * in one durable transaction what a judgement asks for.  No storage, no clock, no mandates here.
 */
#ifndef MB_COMMAND_JUDGE_H
#define MB_COMMAND_JUDGE_H

#include "core/command/command.h"

/* A counter further ahead of the last accepted one than this is taken for an old one. */
#define MB_COUNTER_WINDOW 5000

/* Accepted frames whose digests are kept to tell a repeated frame from a new one. */
#define MB_COMMAND_HISTORY 64

typedef enum mb_verdict
{
	MB_VERDICT_DUPLICATE = 0, /* accepted before: send its acknowledgement again, do nothing */
	MB_VERDICT_STALE,		  /* the counter is behind: no tag was checked, count nothing */
	MB_VERDICT_FORGERY,		  /* the tag is wrong, or there is no such key: count it */
	MB_VERDICT_ACCEPTED,	  /* store counter and digest; apply unless a challenge is wanted */
	MB_VERDICT_NOT_JUDGED	  /* libcrypto failed: count and store nothing, ask for a repeat */
} mb_verdict;

/*
 * The challenge of a key that was played and not yet answered.  One is enough, whatever call or path it
 * was played on, because a key has one outstanding command.
 */
typedef struct mb_command_challenge
{
	mb_command command; /* the one that was challenged */
	uint64_t counter;	/* of the frame that was; the answer carries the next one */
	char nonce[MB_NONCE_LENGTH + 1];
	bool expired; /* its time is over: the answer is understood and challenged again */
} mb_command_challenge;

/*
 * What the receiver knows about the key that the frame names.  known = false stands for a key
 * that does not exist or is disabled; the rest is then ignored.
 */
typedef struct mb_key_state
{
	bool known;
	mb_command_keys keys;
	mb_command_party party;
	uint64_t last_counter;					  /* last accepted; 0 when none was */
	const uint8_t (*digests)[MB_SHA256_SIZE]; /* SHA-256 of accepted frames, the newest first */
	size_t n_digests;						  /* more than MB_COMMAND_HISTORY are not looked at */
	bool challenge_all;						  /* challenge mode: every command must answer one */
	bool challenge_extend;					  /* the key's policy: EXTEND must */
	const mb_command_challenge *challenge;	  /* NULL when none is open */
} mb_key_state;

typedef struct mb_judgement
{
	mb_verdict verdict;
	uint8_t frame_digest[MB_SHA256_SIZE]; /* SHA-256 of the symbols */
	size_t duplicate_of;				  /* index into the digests, for MB_VERDICT_DUPLICATE */

	/* for MB_VERDICT_ACCEPTED */
	uint64_t counter;						/* the new last accepted counter */
	uint8_t message_digest[MB_SHA256_SIZE]; /* SHA256(M), for the acknowledgement */
	bool challenge_wanted;	 /* acknowledge with status 04 and play a challenge; no effect */
	bool challenge_answered; /* the open challenge is used up */
} mb_judgement;

/*
 * The full counter of a frame that carries it modulo MB_COUNTER_MODULUS: the smallest number above
 * last that fits.  False, with *counter untouched, when that is more than MB_COUNTER_WINDOW ahead (the
 * frame is then taken to be behind), beyond MB_COUNTER_MAX, or digits is not 0 to 9999.
 */
extern bool mb_counter_reconstruct(uint64_t last, int digits, uint64_t *counter);

/*
 * Judges a frame: its symbols and what mb_command_parse() has made of them, so that nobody takes them
 * apart again.  At most one tag is computed and compared, in constant time; for an unknown
 * key the same work is done with a key of no use.  Only what comes in the place of a late answer is compared with two,
 * the answer's and one without a nonce, because a call may take its time.
 *
 * A frame is checked against the challenge when it repeats the challenged command, mandate and argument
 * with the next counter (which is what an answer does), and without a nonce otherwise, so that neither
 * another command nor the same one signed anew is taken for a forgery.  A sender that signs the
 * challenged command anew without a nonce, while the challenge holds, therefore leaves out that counter.
 */
extern void
mb_command_judge(const mb_command_frame *frame, const char symbols[MB_COMMAND_FRAME_LENGTH],
				 const mb_key_state *state, mb_judgement *judgement);

/* Lower case, as audit rows have it: "decode error", "duplicate" …. */
extern const char *mb_verdict_name(mb_verdict verdict);

/* The protocol's error code: "E007", "E005", "E002"; NULL where there is no error. */
extern const char *mb_verdict_error_code(mb_verdict verdict);

#endif /* MB_COMMAND_JUDGE_H */
