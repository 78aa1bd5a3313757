/*
 * twiml.c
 *	  Builds TwiML; see twiml.h.
 */
#include "core/web/twiml.h"

#include <string.h>

#include "core/text/e164.h"

/* Limits of options in seconds, digits and repetitions. */
#define MAX_LOOP 1000
#define MAX_SILENCE 600
#define MAX_RINGING 600
#define MAX_CALL 14400
#define MAX_GATHERED 1000

const char *
mb_twiml_status_message(mb_twiml_status status)
{
	switch (status)
	{
		case MB_TWIML_OK:
			return "success";
		case MB_TWIML_SPACE:
			return "buffer is too small";
		case MB_TWIML_TOO_LONG:
			return "document would have 4,000 characters or more";
		case MB_TWIML_ENCODING:
			return "text is not UTF-8";
		case MB_TWIML_ORDER:
			return "verb is not allowed here, or lacks what belongs into it";
		case MB_TWIML_DIGITS:
			return "digits are not all of 0-9 A-D * # w W";
		case MB_TWIML_URL:
			return "URL is not of the kind allowed here";
		case MB_TWIML_NUMBER:
			return "telephone number is not in E.164 form";
		case MB_TWIML_TEXT:
			return "text is empty";
		case MB_TWIML_VALUE:
			return "option is out of range";
		case MB_TWIML_PARAMETER:
			return "name and value of a parameter have 500 characters or more";
	}
	return "unknown status";
}

/* --- checks ------------------------------------------------------------- */

static void
fail(mb_twiml *twiml, const char *where, mb_twiml_status status)
{
	if (twiml->status != MB_TWIML_OK)
		return;
	twiml->status = status;
	twiml->where = where;
}

/* Keeps the first error of the writer, with the verb that caused it. */
static void
note_writer_error(mb_twiml *twiml, const char *where)
{
	switch (twiml->xml.status)
	{
		case MB_XML_OK:
			break;
		case MB_XML_SPACE:
			fail(twiml, where, MB_TWIML_SPACE);
			break;
		case MB_XML_TOO_LONG:
			fail(twiml, where, MB_TWIML_TOO_LONG);
			break;
		case MB_XML_ENCODING:
			fail(twiml, where, MB_TWIML_ENCODING);
			break;
		case MB_XML_STRUCTURE:
			fail(twiml, where, MB_TWIML_ORDER);
			break;
	}
}

static bool
is_one_of(const char *value, const char *const *allowed)
{
	for (; *allowed != NULL; allowed++)
	{
		if (strcmp(value, *allowed) == 0)
			return true;
	}
	return false;
}

static bool
starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Nothing in it that a URL may not have raw. */
static bool
url_characters(const char *url)
{
	if (*url == '\0' || !mb_xml_clean(url))
		return false;
	for (; *url != '\0'; url++)
	{
		if ((unsigned char) *url <= ' ' || *url == 0x7F)
			return false;
	}
	return true;
}

/* http://host…, https://host… or relative to the document's own URL. */
static bool
http_url(const char *url)
{
	const char *host = NULL;

	if (!url_characters(url))
		return false;
	if (starts_with(url, "https://"))
		host = url + strlen("https://");
	else if (starts_with(url, "http://"))
		host = url + strlen("http://");
	if (host != NULL)
		return *host != '\0' && strchr("/?#:", *host) == NULL;
	return url[strcspn(url, ":/?#")] != ':';
}

/* wss://host… without a query. */
static bool
stream_url(const char *url)
{
	const char *host = url + strlen("wss://");

	return url_characters(url) && starts_with(url, "wss://") && *host != '\0' &&
		   strchr("/?#:", *host) == NULL && strchr(url, '?') == NULL;
}

bool
mb_twiml_digits_valid(const char *digits)
{
	return *digits != '\0' && digits[strspn(digits, "0123456789ABCD*#wW")] == '\0';
}

/* --- attributes --------------------------------------------------------- */

static void
attribute(mb_twiml *twiml, const char *name, const char *value)
{
	if (value != NULL)
		mb_xml_attribute(&twiml->xml, name, value);
}

static void
attribute_int(mb_twiml *twiml, const char *name, int value, int least, int most)
{
	if (value == 0)
		return;
	if (value == MB_TWIML_ZERO)
		value = 0;
	if (value < least || value > most)
		fail(twiml, mb_xml_innermost(&twiml->xml), MB_TWIML_VALUE);
	else
		mb_xml_attribute_int(&twiml->xml, name, value);
}

static void
attribute_flag(mb_twiml *twiml, const char *name, mb_twiml_flag flag)
{
	if (flag != MB_TWIML_DEFAULT)
		mb_xml_attribute(&twiml->xml, name, flag == MB_TWIML_TRUE ? "true" : "false");
}

