/*
 * at.h
 *	  What a modem says in command mode, line by line (ITU-T V.250, 3GPP TS 27.007, V.253 and what makers add).
 *
 * Lines end with CR LF, LF, CR, or CR CR LF; empty ones are nothing. A line is judged as a whole, so that an "OK" in
 * somebody's name is no result. Codes behind a DLE, which voice modems say between lines, come as events of their
 * own. What is longer than MB_AT_LINE is cut, and never a result.
 */
#ifndef MB_AT_H
#define MB_AT_H

#include "core/mb.h"

#define MB_AT_LINE 256
#define MB_AT_NUMBER 40
#define MB_AT_NAME 80

typedef enum mb_at_kind
{
	/* results */
	MB_AT_OK,
	MB_AT_ERROR, /* +CME ERROR and +CMS ERROR, too */
	MB_AT_CONNECT,
	MB_AT_NO_CARRIER,
	MB_AT_BUSY,
	MB_AT_NO_ANSWER,
	MB_AT_NO_DIALTONE,
	MB_AT_VCON, /* a voice modem has picked up */

	/* what nobody asked for */
	MB_AT_RING,
	MB_AT_CLIP,		  /* who calls: mb_at_caller() */
	MB_AT_CCWA,		  /* a second caller while a call is up: mb_at_caller() */
	MB_AT_CALL_BEGIN, /* the voice path is there */
	MB_AT_CALL_END,
	MB_AT_RESTARTED, /* the modem begins anew, and knows nothing of what it was told */
	MB_AT_NUMBER_OF, /* V.253, between the rings: mb_at_caller() */
	MB_AT_NAME_OF,	 /* mb_at_caller() */
	MB_AT_DATE_OF,
	MB_AT_TIME_OF,
	MB_AT_DIGIT, /* one that the modem heard: text ends with it */

	MB_AT_CALL,		/* a line of +CLCC: mb_at_call_of() */
	MB_AT_ECHO,		/* of what was sent */
	MB_AT_SHIELDED, /* a code behind a DLE; see dle.h */
	MB_AT_TEXT		/* any other line */
} mb_at_kind;

typedef struct mb_at_event
{
	mb_at_kind kind;
	bool cut;	  /* the line was longer */
	uint8_t code; /* MB_AT_SHIELDED */
	const char *
		text; /* the line, terminated, what cannot be printed as "?"; in the parser until the next call */
	size_t length;
} mb_at_event;

/* Owned by the caller; what is in it is this module's. */
typedef struct mb_at
{
	size_t length;
	bool cut;
	bool after_cr;
	bool shielded; /* a DLE came, its code did not yet */
	char line[MB_AT_LINE + 1];
	char sent[MB_AT_LINE + 1]; /* whose echo may come; empty: none */
} mb_at;

extern void mb_at_begin(mb_at *at);

/* This command was sent, without its CR: a line like it is its echo, up to the next result. */
extern void mb_at_sent(mb_at *at, const char *command);

/*
 * Takes n bytes up to the end of a line; *used says how many. True: *event is set, call again with what was not used.
 * What stands behind the line of MB_AT_CONNECT is data.
 */
extern bool mb_at_feed(mb_at *at, const uint8_t *bytes, size_t n, size_t *used, mb_at_event *event);

/*
 * How many of n bytes behind MB_AT_CONNECT, 0 or 1, still belong to the end of its line. To be asked once, with the first that
 * come; the parser begins anew.
 */
extern size_t mb_at_data_begins(mb_at *at, const uint8_t *bytes, size_t n);

/* Who calls, as far as it was said. */
typedef struct mb_at_caller_id
{
	char number[MB_AT_NUMBER + 1]; /* digits, + * #; empty: not known */
	char name[MB_AT_NAME + 1];	   /* UTF-8, or what the modem takes for letters */
	bool withheld;				   /* the caller did not want it to be known */
} mb_at_caller_id;

/*
 * Takes number and name from MB_AT_CLIP, MB_AT_CCWA, MB_AT_NUMBER_OF or MB_AT_NAME_OF; both may be in hexadecimal UCS-2. The
 * last two leave the other one as it is.
 */
extern void mb_at_caller(const mb_at_event *event, mb_at_caller_id *caller);

typedef enum mb_at_call_state
{
	MB_AT_CALL_ACTIVE = 0,
	MB_AT_CALL_HELD = 1,
	MB_AT_CALL_DIALING = 2,
	MB_AT_CALL_ALERTING = 3,
	MB_AT_CALL_INCOMING = 4,
	MB_AT_CALL_WAITING = 5
} mb_at_call_state;

typedef struct mb_at_call
{
	int id;
	bool incoming;
	mb_at_call_state state;
	bool voice;
	mb_at_caller_id caller;
} mb_at_call;

/* MB_AT_CALL; false when the line is none that the standard has. */
extern bool mb_at_call_of(const mb_at_event *event, mb_at_call *call);

#endif /* MB_AT_H */
