/*
 * webhook_signature.c
 *	  Checks who sent a webhook: Twilio's signature over URL and parameters, or over URL and body as they
 *	  came, with the auth token of the account that the call belongs to.
 *
 * The token is read here and wiped; SQL sees the verdict alone.  Whose webhook it is, and
 * whether it is a replay, is decided in SQL (handle_twilio_webhook, handle_twilio_request).
 */
#include "server/compat.h"

#include "access/xact.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

#include "core/web/twilio_signature.h"
#include "secrets/secrets.h"
#include "server/texts.h"

PG_FUNCTION_INFO_V1(mulberry_check_twilio_signature);
PG_FUNCTION_INFO_V1(mulberry_check_twilio_body);
PG_FUNCTION_INFO_V1(mulberry_check_twilio_socket);
PG_FUNCTION_INFO_V1(mulberry_twilio_parameters);
PG_FUNCTION_INFO_V1(mulberry_twilio_signature);
PG_FUNCTION_INFO_V1(mulberry_twilio_signature_valid);

/* More parameters than this are no webhook of Twilio's, which has about thirty. */
#define MAX_PARAMETERS 512

typedef struct parameters
{
	mb_form_field fields[MAX_PARAMETERS];
	size_t n;
} parameters;

/* Signatures are over UTF-8. */
static char *
to_utf8(const char *text)
{
	return pg_server_to_any(pstrdup(text), (int) strlen(text), PG_UTF8);
}

static void
add_parameter(parameters *all, const char *name, const JsonbValue *value)
{
	mb_form_field *field;
	char *text;

	if (all->n == MAX_PARAMETERS)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a webhook has at most %d parameters", MAX_PARAMETERS));
	if (value->type != jbvString)
		ereport(
			ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("parameter \"%s\" of a webhook must be a string or a list of strings", name));
	text = to_utf8(pnstrdup(value->val.string.val, value->val.string.len));
	field = &all->fields[all->n++];
	field->name = name;
	field->name_length = strlen(name);
	field->value = text;
	field->value_length = strlen(text);
}

/* {"name": "value" or ["value", ...]} as the fields of a form. */
static void
collect_parameters(Jsonb *given, parameters *all)
{
	JsonbIterator *iterator = JsonbIteratorInit(&given->root);
	JsonbIteratorToken token;
	JsonbValue value;
	char *name = pstrdup(""); /* the first token is a name */
	int depth = 0;

	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("the parameters of a webhook must be a JSON object"));
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		switch (token)
		{
			case WJB_KEY:
				if (depth > 1)
					ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("parameter \"%s\" of a webhook must be a string or a list of "
								   "strings",
								   name));
				name = to_utf8(pnstrdup(value.val.string.val, value.val.string.len));
				break;
			case WJB_VALUE:
			case WJB_ELEM:
				add_parameter(all, name, &value);
				break;
			case WJB_BEGIN_ARRAY:
			case WJB_BEGIN_OBJECT:
				depth++;
				break;
			default:
				depth--;
				break;
		}
	}
}

/* What is to be checked: the parameters of a form, a body of another kind, or the upgrade to a WebSocket. */
typedef struct webhook
{
	const char *url;
	bool is_socket;
	parameters *params; /* NULL: a body of another kind */
	const void *body;
	Size body_length;
	const char *signature;
} webhook;

static mb_twilio_verdict
judge(const webhook *hook, const char *token, size_t token_length)
{
	mb_twilio_proof proof = { .token = token,
							  .token_length = token_length,
							  .signature = hook->signature,
							  .signature_length = strlen(hook->signature) };
	mb_twilio_verdict verdict;

	if (hook->is_socket)
		verdict = mb_twilio_check_websocket(&proof, hook->url, strlen(hook->url), NULL);
	else if (hook->params)
		verdict = mb_twilio_check_form(&proof, hook->url, strlen(hook->url), hook->params->fields,
									   hook->params->n, NULL);
	else
		verdict = mb_twilio_check_body(&proof, hook->url, strlen(hook->url), hook->body,
									   hook->body_length, NULL);
	if (verdict == MB_TWILIO_FAILURE)
		elog(ERROR, "could not check a signature: %s", mb_twilio_verdict_message(verdict));
	if (verdict != MB_TWILIO_VALID)
		ereport(DEBUG1, errmsg_internal("webhook refused: %s", mb_twilio_verdict_message(verdict)));
	return verdict;
}