static void
attribute_url(mb_twiml *twiml, const char *name, const char *url)
{
	if (url != NULL && !http_url(url))
		fail(twiml, mb_xml_innermost(&twiml->xml), MB_TWIML_URL);
	else
		attribute(twiml, name, url);
}

/* A value out of a list that NULL ends. */
static void
attribute_choice(mb_twiml *twiml, const char *name, const char *value, const char *const *allowed)
{
	if (value != NULL && !is_one_of(value, allowed))
		fail(twiml, mb_xml_innermost(&twiml->xml), MB_TWIML_VALUE);
	else
		attribute(twiml, name, value);
}

static void
attribute_method(mb_twiml *twiml, const char *name, const char *method)
{
	static const char *const methods[] = { "GET", "POST", NULL };

	attribute_choice(twiml, name, method, methods);
}

/* Keys of a telephone, at most so many of them. */
static void
attribute_keys(mb_twiml *twiml, const char *name, const char *keys, size_t most)
{
	if (keys != NULL && (keys[strspn(keys, "0123456789*#")] != '\0' || strlen(keys) > most))
		fail(twiml, mb_xml_innermost(&twiml->xml), MB_TWIML_VALUE);
	else
		attribute(twiml, name, keys);
}

/* --- verbs -------------------------------------------------------------- */

static const char *const trims[] = { "trim-silence", "do-not-trim", NULL };

/* Opens a verb when the element around it may hold it; false when that or something before failed. */
static bool
verb_begin(mb_twiml *twiml, const char *verb, const char *const *parents)
{
	const char *parent = mb_xml_innermost(&twiml->xml);

	if (twiml->status != MB_TWIML_OK)
		return false;
	if (parent == NULL || !is_one_of(parent, parents))
	{
		fail(twiml, verb, MB_TWIML_ORDER);
		return false;
	}
	mb_xml_open(&twiml->xml, verb);
	twiml->verbs++;
	return true;
}

static void
verb_end(mb_twiml *twiml, const char *verb)
{
	mb_xml_close(&twiml->xml);
	note_writer_error(twiml, verb);
}

/* Closes a verb that others stand in; one that needs some must have them. */
static void
container_end(mb_twiml *twiml, const char *verb, bool needs_children)
{
	const char *innermost = mb_xml_innermost(&twiml->xml);

	if (twiml->status != MB_TWIML_OK)
		return;
	if (innermost == NULL || strcmp(innermost, verb) != 0 || (needs_children && twiml->xml.in_tag))
		fail(twiml, verb, MB_TWIML_ORDER);
	else
		verb_end(twiml, verb);
}

/* Where the verbs may stand. */
static const char *const in_response[] = { "Response", NULL };
static const char *const in_response_or_gather[] = { "Response", "Gather", NULL };
static const char *const in_dial[] = { "Dial", NULL };
static const char *const in_connect[] = { "Connect", NULL };
static const char *const in_stream[] = { "Stream", NULL };
static const char *const in_start[] = { "Start", NULL };

void
mb_twiml_begin(mb_twiml *twiml, char *buffer, size_t capacity)
{
	memset(twiml, 0, sizeof(*twiml));
	mb_xml_begin(&twiml->xml, buffer, capacity, MB_TWIML_MAX_CHARACTERS);
	mb_xml_open(&twiml->xml, "Response");
	note_writer_error(twiml, "Response");
}

mb_twiml_status
mb_twiml_end(mb_twiml *twiml, size_t *length)
{
	container_end(twiml, "Response", false);
	if (twiml->status != MB_TWIML_OK)
	{
		/* nothing half made leaves */
		if (twiml->xml.capacity > 0)
			twiml->xml.buffer[0] = '\0';
		*length = 0;
		return twiml->status;
	}
	(void) mb_xml_end(&twiml->xml, length);
	return twiml->status;
}

void
mb_twiml_say(mb_twiml *twiml, const char *text, const mb_twiml_say_options *options)
{
	if (!verb_begin(twiml, "Say", in_response_or_gather))
		return;
	if (mb_xml_blank(text))
		fail(twiml, "Say", MB_TWIML_TEXT);
	if (options != NULL)
	{
		attribute(twiml, "voice", options->voice);
		attribute(twiml, "language", options->language);
		attribute_int(twiml, "loop", options->loop, 0, MAX_LOOP);
	}
	mb_xml_text(&twiml->xml, text);
	verb_end(twiml, "Say");
}

void
mb_twiml_play_digits(mb_twiml *twiml, const char *digits)
{
	if (!verb_begin(twiml, "Play", in_response_or_gather))
		return;
	if (!mb_twiml_digits_valid(digits))
		fail(twiml, "Play", MB_TWIML_DIGITS);
	attribute(twiml, "digits", digits);
	verb_end(twiml, "Play");
}

