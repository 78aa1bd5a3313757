/*
 * texts.c
 *	  How long a text may be that enters, and in which encoding: the one place that says it.
 *
 * What is shared (the audit log, events, messages, requests to services) renders texts in UTF-8 and as JSON.  A
 * text that is too long for that, or that is not text in the database's encoding, fails whoever
 * gives it, and not those who come across it later.
 */
#include "server/compat.h"

#include "access/detoast.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "server/texts.h"

PG_FUNCTION_INFO_V1(mulberry_check_texts);
PG_FUNCTION_INFO_V1(mulberry_check_json);
PG_FUNCTION_INFO_V1(mulberry_text_limits);
PG_FUNCTION_INFO_V1(mulberry_has_controls);

#define NAME 255		 /* of somebody or something */
#define REFERENCE 1000	 /* what others call something */
#define REMARK 4000		 /* what people say */
#define ADDRESS 4000	 /* URLs, files */
#define LIST 16000		 /* several of them */
#define DETAILS 8192	 /* JSON that is searched */
#define SETTINGS 65536	 /* JSON that is read at every step */
#define DOCUMENT 1048576 /* JSON */

/* By the name of the argument, which it has in every function. */
/* clang-format off */
static const struct
{
	const char *argument;
	int limit; /* bytes, in the database's encoding */
} limits[] = {
	{ "abilities", LIST },
	{ "access", NAME },
	{ "acks", DOCUMENT },
	{ "agent", NAME },
	{ "allowed_callers", LIST },
	{ "answer", DOCUMENT },
	{ "arguments", DOCUMENT },
	{ "attributes", DETAILS },
	{ "base_url", ADDRESS },
	{ "call_id", NAME },
	{ "call_ids", DOCUMENT }, /* each is a call_id */
	{ "call_ref", REFERENCE },
	{ "caller", REFERENCE },
	{ "calls", DOCUMENT }, /* each is a call_id */
	{ "changes", SETTINGS },
	{ "clear", NAME },
	{ "command", NAME },
	{ "currency", NAME },
	{ "default_encoding", NAME },
	{ "detail", REMARK },
	{ "digits", NAME },
	{ "direction", NAME },
	{ "encoding", NAME },
	{ "ended", NAME },
	{ "endpoint", NAME },
	{ "error", REMARK },
	{ "figures", DETAILS },
	{ "fingerprint", NAME },
	{ "format", NAME },
	{ "from_number", NAME },
	{ "how", NAME },
	{ "idempotency_token", REFERENCE },
	{ "kept_hash", NAME },
	{ "kind", NAME },
	{ "kinds", LIST },
	{ "language", NAME },
	{ "lines", DOCUMENT },
	{ "mandate_id", NAME },
	{ "model", NAME },
	{ "name", NAME },
	{ "new_name", NAME },
	{ "number", NAME },
	{ "older_than", NAME },
	{ "only_tenant", NAME },
	{ "options", DOCUMENT },
	{ "params", DOCUMENT },
	{ "path", NAME },
	{ "peer", NAME },
	{ "phone", NAME },
	{ "program", NAME },
	{ "purpose", NAME },
	{ "query", REFERENCE },
	{ "reason", REMARK },
	{ "reference", REFERENCE },
	{ "report", DETAILS },
	{ "request_type", NAME },
	{ "requester", REMARK },
	{ "role", NAME },
	{ "said", LIST },
	{ "secret", NAME },
	{ "server_file", ADDRESS },
	{ "settings", SETTINGS },
	{ "signature", REFERENCE },
	{ "sponsor", REFERENCE },
	{ "state", NAME },
	{ "symbols", DOCUMENT },
	{ "target", NAME },
	{ "tenant", NAME },
	{ "text", LIST },
	{ "to_number", NAME },
	{ "token", NAME },
	{ "title", REMARK },
	{ "totals", DOCUMENT },
	{ "track", NAME },
	{ "tracks", DOCUMENT }, /* each is a track */
	{ "url", ADDRESS },
	{ "voice_key", NAME },
};
/* clang-format on */

static int
limit_of(const char *argument)
{
	for (int i = 0; i < lengthof(limits); i++)
	{
		if (strcmp(limits[i].argument, argument) == 0)
			return limits[i].limit;
	}
	elog(ERROR, "texts called \"%s\" have no limit", argument);
}

