/*
 * twiml.c
 *	  TwiML in SQL: builds a document from verbs in JSON with the core's builder (core/twiml.h).
 *
 * What is said and played is decided by the callers, in SQL; escaping, order and limits are the
 * core's.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "core/web/twiml.h"

PG_FUNCTION_INFO_V1(mulberry_twiml);

/* A verb takes at most this many attributes. */
#define MAX_ATTRIBUTES 12

typedef void (*verb_writer)(mb_twiml *twiml, JsonbContainer *verb);

static void write_verbs(mb_twiml *twiml, JsonbContainer *verbs);

static JsonbValue *
attribute(JsonbContainer *verb, const char *key, JsonbValue *buffer)
{
	JsonbValue *value = getKeyJsonValueFromContainer(verb, key, (int) strlen(key), buffer);

	return value == NULL || value->type == jbvNull ? NULL : value;
}

static void
wrong_type(const char *key, const char *type)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("attribute \"%s\" of a TwiML verb must be a %s", key, type));
}

/* A string in UTF-8; NULL when absent. */
static const char *
text_attribute(JsonbContainer *verb, const char *key)
{
	JsonbValue buffer;
	JsonbValue *value = attribute(verb, key, &buffer);
	char *text;

	if (value == NULL)
		return NULL;
	if (value->type != jbvString)
		wrong_type(key, "string");
	text = pnstrdup(value->val.string.val, value->val.string.len);
	return pg_server_to_any(text, (int) strlen(text), PG_UTF8);
}

/* A whole number; 0 when absent, MB_TWIML_ZERO for 0. */
static int
int_attribute(JsonbContainer *verb, const char *key)
{
	JsonbValue buffer;
	JsonbValue *value = attribute(verb, key, &buffer);
	int number;

	if (value == NULL)
		return 0;
	if (value->type != jbvNumeric)
		wrong_type(key, "number");
	number = DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(value->val.numeric)));
	if (number < 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("attribute \"%s\" of a TwiML verb must not be negative", key));
	return number == 0 ? MB_TWIML_ZERO : number;
}

static mb_twiml_flag
flag_attribute(JsonbContainer *verb, const char *key)
{
	JsonbValue buffer;
	JsonbValue *value = attribute(verb, key, &buffer);

	if (value == NULL)
		return MB_TWIML_DEFAULT;
	if (value->type != jbvBool)
		wrong_type(key, "boolean");
	return value->val.boolean ? MB_TWIML_TRUE : MB_TWIML_FALSE;
}

static void
write_say(mb_twiml *twiml, JsonbContainer *verb)
{
	mb_twiml_say_options options = { .voice = text_attribute(verb, "voice"),
									 .language = text_attribute(verb, "language"),
									 .loop = int_attribute(verb, "loop") };

	const char *text = text_attribute(verb, "text");

	mb_twiml_say(twiml, text ? text : "", &options);
}

static void
write_play(mb_twiml *twiml, JsonbContainer *verb)
{
	const char *url = text_attribute(verb, "url");
	const char *digits = text_attribute(verb, "digits");

	if (url)
		mb_twiml_play_url(twiml, url, int_attribute(verb, "loop"));
	else
		mb_twiml_play_digits(twiml, digits ? digits : "");
}

static void
write_pause(mb_twiml *twiml, JsonbContainer *verb)
{
	mb_twiml_pause(twiml, int_attribute(verb, "length"));
}

static void
write_gather(mb_twiml *twiml, JsonbContainer *verb)
{
	mb_twiml_gather_options options = { .input = text_attribute(verb, "input"),
										.action = text_attribute(verb, "action"),
										.method = text_attribute(verb, "method"),
										.timeout = int_attribute(verb, "timeout"),
										.finish_on_key = text_attribute(verb, "finish_on_key"),
										.num_digits = int_attribute(verb, "num_digits"),
										.action_on_empty_result =
											flag_attribute(verb, "action_on_empty_result") };
	JsonbValue buffer;
	JsonbValue *inside = attribute(verb, "verbs", &buffer);

	mb_twiml_gather_begin(twiml, &options);
	if (inside)
	{
		if (inside->type != jbvBinary)
			wrong_type("verbs", "list");
		write_verbs(twiml, inside->val.binary.data);
	}
	mb_twiml_gather_end(twiml);
}

