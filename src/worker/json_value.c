/*
 * json_value.c
 *	  JSON as services send and take it; see json_value.h.
 */
#include "server/compat.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/resowner.h"

#include "core/text/json_text.h"
#include "worker/json_value.h"

char *
mulberry_from_utf8(const char *text, size_t size)
{
	int server = GetDatabaseEncoding();
	Oid conversion;
	StringInfoData converted;
	size_t done = 0;
	unsigned char *piece;

	if (server == PG_UTF8 || server == PG_SQL_ASCII)
		return pnstrdup(text, size);
	conversion = FindDefaultConversionProc(PG_UTF8, server);
	if (!OidIsValid(conversion))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION),
				errmsg("no conversion from UTF8 to %s exists", pg_encoding_to_char(server)));
	initStringInfo(&converted);
	piece = palloc_extended(size * MAX_CONVERSION_GROWTH + 1, MCXT_ALLOC_HUGE);
	while (done < size)
	{
		unsigned char *from = unconstify(unsigned char *, (const unsigned char *) text) + done;
		int taken =
			pg_do_encoding_conversion_buf(conversion, PG_UTF8, server, from, (int) (size - done),
										  piece, (int) (size * MAX_CONVERSION_GROWTH + 1), true);

		appendStringInfoString(&converted, (char *) piece);
		done += (size_t) taken;
		if (done < size)
		{
			appendStringInfoChar(&converted, '?');
			done += Min((size_t) pg_utf_mblen((const unsigned char *) text + done), size - done);
		}
	}
	pfree(piece);
	return converted.data;
}

char *
mulberry_to_utf8(const char *text, MemoryContext context)
{
	char *converted = pg_server_to_any(text, (int) strlen(text), PG_UTF8);

	return MemoryContextStrdup(context, converted);
}

char *
mulberry_trim(char *text)
{
	size_t length;

	text += strspn(text, " \t\r\n");
	length = strlen(text);
	while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
		text[--length] = '\0';
	return text;
}

/* Text of the server's encoding as jsonb, in the current context; NULL when it is none. */
static Jsonb *
try_jsonb(char *text)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Jsonb *volatile result = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		result = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION &&
			error->sqlerrcode != ERRCODE_STATEMENT_TOO_COMPLEX &&
			error->sqlerrcode != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
			PG_RE_THROW();
		FlushErrorState();
		FreeErrorData(error);
		RollbackAndReleaseCurrentSubTransaction();
		result = NULL;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return result;
}

Jsonb *
mulberry_json_try(const char *text, size_t size)
{
	return try_jsonb(pnstrdup(text, size));
}

Jsonb *
mulberry_json_find(const char *body, size_t size)
{
	char *mended;
	Jsonb *json;

	if (size == 0 || size >= MaxAllocSize / 8)
		return NULL;
	mended = palloc_extended(MB_JSON_REPAIR_SIZE(size), MCXT_ALLOC_HUGE);
	size = mb_json_repair(body, size, mended);
	json = try_jsonb(mulberry_from_utf8(mended, size));
	pfree(mended);
	return json;
}

Jsonb *
mulberry_json_read(const char *body, size_t size)
{
	Jsonb *json = mulberry_json_find(body, size);

	if (json == NULL)
		ereport(ERROR, errcode(ERRCODE_PROTOCOL_VIOLATION),
				errmsg(size == 0 ? "it is empty" : "it is not JSON"));
	return json;
}

bool
mulberry_json_member(JsonbContainer *object, const char *name, JsonbValue *value)
{
	return object != NULL && JsonContainerIsObject(object) &&
		   getKeyJsonValueFromContainer(object, name, (int) strlen(name), value) != NULL;
}

JsonbContainer *
mulberry_json_container(const JsonbValue *value)
{
	return value->type == jbvBinary ? value->val.binary.data : NULL;
}

char *
mulberry_json_string(JsonbContainer *object, const char *name)
{
	JsonbValue value;

	if (!mulberry_json_member(object, name, &value) || value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

char *
mulberry_json_text(JsonbContainer *object, const char *name)
{
	JsonbValue value;

	if (!mulberry_json_member(object, name, &value))
		return NULL;
	switch (value.type)
	{
		case jbvString:
			return pnstrdup(value.val.string.val, value.val.string.len);
		case jbvNumeric:
			return DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
		case jbvBool:
			return pstrdup(value.val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}

bool
mulberry_json_number(JsonbContainer *object, const char *name, double *number)
{
	JsonbValue value;
	char *text;
	char *end;

	if (!mulberry_json_member(object, name, &value) ||
		(value.type != jbvNumeric && value.type != jbvString))
		return false;
	text = mulberry_trim(mulberry_json_text(object, name));
	*number = strtod(text, &end);
	return end != text && *end == '\0' && isfinite(*number);
}