/* Whether all of a text can be said in another encoding. */
static bool
convertible(const char *bytes, int length, int from, int to)
{
	Oid conversion;
	unsigned char *converted;
	bool fits;
	bool ascii = true;

	if (from == to)
		return true;
	/* nothing can be converted from or to SQL_ASCII: there texts are UTF-8, as what is told elsewhere must be */
	if (from == PG_SQL_ASCII || to == PG_SQL_ASCII)
		return pg_verify_mbstr(PG_UTF8, bytes, length, true);
	for (int i = 0; i < length && ascii; i++)
		ascii = !IS_HIGHBIT_SET(bytes[i]);
	if (ascii)
		return true;
	conversion = FindDefaultConversionProc(from, to);
	if (!OidIsValid(conversion))
		return false;
	converted =
		MemoryContextAllocHuge(CurrentMemoryContext, (Size) length * MAX_CONVERSION_GROWTH + 1);
	fits = pg_do_encoding_conversion_buf(conversion, from, to,
										 (unsigned char *) unconstify(char *, bytes), length,
										 converted, length * MAX_CONVERSION_GROWTH + 1,
										 /* noError */ true) == length;
	pfree(converted);
	return fits;
}

bool
mulberry_text_fits_utf8(const char *bytes, int length)
{
	return convertible(bytes, length, GetDatabaseEncoding(), PG_UTF8);
}

bool
mulberry_utf8_fits_database(const char *utf8, int length)
{
	return convertible(utf8, length, PG_UTF8, GetDatabaseEncoding());
}

void
mulberry_require_encodable(const char *what, const char *bytes, int length)
{
	if (!mulberry_text_fits_utf8(bytes, length))
		ereport(ERROR, (errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
						errmsg(GetDatabaseEncoding() == PG_SQL_ASCII
								   ? "%s is not UTF-8"
								   : "%s has a character that UTF-8 does not have",
							   what)));
}

void
mulberry_check_text(const char *argument, const char *bytes, int length)
{
	int limit = limit_of(argument);

	if (length > limit)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION), errmsg("%s is too long", argument),
				 errdetail("It may have at most %d bytes and has %d.", limit, length)));
	mulberry_require_encodable(argument, bytes, length);
}

void
mulberry_check_argument(const char *argument, const text *value)
{
	mulberry_check_text(argument, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/* check_texts(VARIADIC pairs text[]): name and value of each argument; nulls are fine */
Datum
mulberry_check_texts(PG_FUNCTION_ARGS)
{
	Datum *pairs;
	bool *nulls;
	int n;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &pairs, &nulls,
					  &n);
	for (int i = 0; i + 1 < n; i += 2)
	{
		if (!nulls[i + 1])
			mulberry_check_argument(TextDatumGetCString(pairs[i]), DatumGetTextPP(pairs[i + 1]));
	}
	PG_RETURN_VOID();
}

/* check_json(argument text, value jsonb) */
Datum
mulberry_check_json(PG_FUNCTION_ARGS)
{
	char *argument;
	int limit;
	Size size;

	if (PG_ARGISNULL(1))
		PG_RETURN_VOID();
	argument = text_to_cstring(PG_GETARG_TEXT_PP(0));
	limit = limit_of(argument);
	size = toast_raw_datum_size(PG_GETARG_DATUM(1)) - VARHDRSZ;
	if (size > limit)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION), errmsg("%s is too long", argument),
				 errdetail("It may have at most %d bytes and has %zu.", limit, size)));
	if (GetDatabaseEncoding() != PG_UTF8)
	{
		Jsonb *value = PG_GETARG_JSONB_P(1);
		char *string = JsonbToCString(NULL, &value->root, VARSIZE(value));

		mulberry_require_encodable(argument, string, (int) strlen(string));
	}
	PG_RETURN_VOID();
}

/* Encodings that have U+0080 to U+009F in one byte; those of Windows and Russia have letters and signs there. */
static bool
has_high_controls(int encoding)
{
	return (encoding >= PG_LATIN1 && encoding <= PG_LATIN10) ||
		   (encoding >= PG_ISO_8859_5 && encoding <= PG_ISO_8859_8);
}

/*
 * has_controls(text) → boolean.  [[:cntrl:]] has the euro sign of WIN1252 and parts of characters in SQL_ASCII
 * for controls.
 */
Datum
mulberry_has_controls(PG_FUNCTION_ARGS)
{
	text *value = PG_GETARG_TEXT_PP(0);
	const unsigned char *bytes = (const unsigned char *) VARDATA_ANY(value);
	int length = VARSIZE_ANY_EXHDR(value);
	bool utf8 = GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII;
	bool high = has_high_controls(GetDatabaseEncoding());

	for (int i = 0; i < length; i++)
	{
		if (bytes[i] < ' ' || bytes[i] == 0x7f || (high && bytes[i] >= 0x80 && bytes[i] < 0xa0))
			PG_RETURN_BOOL(true);
		/* U+0080 to U+009F */
		if (utf8 && bytes[i] == 0xc2 && i + 1 < length && bytes[i + 1] < 0xa0)
			PG_RETURN_BOOL(true);
	}
	PG_RETURN_BOOL(false);
}

/* text_limits() → (argument, max_bytes) */
Datum
mulberry_text_limits(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < lengthof(limits); i++)
	{
		Datum values[2] = { CStringGetTextDatum(limits[i].argument),
							Int32GetDatum(limits[i].limit) };
		bool nulls[2] = { false, false };

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