static void
write_record(mb_twiml *twiml, JsonbContainer *verb)
{
	mb_twiml_record_options options = {
		.action = text_attribute(verb, "action"),
		.method = text_attribute(verb, "method"),
		.timeout = int_attribute(verb, "timeout"),
		.finish_on_key = text_attribute(verb, "finish_on_key"),
		.max_length = int_attribute(verb, "max_length"),
		.play_beep = flag_attribute(verb, "play_beep"),
		.trim = text_attribute(verb, "trim"),
		.recording_status_callback = text_attribute(verb, "recording_status_callback"),
		.recording_status_callback_event = text_attribute(verb, "recording_status_callback_event"),
		.transcribe = flag_attribute(verb, "transcribe"),
		.transcribe_callback = text_attribute(verb, "transcribe_callback")
	};

	mb_twiml_record(twiml, &options);
}

/* A string of a list of them, in UTF-8. */
static const char *
text_element(const char *key, JsonbValue *value)
{
	char *text;

	if (value->type != jbvString)
		wrong_type(key, "string or a list of strings");
	text = pnstrdup(value->val.string.val, value->val.string.len);
	return pg_server_to_any(text, (int) strlen(text), PG_UTF8);
}

static void
write_dial(mb_twiml *twiml, JsonbContainer *verb)
{
	mb_twiml_dial_options options = { .action = text_attribute(verb, "action"),
									  .method = text_attribute(verb, "method"),
									  .timeout = int_attribute(verb, "timeout"),
									  .time_limit = int_attribute(verb, "time_limit"),
									  .caller_id = text_attribute(verb, "caller_id"),
									  .record = text_attribute(verb, "record"),
									  .recording_status_callback =
										  text_attribute(verb, "recording_status_callback"),
									  .answer_on_bridge = flag_attribute(verb, "answer_on_bridge"),
									  .hangup_on_star = flag_attribute(verb, "hangup_on_star") };
	mb_twiml_number_options number_options = { .send_digits = text_attribute(verb, "send_digits") };
	JsonbValue buffer;
	JsonbValue *numbers = attribute(verb, "number", &buffer);

	mb_twiml_dial_begin(twiml, &options);
	if (numbers && numbers->type == jbvBinary && JsonContainerIsArray(numbers->val.binary.data))
	{
		JsonbContainer *list = numbers->val.binary.data;

		for (uint32 i = 0; i < JsonContainerSize(list); i++)
			mb_twiml_number(twiml, text_element("number", getIthJsonbValueFromContainer(list, i)),
							&number_options);
	}
	else if (numbers)
		mb_twiml_number(twiml, text_element("number", numbers), &number_options);
	mb_twiml_dial_end(twiml);
}

/* Parameters of a stream, {"name": "value"}. */
static void
write_parameters(mb_twiml *twiml, JsonbContainer *parameters)
{
	JsonbIterator *iterator = JsonbIteratorInit(parameters);
	JsonbIteratorToken token;
	JsonbValue value;
	const char *name = "";

	if (!JsonContainerIsObject(parameters))
		wrong_type("parameters", "JSON object of strings");
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = text_element("parameters", &value);
		else if (token == WJB_VALUE)
		{
			if (value.type != jbvString)
				wrong_type("parameters", "JSON object of strings");
			mb_twiml_parameter(twiml, name, text_element("parameters", &value));
		}
	}
}

static void
write_connect(mb_twiml *twiml, JsonbContainer *verb)
{
	const char *url = text_attribute(verb, "url");
	mb_twiml_stream_options options = { .name = text_attribute(verb, "name"),
										.status_callback = text_attribute(verb, "status_callback"),
										.status_callback_method =
											text_attribute(verb, "status_callback_method") };
	JsonbValue buffer;
	JsonbValue *parameters = attribute(verb, "parameters", &buffer);

	mb_twiml_connect_begin(twiml, text_attribute(verb, "action"), text_attribute(verb, "method"));
	mb_twiml_stream_begin(twiml, url ? url : "", &options);
	if (parameters)
	{
		if (parameters->type != jbvBinary)
			wrong_type("parameters", "JSON object of strings");
		write_parameters(twiml, parameters->val.binary.data);
	}
	mb_twiml_stream_end(twiml);
	mb_twiml_connect_end(twiml);
}

static void
write_start_recording(mb_twiml *twiml, JsonbContainer *verb)
{
	mb_twiml_recording_options options = { .channels = text_attribute(verb, "channels"),
										   .track = text_attribute(verb, "track"),
										   .trim = text_attribute(verb, "trim"),
										   .recording_status_callback =
											   text_attribute(verb, "recording_status_callback"),
										   .recording_status_callback_event = text_attribute(
											   verb, "recording_status_callback_event") };

	mb_twiml_start_recording(twiml, &options);
}

static void
write_reject(mb_twiml *twiml, JsonbContainer *verb)
{
	mb_twiml_reject(twiml, text_attribute(verb, "reason"));
}

