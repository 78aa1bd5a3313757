/*
 * lockout.h
 *	  What wrong frames do to a key and to a call: the ladder of VOICE_COMMANDS.md section 3, and how
 *	  long a challenge holds (section 4).  State and time in, state and decision out.
 *
 * The ladder tightens and never deafens: whatever rung a key is on, each of its frames is judged.  On
 * the upper rungs a genuine command has to answer a challenge before it acts, which a forger cannot.
 *
 * Times are microseconds of any one clock; it may be set, in either direction.  Who stores the state, and
 * what is told to whom, is the caller's.
 */
#ifndef MB_LOCKOUT_H
#define MB_LOCKOUT_H

#include "core/mb.h"

#define MB_SECOND_US INT64_C(1000000)
#define MB_HOUR_US (3600 * MB_SECOND_US)
#define MB_DAY_US (24 * MB_HOUR_US)

/* So many forgeries within an hour put a key in challenge mode. */
#define MB_LOCKOUT_FORGERIES_AN_HOUR 5

/* How long the mode lasts: the first time, and at most, as each further time doubles it. */
#define MB_LOCKOUT_FIRST_PERIOD_US MB_HOUR_US
#define MB_LOCKOUT_LONGEST_PERIOD_US MB_DAY_US

/* More than so many within a day make it strict. */
#define MB_LOCKOUT_FORGERIES_A_DAY 20

/* So many without a genuine frame between them raise an alarm, and so do as many again. */
#define MB_LOCKOUT_ALARM 100

/* What ends a call: the third forgery, in strict mode the first; and the eleventh decode error. */
#define MB_CALL_FORGERIES 3
#define MB_CALL_FORGERIES_STRICT 1
#define MB_CALL_REPEATS 10

/* Times of forgeries that have to be remembered. */
#define MB_LOCKOUT_HISTORY (MB_LOCKOUT_FORGERIES_A_DAY + 1)

typedef enum mb_lockout_mode
{
	MB_LOCKOUT_NORMAL = 0, /* genuine commands act */
	MB_LOCKOUT_CHALLENGE,  /* they have to answer a challenge */
	MB_LOCKOUT_STRICT	   /* likewise, and a call ends with its first forgery */
} mb_lockout_mode;

/* What forgeries have done to a key.  All zero: nothing. */
typedef struct mb_lockout
{
	int64_t forgeries[MB_LOCKOUT_HISTORY]; /* when the last ones came, the newest first */
	size_t n_forgeries;
	uint64_t in_row;   /* forgeries since the last genuine frame; whoever sees one sets it to 0 */
	int since_entered; /* forgeries since challenge mode was entered last */
	int64_t challenge_period; /* of the challenge mode entered last; 0: none, the ladder's foot */
	int64_t challenge_until;
} mb_lockout;

/* What one more forgery has brought about. */
typedef struct mb_lockout_steps
{
	bool entered; /* challenge mode was entered, or its time begins anew, doubled */
	bool alarm;
} mb_lockout_steps;

extern mb_lockout_mode mb_lockout_mode_at(const mb_lockout *lockout, int64_t now);

/* "normal", "challenge", "strict". */
extern const char *mb_lockout_mode_name(mb_lockout_mode mode);

/* Counts a forgery.  After a day without one, in which no challenge mode held, it is the first again. */
extern mb_lockout_steps mb_lockout_forgery(mb_lockout *lockout, int64_t now);

/* Whether a call with so many faults is to be hung up, and nothing more of it to be judged. */
extern bool mb_call_is_over(int64_t forgeries, int64_t decode_errors, mb_lockout_mode mode);

/* What a challenge is worth that was drawn and played, last, at these times. */
typedef enum mb_challenge_age
{
	MB_CHALLENGE_HOLDS = 0, /* an answer acts */
	MB_CHALLENGE_LATE,		/* an answer is understood, and challenged anew */
	MB_CHALLENGE_FORGOTTEN	/* as if there were none */
} mb_challenge_age;

/*
 * It holds for a minute from when it was played last, in whatever call, because where no webhooks reach
 * the sender it answers in another call; a repetition of the frame plays the same digits again, because
 * others would let whoever has recorded the frame spoil the answer that is on its way.  But it never
 * holds beyond two minutes from when the digits were drawn, because he could else keep them good for as
 * long as it suits him and hold back the answer till then.  The digits tell him nothing: it is the key
 * that makes an answer of them.
 */
#define MB_CHALLENGE_LIFETIME_S 60
#define MB_CHALLENGE_LONGEST_S 120
#define MB_CHALLENGE_MEMORY_S 600

extern mb_challenge_age mb_challenge_age_at(int64_t drawn, int64_t played, int64_t now);

#endif /* MB_LOCKOUT_H */
