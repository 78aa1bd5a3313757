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
#define MAX_ATTRIBUTES 8

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

/* A whole number; 0 when absent. */
static int
int_attribute(JsonbContainer *verb, const char *key)
{
	JsonbValue buffer;
	JsonbValue *value = attribute(verb, key, &buffer);

	if (value == NULL)
		return 0;
	if (value->type != jbvNumeric)
		wrong_type(key, "number");
	return DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(value->val.numeric)));
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
	{ "redirect", write_redirect, { "url", "method" } },
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
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unknown TwiML verb \"%s\"", name ? name : ""),
					errdetail("Verbs are say, play, pause, gather, redirect and hangup."));
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