void
mb_twiml_play_url(mb_twiml *twiml, const char *url, int loop)
{
	if (!verb_begin(twiml, "Play", in_response_or_gather))
		return;
	if (!http_url(url))
		fail(twiml, "Play", MB_TWIML_URL);
	attribute_int(twiml, "loop", loop, 0, MAX_LOOP);
	mb_xml_text(&twiml->xml, url);
	verb_end(twiml, "Play");
}

void
mb_twiml_pause(mb_twiml *twiml, int seconds)
{
	if (!verb_begin(twiml, "Pause", in_response_or_gather))
		return;
	if (seconds == 0)
		fail(twiml, "Pause", MB_TWIML_VALUE);
	attribute_int(twiml, "length", seconds, 1, MAX_CALL);
	verb_end(twiml, "Pause");
}

void
mb_twiml_gather_begin(mb_twiml *twiml, const mb_twiml_gather_options *options)
{
	static const char *const inputs[] = { "dtmf", "speech", "dtmf speech", NULL };

	if (!verb_begin(twiml, "Gather", in_response))
		return;
	if (options != NULL)
	{
		attribute_choice(twiml, "input", options->input, inputs);
		attribute_url(twiml, "action", options->action);
		attribute_method(twiml, "method", options->method);
		attribute_int(twiml, "timeout", options->timeout, 0, MAX_SILENCE);
		attribute_keys(twiml, "finishOnKey", options->finish_on_key, 1);
		attribute_int(twiml, "numDigits", options->num_digits, 1, MAX_GATHERED);
		attribute_flag(twiml, "actionOnEmptyResult", options->action_on_empty_result);
		attribute_url(twiml, "partialResultCallback", options->partial_result_callback);
		attribute(twiml, "language", options->language);
		attribute(twiml, "hints", options->hints);
		attribute(twiml, "speechTimeout", options->speech_timeout);
		attribute_flag(twiml, "bargeIn", options->barge_in);
		attribute_flag(twiml, "profanityFilter", options->profanity_filter);
		attribute(twiml, "speechModel", options->speech_model);
		attribute_flag(twiml, "enhanced", options->enhanced);
	}
	note_writer_error(twiml, "Gather");
}

void
mb_twiml_gather_end(mb_twiml *twiml)
{
	container_end(twiml, "Gather", false);
}

void
mb_twiml_record(mb_twiml *twiml, const mb_twiml_record_options *options)
{
	if (!verb_begin(twiml, "Record", in_response))
		return;
	if (options != NULL)
	{
		attribute_url(twiml, "action", options->action);
		attribute_method(twiml, "method", options->method);
		attribute_int(twiml, "timeout", options->timeout, 0, MAX_SILENCE);
		attribute_keys(twiml, "finishOnKey", options->finish_on_key, strlen("1234567890*#"));
		attribute_int(twiml, "maxLength", options->max_length, 1, MAX_CALL);
		attribute_flag(twiml, "playBeep", options->play_beep);
		attribute_choice(twiml, "trim", options->trim, trims);
		attribute_url(twiml, "recordingStatusCallback", options->recording_status_callback);
		attribute(twiml, "recordingStatusCallbackEvent", options->recording_status_callback_event);
		attribute_flag(twiml, "transcribe", options->transcribe);
		attribute_url(twiml, "transcribeCallback", options->transcribe_callback);
	}
	verb_end(twiml, "Record");
}

void
mb_twiml_redirect(mb_twiml *twiml, const char *url, const char *method)
{
	if (!verb_begin(twiml, "Redirect", in_response))
		return;
	if (!http_url(url))
		fail(twiml, "Redirect", MB_TWIML_URL);
	attribute_method(twiml, "method", method);
	mb_xml_text(&twiml->xml, url);
	verb_end(twiml, "Redirect");
}

void
mb_twiml_hangup(mb_twiml *twiml)
{
	if (verb_begin(twiml, "Hangup", in_response))
		verb_end(twiml, "Hangup");
}

void
mb_twiml_reject(mb_twiml *twiml, const char *reason)
{
	static const char *const reasons[] = { "rejected", "busy", NULL };

	/* a call that a verb has answered can no longer be rejected */
	if (twiml->verbs > 0)
		fail(twiml, "Reject", MB_TWIML_ORDER);
	if (!verb_begin(twiml, "Reject", in_response))
		return;
	attribute_choice(twiml, "reason", reason, reasons);
	verb_end(twiml, "Reject");
}

