/*
 * webhook_signature.c
 *	  Checks who sent a webhook: Twilio's signature over URL and parameters, with the
 *	  auth token of the account that the call belongs to.
 *
 * The token is read here and wiped; SQL sees the verdict alone.  Whose webhook it is, and
 * whether it is a replay, is decided in SQL (handle_twilio_webhook).
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

PG_FUNCTION_INFO_V1(mulberry_check_twilio_signature);

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

/*
 * check_twilio_signature(tenant uuid, secret text, url text, params jsonb, signature text)
 *		returns boolean
 *
 * tenant and secret name the auth token.  Null or a name without a secret: the same work with a
 * token that nobody has, so that the answer's time says nothing, and false.  The transaction
 * is committed to disk before its caller hears of it, whatever synchronous_commit is:
 * Twilio does not repeat what was answered.
 */
Datum
mulberry_check_twilio_signature(PG_FUNCTION_ARGS)
{
	/* a constant is no secret: what it "verifies" is refused below */
	static const char nobody[] = "no such account, and no such token";
	mb_twilio_proof proof = { .token = nobody, .token_length = sizeof nobody - 1 };
	parameters *all = palloc0(sizeof(parameters));
	char *token = NULL;
	char *url;
	char *signature;
	Size length;
	mb_twilio_verdict verdict;

	ForceSyncCommit();
	if (PG_ARGISNULL(2) || PG_ARGISNULL(3))
		PG_RETURN_BOOL(false);
	url = to_utf8(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	signature = PG_ARGISNULL(4) ? pstrdup("") : text_to_cstring(PG_GETARG_TEXT_PP(4));
	collect_parameters(PG_GETARG_JSONB_P(3), all);
	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1))
		token = mulberry_secret_read(PG_GETARG_UUID_P(0), text_to_cstring(PG_GETARG_TEXT_PP(1)),
									 &length);
	if (token)
	{
		proof.token = token;
		proof.token_length = length;
	}
	proof.signature = signature;
	proof.signature_length = strlen(signature);
	verdict = mb_twilio_check_form(&proof, url, strlen(url), all->fields, all->n, NULL);
	if (token)
		explicit_bzero(token, length);
	if (verdict == MB_TWILIO_FAILURE)
		elog(ERROR, "could not check a signature: %s", mb_twilio_verdict_message(verdict));
	if (verdict != MB_TWILIO_VALID)
		ereport(DEBUG1, errmsg_internal("webhook refused: %s", mb_twilio_verdict_message(verdict)));
	PG_RETURN_BOOL(token != NULL && verdict == MB_TWILIO_VALID);
}
