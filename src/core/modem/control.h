/*
 * control.h
 *	  What a modem is told, and when: making it ready, ringing, who may be answered, answering, a call's audio, its end,
 *	  and beginning anew when the modem did. Reads nothing and writes nothing: lines come in as events of at.h, the
 *	  clock is the caller's, and what is to be sent or known goes out through two functions.
 *
 * Commands are texts of the profile, because firmwares differ. Several are divided by "|". One that begins with "?" may
 * fail. "COMMAND => LINE" must be answered with a line that begins so. Empty: there is nothing to do.
 */
#ifndef MB_MODEM_CONTROL_H
#define MB_MODEM_CONTROL_H

#include "core/modem/at.h"

#define MB_MODEM_MAX_ANSWERS 120 /* an hour */

typedef struct mb_modem_profile
{
	const char *name;
	const char *init;
	const char *answer;
	const char *start;	 /* audio, once the call is up */
	const char *stop;	 /* audio */
	const char *hang_up; /* also a call that is not wanted */
	const char
		*list; /* of calls, asked for every second, because what nobody asked for gets lost */
	const char *reset; /* of the modem, when it no longer gives audio */
	bool
		says_begin; /* the voice path is there when MB_AT_CALL_BEGIN says so, not with the result of answer */
	bool refuses;  /* a call that is not wanted is hung up; else it rings in vain */
	bool shielded; /* audio comes and goes on the port of commands */
	int rings;	   /* after which it is known who calls */
} mb_modem_profile;

/* sim7600, quectel, v253; NULL for another name. A copy of one is where a custom profile begins. */
extern const mb_modem_profile *mb_modem_profile_of(const char *name);

/* A filter against calls that nobody wants, no authentication: numbers of callers are easily forged. */
typedef struct mb_modem_rules
{
	const char *
		allowed; /* numbers with commas or blanks between, "+4930*" for all that begin so; empty: everybody */
	bool withheld;	 /* callers without a number are answered although there is such a list */
	int answers;	 /* an hour, at most MB_MODEM_MAX_ANSWERS; 0: no limit */
	int watchdog_ms; /* without audio in a call; 0: none */
} mb_modem_rules;

typedef enum mb_modem_state
{
	MB_MODEM_STARTING, /* or starting anew */
	MB_MODEM_IDLE,
	MB_MODEM_RINGING,
	MB_MODEM_IGNORING, /* it rings, and is not answered */
	MB_MODEM_ANSWERING,
	MB_MODEM_OPENING, /* the call is up, audio is being started */
	MB_MODEM_CALL,
	MB_MODEM_REOPENING, /* audio is started once more */
	MB_MODEM_ENDING,
	MB_MODEM_RESETTING
} mb_modem_state;

typedef enum mb_modem_what
{
	MB_MODEM_READY,
	MB_MODEM_CALLED,	/* audio is to be opened now */
	MB_MODEM_ENDED,		/* and closed now, before this returns */
	MB_MODEM_MISSED,	/* it rang, and nobody was there when it was answered, or it was not */
	MB_MODEM_REFUSED,	/* the caller is none of those allowed */
	MB_MODEM_LIMITED,	/* there were too many answers within the hour */
	MB_MODEM_WAITING,	/* another caller while a call is up */
	MB_MODEM_NO_AUDIO,	/* for watchdog_ms; it is started once more, or the call is ended */
	MB_MODEM_RESTARTED, /* by itself */
	MB_MODEM_DIGIT,		/* one that the modem heard; text ends with it */
	MB_MODEM_PROBLEM	/* text is the command that failed */
} mb_modem_what;

typedef struct mb_modem_news
{
	mb_modem_what what;
	const mb_at_caller_id *caller; /* of a call */
	const char *text;
} mb_modem_news;

/* Owned by the caller, who sets the first five, and all else to zero. */
typedef struct mb_modem
{
	const mb_modem_profile *profile;
	const mb_modem_rules *rules;
	void (*send)(void *context, const char *command); /* a CR goes behind it */
	void (*tell)(void *context, const mb_modem_news *news);
	void *context;

	mb_modem_state state;
	int64_t wake;	 /* when the state does something by itself */
	int64_t backoff; /* until it is tried again to make the modem ready */

	/* the command that was sent, and what follows it */
	const char *script; /* NULL: none under way */
	const char *then;	/* another one behind it */
	bool pending;
	bool optional;
	bool seen;		   /* the line that is expected */
	bool answers_call; /* so that NO CARRIER is its result, too */
	bool polling;
	bool listed; /* a call that is up */
	int64_t pending_until;
	int64_t poll_at;
	char command[MB_AT_LINE + 1];
	char expected[MB_AT_LINE + 1];

	int rings;
	int64_t rang_at;
	bool known; /* who calls */
	bool began;
	bool answered;
	mb_at_caller_id caller;

	int64_t audio_at;
	bool reopened;
	bool spoilt; /* the modem is to be reset before the next call */

	int n_answers;
	int64_t answers[MB_MODEM_MAX_ANSWERS]; /* the latest, in a circle */
} mb_modem;

/*
 * The modem is made ready, also one that was away; how often was answered is not forgotten. Times are milliseconds of a clock
 * that only goes forward.
 */
extern void mb_modem_begin(mb_modem *modem, int64_t now);

/* Something came from the modem. */
extern void mb_modem_take(mb_modem *modem, const mb_at_event *event, int64_t now);

/* To be called when the time it returned has come, or earlier. */
extern int64_t mb_modem_turn(mb_modem *modem, int64_t now);

/* Audio came from the call. */
extern void mb_modem_heard(mb_modem *modem, int64_t now);

/* The call is to end, or the audio says that it has. */
extern void mb_modem_hang_up(mb_modem *modem, int64_t now);

#endif /* MB_MODEM_CONTROL_H */