/*
 * Whether the token that is stored under this name signed it.  NULL or a name without a secret: the same
 * work with a token that nobody has, so that the answer's time says nothing, and false.
 */
static bool
signed_by_secret(const webhook *hook, pg_uuid_t *tenant, const char *secret)
{
	/* a constant is no secret: what it "verifies" is refused below */
	static const char nobody[] = "no such account, and no such token";
	char *token = NULL;
	Size length = 0;
	mb_twilio_verdict verdict;

	if (tenant && secret)
		token = mulberry_secret_read(tenant, secret, &length);
	if (!token)
		mulberry_secret_read_none();
	verdict = token ? judge(hook, token, length) : judge(hook, nobody, sizeof nobody - 1);
	if (token)
		explicit_bzero(token, length);
	return token != NULL && verdict == MB_TWILIO_VALID;
}

/*
 * check_twilio_signature(tenant uuid, secret text, url text, params jsonb, signature text)
 *		returns boolean
 *
 * tenant and secret name the auth token.  The transaction is committed to disk before its caller hears
 * of it, whatever synchronous_commit is: Twilio does not repeat what was answered.
 */
Datum
mulberry_check_twilio_signature(PG_FUNCTION_ARGS)
{
	webhook hook = { .params = palloc0(sizeof(parameters)) };

	ForceSyncCommit();
	if (PG_ARGISNULL(2) || PG_ARGISNULL(3))
		PG_RETURN_BOOL(false);
	hook.url = to_utf8(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	hook.signature = PG_ARGISNULL(4) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(4));
	collect_parameters(PG_GETARG_JSONB_P(3), hook.params);
	PG_RETURN_BOOL(
		signed_by_secret(&hook, PG_ARGISNULL(0) ? NULL : PG_GETARG_UUID_P(0),
						 PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

/* Whether a body is a form: what has no body is one without fields. */
static bool
is_form(const char *content_type, Size body_length)
{
	static const char form[] = "application/x-www-form-urlencoded";
	Size length = sizeof form - 1;

	while (*content_type == ' ' || *content_type == '\t')
		content_type++;
	return body_length == 0 || (pg_strncasecmp(content_type, form, length) == 0 &&
								strchr(" \t;", content_type[length]) != NULL);
}

static parameters *
parse_form(const char *body, Size length)
{
	parameters *all = palloc0(sizeof(parameters));

	if (mb_form_parse(body, length, palloc(length + 1), all->fields, MAX_PARAMETERS, &all->n) !=
		MB_OK)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a webhook has at most %d parameters", MAX_PARAMETERS));
	return all;
}

/* check_twilio_body(tenant uuid, secret text, url text, content_type text, body bytea, signature text) */
Datum
mulberry_check_twilio_body(PG_FUNCTION_ARGS)
{
	webhook hook = { 0 };
	bytea *body;

	ForceSyncCommit();
	if (PG_ARGISNULL(2) || PG_ARGISNULL(4))
		PG_RETURN_BOOL(false);
	hook.url = to_utf8(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	body = PG_GETARG_BYTEA_PP(4);
	hook.body = VARDATA_ANY(body);
	hook.body_length = VARSIZE_ANY_EXHDR(body);
	hook.signature = PG_ARGISNULL(5) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(5));
	if (is_form(PG_ARGISNULL(3) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(3)), hook.body_length))
		hook.params = parse_form(hook.body, hook.body_length);
	PG_RETURN_BOOL(
		signed_by_secret(&hook, PG_ARGISNULL(0) ? NULL : PG_GETARG_UUID_P(0),
						 PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

/* check_twilio_socket(tenant uuid, secret text, url text, signature text) */
Datum
mulberry_check_twilio_socket(PG_FUNCTION_ARGS)
{
	webhook hook = { .is_socket = true };

	if (PG_ARGISNULL(2))
		PG_RETURN_BOOL(false);
	hook.url = to_utf8(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	hook.signature = PG_ARGISNULL(3) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(3));
	PG_RETURN_BOOL(
		signed_by_secret(&hook, PG_ARGISNULL(0) ? NULL : PG_GETARG_UUID_P(0),
						 PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

/*
 * Bytes that should be UTF-8 as text of this database: what is no character, or none here, becomes a
 * question mark.  A caller's name in some other encoding must not keep a telephone from being answered.
 */
static JsonbValue
lenient_text(const char *bytes, size_t length)
{
	StringInfoData utf8;
	JsonbValue value = { .type = jbvString };
	size_t i = 0;

	initStringInfo(&utf8);
	while (i < length)
	{
		int size = pg_utf_mblen((const unsigned char *) bytes + i);

		if (i + size > length || bytes[i] == '\0' ||
			!pg_utf8_islegal((const unsigned char *) bytes + i, size) ||
			(size > 1 && !mulberry_utf8_fits_database(bytes + i, size)))
		{
			appendStringInfoChar(&utf8, '?');
			i++;
			while (i < length && ((unsigned char) bytes[i] & 0xc0) == 0x80)
				i++;
			continue;
		}
		appendBinaryStringInfo(&utf8, bytes + i, size);
		i += size;
	}
	value.val.string.val = pg_any_to_server(utf8.data, utf8.len, PG_UTF8);
	value.val.string.len = (int) strlen(value.val.string.val);
	return value;
}

static bool
same_name(const mb_form_field *a, const mb_form_field *b)
{
	return a->name_length == b->name_length && memcmp(a->name, b->name, a->name_length) == 0;
}

/*
 * twilio_parameters(content_type text, body bytea) returns jsonb
 *
 * Fields of a form as handle_twilio_webhook() takes them: a string, or a list where a name is repeated.
 * NULL for a body that is no form.
 */
Datum
mulberry_twilio_parameters(PG_FUNCTION_ARGS)
{
	bytea *body = PG_GETARG_BYTEA_PP(1);
	parameters *all;
	JsonbParseState *state = NULL;
	JsonbValue *object;

	if (!is_form(text_to_cstring(PG_GETARG_TEXT_PP(0)), VARSIZE_ANY_EXHDR(body)))
		PG_RETURN_NULL();
	all = parse_form(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body));
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (size_t i = 0; i < all->n; i++)
	{
		mb_form_field *field = &all->fields[i];
		JsonbValue name = lenient_text(field->name, field->name_length);
		JsonbValue value = lenient_text(field->value, field->value_length);
		bool seen = false;
		bool repeated = false;

		for (size_t k = 0; k < i && !seen; k++)
			seen = same_name(&all->fields[k], field);
		if (seen)
			continue;
		for (size_t k = i + 1; k < all->n && !repeated; k++)
			repeated = same_name(&all->fields[k], field);
		pushJsonbValue(&state, WJB_KEY, &name);
		if (!repeated)
		{
			pushJsonbValue(&state, WJB_VALUE, &value);
			continue;
		}
		pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		for (size_t k = i; k < all->n; k++)
		{
			if (!same_name(&all->fields[k], field))
				continue;
			value = lenient_text(all->fields[k].value, all->fields[k].value_length);
			pushJsonbValue(&state, WJB_ELEM, &value);
		}
		pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(object));
}

/* twilio_signature(url text, params jsonb, token text) returns text */
Datum
mulberry_twilio_signature(PG_FUNCTION_ARGS)
{
	char *url = to_utf8(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	char *token = to_utf8(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	parameters *all = palloc0(sizeof(parameters));
	char signature[MB_TWILIO_SIGNATURE_LENGTH + 1];

	collect_parameters(PG_GETARG_JSONB_P(1), all);
	if (mb_twilio_sign(token, strlen(token), url, strlen(url), all->fields, all->n, signature) !=
		MB_OK)
		elog(ERROR, "could not make a signature");
	PG_RETURN_TEXT_P(cstring_to_text(signature));
}

/* twilio_signature_valid(url text, params jsonb, signature text, token text, body bytea, websocket boolean) */
Datum
mulberry_twilio_signature_valid(PG_FUNCTION_ARGS)
{
	webhook hook = { 0 };
	char *token;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		PG_RETURN_NULL();
	hook.url = to_utf8(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	hook.signature = text_to_cstring(PG_GETARG_TEXT_PP(2));
	token = to_utf8(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	hook.is_socket = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5);
	if (hook.is_socket)
		;
	else if (!PG_ARGISNULL(4))
	{
		hook.body = VARDATA_ANY(PG_GETARG_BYTEA_PP(4));
		hook.body_length = VARSIZE_ANY_EXHDR(PG_GETARG_BYTEA_PP(4));
	}
	else
	{
		hook.params = palloc0(sizeof(parameters));
		if (!PG_ARGISNULL(1))
			collect_parameters(PG_GETARG_JSONB_P(1), hook.params);
	}
	PG_RETURN_BOOL(judge(&hook, token, strlen(token)) == MB_TWILIO_VALID);
}
