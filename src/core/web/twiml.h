/*
 * twiml.h
 *	  Builds TwiML, the XML in which Twilio is told what to do with a call: the verbs that
 *	  voice commands and conversations need, in the order of their calls here.
 *
 *		char document[MB_TWIML_BUFFER_SIZE];
 *		mb_twiml twiml;
 *
 *		mb_twiml_begin(&twiml, document, sizeof(document));
 *		mb_twiml_say(&twiml, "Mandate revocation", NULL);
 *		mb_twiml_play_digits(&twiml, frame);
 *		status = mb_twiml_end(&twiml, &length);
 *
 * The first error sticks and is what mb_twiml_end() returns; twiml.where then names the verb.
 * A document with an error is an empty string, so that nothing half made is sent.
 *
 * In text and attributes, characters that XML does not allow are taken out (a document with
 * one would be refused as a whole, error 12100); in URLs, numbers and digits they are an error.  Text is
 * UTF-8.  Options that are NULL or 0 are left to Twilio's defaults.
 *
 * The file knows Twilio's vocabulary and nothing of calls, mandates or HTTP.
 */
#ifndef MB_TWIML_H
#define MB_TWIML_H

#include "core/mb.h"
#include "core/text/xml_writer.h"

/* The REST parameter Twiml takes less than 4,000 characters; we keep all documents below it. */
#define MB_TWIML_MAX_CHARACTERS 3999

/* A buffer of this size holds any document: a UTF-16 code unit takes at most three bytes. */
#define MB_TWIML_BUFFER_SIZE (3 * MB_TWIML_MAX_CHARACTERS + 1)

/* Name and value of a <Parameter> together stay below this. */
#define MB_TWIML_PARAMETER_LIMIT 500

/* For an option whose 0 means something: the attribute says 0. */
#define MB_TWIML_ZERO (-1)

typedef enum mb_twiml_status
{
	MB_TWIML_OK = 0,
	MB_TWIML_SPACE,	   /* the caller's buffer is too small */
	MB_TWIML_TOO_LONG, /* 4,000 characters or more */
	MB_TWIML_ENCODING, /* text is not UTF-8 */
	MB_TWIML_ORDER,	   /* a verb where it may not stand, or one without what it needs inside */
	MB_TWIML_DIGITS,   /* digits other than 0-9 A-D * # w W (error 13430), or none */
	MB_TWIML_URL,	   /* not http(s):// or relative; for a stream not wss:// without a query */
	MB_TWIML_NUMBER,   /* a number to dial that is not E.164 */
	MB_TWIML_TEXT,	   /* nothing to say, or a name that is missing */
	MB_TWIML_VALUE,	   /* an option outside its range */
	MB_TWIML_PARAMETER /* parameter of 500 characters or more */
} mb_twiml_status;

typedef enum mb_twiml_flag
{
	MB_TWIML_DEFAULT = 0,
	MB_TWIML_TRUE,
	MB_TWIML_FALSE
} mb_twiml_flag;

typedef struct mb_twiml
{
	mb_xml_writer xml;
	mb_twiml_status status;
	const char *where; /* the verb of the first error, or NULL */
	int verbs;		   /* begun so far */
} mb_twiml;

typedef struct mb_twiml_say_options
{
	const char *voice;
	const char *language; /* BCP 47: "en-US" */
	int loop;			  /* 1 to 1000; MB_TWIML_ZERO: until the call ends */
} mb_twiml_say_options;

typedef struct mb_twiml_gather_options
{
	const char *input;		   /* "dtmf", "speech", "dtmf speech" */
	const char *action;		   /* URL that gets Digits or SpeechResult */
	const char *method;		   /* "GET", "POST" */
	int timeout;			   /* s of silence, 1 to 600, or MB_TWIML_ZERO */
	const char *finish_on_key; /* one of 0-9 * #; "" for none, which also lets # be gathered */
	int num_digits;			   /* 1 to 1000 */
	mb_twiml_flag action_on_empty_result;
	const char *partial_result_callback;
	const char *language;
	const char *hints;
	const char *speech_timeout; /* "auto" or seconds */
	mb_twiml_flag barge_in;
	mb_twiml_flag profanity_filter;
	const char *speech_model;
	mb_twiml_flag enhanced;
} mb_twiml_gather_options;

typedef struct mb_twiml_record_options
{
	const char *action;
	const char *method;
	int timeout;			   /* s of silence that end it, 1 to 600, or MB_TWIML_ZERO */
	const char *finish_on_key; /* any of 0-9 * #; "" for none */
	int max_length;			   /* s, 1 to 14400 */
	mb_twiml_flag play_beep;
	const char *trim; /* "trim-silence", "do-not-trim" */
	const char *recording_status_callback;
	const char *recording_status_callback_event; /* "completed", "in-progress completed absent" */
	mb_twiml_flag transcribe;
	const char *transcribe_callback;
} mb_twiml_record_options;