void
mb_twiml_dial_begin(mb_twiml *twiml, const mb_twiml_dial_options *options)
{
	static const char *const records[] = {
		"do-not-record",		   "record-from-answer",	   "record-from-ringing",
		"record-from-answer-dual", "record-from-ringing-dual", NULL
	};

	if (!verb_begin(twiml, "Dial", in_response))
		return;
	if (options != NULL)
	{
		attribute_url(twiml, "action", options->action);
		attribute_method(twiml, "method", options->method);
		attribute_int(twiml, "timeout", options->timeout, 1, MAX_RINGING);
		attribute_int(twiml, "timeLimit", options->time_limit, 1, MAX_CALL);
		if (options->caller_id != NULL && !mb_e164_valid(options->caller_id))
			fail(twiml, "Dial", MB_TWIML_NUMBER);
		attribute(twiml, "callerId", options->caller_id);
		attribute_choice(twiml, "record", options->record, records);
		attribute_url(twiml, "recordingStatusCallback", options->recording_status_callback);
		attribute_flag(twiml, "answerOnBridge", options->answer_on_bridge);
		attribute_flag(twiml, "hangupOnStar", options->hangup_on_star);
	}
	note_writer_error(twiml, "Dial");
}

void
mb_twiml_number(mb_twiml *twiml, const char *number, const mb_twiml_number_options *options)
{
	if (!verb_begin(twiml, "Number", in_dial))
		return;
	if (!mb_e164_valid(number))
		fail(twiml, "Number", MB_TWIML_NUMBER);
	if (options != NULL)
	{
		if (options->send_digits != NULL && !mb_twiml_digits_valid(options->send_digits))
			fail(twiml, "Number", MB_TWIML_DIGITS);
		attribute(twiml, "sendDigits", options->send_digits);
		attribute_url(twiml, "url", options->url);
		attribute_method(twiml, "method", options->method);
		attribute_url(twiml, "statusCallback", options->status_callback);
		attribute(twiml, "statusCallbackEvent", options->status_callback_event);
	}
	mb_xml_text(&twiml->xml, number);
	verb_end(twiml, "Number");
}

void
mb_twiml_dial_end(mb_twiml *twiml)
{
	container_end(twiml, "Dial", true);
}

void
mb_twiml_connect_begin(mb_twiml *twiml, const char *action, const char *method)
{
	if (!verb_begin(twiml, "Connect", in_response))
		return;
	attribute_url(twiml, "action", action);
	attribute_method(twiml, "method", method);
	note_writer_error(twiml, "Connect");
}

void
mb_twiml_stream_begin(mb_twiml *twiml, const char *url, const mb_twiml_stream_options *options)
{
	/* a stream in both directions carries nothing but the caller's side */
	static const char *const tracks[] = { "inbound_track", NULL };

	if (!verb_begin(twiml, "Stream", in_connect))
		return;
	if (!stream_url(url))
		fail(twiml, "Stream", MB_TWIML_URL);
	attribute(twiml, "url", url);
	if (options != NULL)
	{
		attribute(twiml, "name", options->name);
		attribute_choice(twiml, "track", options->track, tracks);
		attribute_url(twiml, "statusCallback", options->status_callback);
		attribute_method(twiml, "statusCallbackMethod", options->status_callback_method);
	}
	note_writer_error(twiml, "Stream");
}

void
mb_twiml_parameter(mb_twiml *twiml, const char *name, const char *value)
{
	if (!verb_begin(twiml, "Parameter", in_stream))
		return;
	if (mb_xml_blank(name))
		fail(twiml, "Parameter", MB_TWIML_TEXT);
	/* counted in bytes, the stricter reading */
	if (strlen(name) + strlen(value) >= MB_TWIML_PARAMETER_LIMIT)
		fail(twiml, "Parameter", MB_TWIML_PARAMETER);
	attribute(twiml, "name", name);
	attribute(twiml, "value", value);
	verb_end(twiml, "Parameter");
}

void
mb_twiml_stream_end(mb_twiml *twiml)
{
	container_end(twiml, "Stream", false);
}

void
mb_twiml_connect_end(mb_twiml *twiml)
{
	container_end(twiml, "Connect", true);
}

void
mb_twiml_start_recording(mb_twiml *twiml, const mb_twiml_recording_options *options)
{
	static const char *const channels[] = { "mono", "dual", NULL };
	static const char *const tracks[] = { "inbound", "outbound", "both", NULL };

	if (!verb_begin(twiml, "Start", in_response) || !verb_begin(twiml, "Recording", in_start))
		return;
	if (options != NULL)
	{
		attribute_choice(twiml, "channels", options->channels, channels);
		attribute_choice(twiml, "track", options->track, tracks);
		attribute_choice(twiml, "trim", options->trim, trims);
		attribute_url(twiml, "recordingStatusCallback", options->recording_status_callback);
		attribute(twiml, "recordingStatusCallbackEvent", options->recording_status_callback_event);
	}
	verb_end(twiml, "Recording");
	container_end(twiml, "Start", true);
}