static void
write_redirect(mb_twiml *twiml, JsonbContainer *verb)
{
	const char *url = text_attribute(verb, "url");

	mb_twiml_redirect(twiml, url ? url : "", text_attribute(verb, "method"));
}

static void
write_hangup(mb_twiml *twiml, JsonbContainer *verb)
{
	mb_twiml_hangup(twiml);
}

/* The verbs and the attributes that each takes; what is not named is an error. */
static const struct
{
	const char *name;
	verb_writer write;
	const char *attributes[MAX_ATTRIBUTES];
} verbs_known[] = {
	{ "say", write_say, { "text", "voice", "language", "loop" } },
	{ "play", write_play, { "digits", "url", "loop" } },
	{ "pause", write_pause, { "length" } },
	{ "gather",
	  write_gather,
	  { "input", "action", "method", "timeout", "finish_on_key", "num_digits",
		"action_on_empty_result", "verbs" } },
	{ "record",
	  write_record,
	  { "action", "method", "timeout", "finish_on_key", "max_length", "play_beep", "trim",
		"recording_status_callback", "recording_status_callback_event", "transcribe",
		"transcribe_callback" } },
	{ "dial",
	  write_dial,
	  { "number", "action", "method", "timeout", "time_limit", "caller_id", "record",
		"recording_status_callback", "answer_on_bridge", "hangup_on_star", "send_digits" } },
	{ "connect",
	  write_connect,
	  { "url", "parameters", "name", "status_callback", "status_callback_method", "action",
		"method" } },
	{ "start_recording",
	  write_start_recording,
	  { "channels", "track", "trim", "recording_status_callback",
		"recording_status_callback_event" } },
	{ "redirect", write_redirect, { "url", "method" } },
	{ "reject", write_reject, { "reason" } },
	{ "hangup", write_hangup, { NULL } },
};

/* Raises an error for an attribute that the verb does not take. */
static void
check_attributes(int known, JsonbContainer *verb)
{
	JsonbIterator *iterator = JsonbIteratorInit(verb);
	JsonbIteratorToken token;
	JsonbValue value;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		char *key;
		bool found = false;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(value.val.string.val, value.val.string.len);
		if (strcmp(key, "verb") == 0)
			continue;
		for (int i = 0; i < MAX_ATTRIBUTES && verbs_known[known].attributes[i]; i++)
			found = found || strcmp(key, verbs_known[known].attributes[i]) == 0;
		if (!found)
			ereport(
				ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("TwiML verb \"%s\" has no attribute \"%s\"", verbs_known[known].name, key));
	}
}

static void
write_verbs(mb_twiml *twiml, JsonbContainer *verbs)
{
	if (!JsonContainerIsArray(verbs))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("TwiML verbs must be a list of JSON objects"));
	for (uint32 i = 0; i < JsonContainerSize(verbs); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(verbs, i);
		const char *name;
		int known;

		if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("TwiML verbs must be a list of JSON objects"));
		name = text_attribute(value->val.binary.data, "verb");
		for (known = 0; known < lengthof(verbs_known); known++)
		{
			if (name && strcmp(name, verbs_known[known].name) == 0)
				break;
		}
		if (known == lengthof(verbs_known))
			ereport(
				ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("unknown TwiML verb \"%s\"", name ? name : ""),
				errdetail(
					"Verbs are say, play, pause, gather, record, dial, connect, start_recording, "
					"redirect, reject and hangup."));
		check_attributes(known, value->val.binary.data);
		verbs_known[known].write(twiml, value->val.binary.data);
	}
}

/*
 * twiml(verbs jsonb) returns text
 *
 * The document is below 4,000 characters, as the REST parameter Twiml wants it.  22023 with the
 * verb that is wrong.
 */
Datum
mulberry_twiml(PG_FUNCTION_ARGS)
{
	Jsonb *verbs = PG_GETARG_JSONB_P(0);
	char *document = palloc(MB_TWIML_BUFFER_SIZE);
	mb_twiml twiml;
	mb_twiml_status status;
	size_t length;

	mb_twiml_begin(&twiml, document, MB_TWIML_BUFFER_SIZE);
	write_verbs(&twiml, &verbs->root);
	status = mb_twiml_end(&twiml, &length);
	if (status != MB_TWIML_OK)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("TwiML cannot be made: %s", mb_twiml_status_message(status)),
				twiml.where ? errdetail("It is the verb %s.", twiml.where) : 0);
	PG_RETURN_TEXT_P(cstring_to_text(pg_any_to_server(document, (int) length, PG_UTF8)));
}