/* Of a recording of the whole call, beside whatever else happens in it. */
typedef struct mb_twiml_recording_options
{
	const char *channels; /* "mono", "dual" */
	const char *track;	  /* "inbound", "outbound", "both" */
	const char *trim;	  /* "trim-silence", "do-not-trim" */
	const char *recording_status_callback;
	const char *recording_status_callback_event; /* "completed", "in-progress completed absent" */
} mb_twiml_recording_options;

typedef struct mb_twiml_dial_options
{
	const char *action;
	const char *method;
	int timeout;		   /* s of ringing, 1 to 600 */
	int time_limit;		   /* s of the call, 1 to 14400 */
	const char *caller_id; /* E.164 */
	const char *record;	   /* "do-not-record", "record-from-answer-dual", … */
	const char *recording_status_callback;
	mb_twiml_flag answer_on_bridge;
	mb_twiml_flag hangup_on_star;
} mb_twiml_dial_options;

typedef struct mb_twiml_number_options
{
	const char *send_digits; /* played to whoever answers, before the call is joined */
	const char *url;		 /* TwiML for whoever answers, before the call is joined */
	const char *method;
	const char *status_callback;
	const char *status_callback_event; /* "initiated ringing answered completed" */
} mb_twiml_number_options;

typedef struct mb_twiml_stream_options
{
	const char *name;  /* unique in the call */
	const char *track; /* "inbound_track", the only one of a stream in both directions */
	const char *status_callback;
	const char *status_callback_method;
} mb_twiml_stream_options;

/* One sentence for a status, in PostgreSQL's message style. */
extern const char *mb_twiml_status_message(mb_twiml_status status);

/* True when every symbol is one that <Play digits> and SendDigits play, and there is one. */
extern bool mb_twiml_digits_valid(const char *digits);

/* Begins <Response> in a buffer of capacity bytes, best MB_TWIML_BUFFER_SIZE. */
extern void mb_twiml_begin(mb_twiml *twiml, char *buffer, size_t capacity);

/*
 * Ends <Response>.  *length is the number of bytes before the NUL; 0 with any
 * status but MB_TWIML_OK.
 */
extern mb_twiml_status mb_twiml_end(mb_twiml *twiml, size_t *length);

/* In <Response> and <Gather>. */
extern void mb_twiml_say(mb_twiml *twiml, const char *text, const mb_twiml_say_options *options);
extern void mb_twiml_play_digits(mb_twiml *twiml, const char *digits);
extern void mb_twiml_play_url(mb_twiml *twiml, const char *url, int loop);
extern void mb_twiml_pause(mb_twiml *twiml, int seconds); /* 1 to 14400 */

/* In <Response>.  options may be NULL everywhere; method and reason too. */
extern void mb_twiml_gather_begin(mb_twiml *twiml, const mb_twiml_gather_options *options);
extern void mb_twiml_gather_end(mb_twiml *twiml);
extern void mb_twiml_record(mb_twiml *twiml, const mb_twiml_record_options *options);
extern void mb_twiml_redirect(mb_twiml *twiml, const char *url, const char *method);
extern void mb_twiml_hangup(mb_twiml *twiml);
extern void
mb_twiml_reject(mb_twiml *twiml, const char *reason); /* first verb; "rejected", "busy" */

/* Dials one number or several at once. */
extern void mb_twiml_dial_begin(mb_twiml *twiml, const mb_twiml_dial_options *options);
extern void
mb_twiml_number(mb_twiml *twiml, const char *number, const mb_twiml_number_options *options);
extern void mb_twiml_dial_end(mb_twiml *twiml);

/*
 * Connects the call to a media stream in both directions; verbs after it run when our side
 * closes the socket.  What the other side is to know goes into parameters, because a stream's URL
 * may have no query.
 */
extern void mb_twiml_connect_begin(mb_twiml *twiml, const char *action, const char *method);
extern void
mb_twiml_stream_begin(mb_twiml *twiml, const char *url, const mb_twiml_stream_options *options);
extern void mb_twiml_parameter(mb_twiml *twiml, const char *name, const char *value);
extern void mb_twiml_stream_end(mb_twiml *twiml);
extern void mb_twiml_connect_end(mb_twiml *twiml);

/* Starts a recording of the whole call; the next verb runs at once. */
extern void mb_twiml_start_recording(mb_twiml *twiml, const mb_twiml_recording_options *options);

#endif /* MB_TWIML_H */
