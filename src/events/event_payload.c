/*
 * event_payload.c
 *	  Builds the JSON object of an event.  Knows JSON, not events: which fields an
 *	  event has is decided where it is stored.
 */
#include "server/compat.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "events/event_payload.h"

void
mulberry_begin_payload(mulberry_payload *payload)
{
	payload->state = NULL;
	pushJsonbValue(&payload->state, WJB_BEGIN_OBJECT, NULL);
}

static void
push_key(mulberry_payload *payload, const char *key)
{
	JsonbValue value = { .type = jbvString };

	value.val.string.val = pstrdup(key);
	value.val.string.len = strlen(key);
	pushJsonbValue(&payload->state, WJB_KEY, &value);
}

static void
push_number(mulberry_payload *payload, JsonbIteratorToken token, Datum number)
{
	JsonbValue value = { .type = jbvNumeric };

	value.val.numeric = DatumGetNumeric(number);
	pushJsonbValue(&payload->state, token, &value);
}

void
mulberry_payload_text(mulberry_payload *payload, const char *key, const char *text)
{
	JsonbValue value = { .type = jbvString };

	push_key(payload, key);
	value.val.string.val = pstrdup(text);
	value.val.string.len = strlen(text);
	pushJsonbValue(&payload->state, WJB_VALUE, &value);
}

void
mulberry_payload_integer(mulberry_payload *payload, const char *key, int64 value)
{
	push_key(payload, key);
	push_number(payload, WJB_VALUE, DirectFunctionCall1(int8_numeric, Int64GetDatum(value)));
}

void
mulberry_payload_float(mulberry_payload *payload, const char *key, double value)
{
	push_key(payload, key);
	push_number(payload, WJB_VALUE, DirectFunctionCall1(float8_numeric, Float8GetDatum(value)));
}

void
mulberry_payload_ranges(mulberry_payload *payload, const char *key, int64 first_sequence,
						const mulberry_range *ranges, int n)
{
	push_key(payload, key);
	pushJsonbValue(&payload->state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		pushJsonbValue(&payload->state, WJB_BEGIN_ARRAY, NULL);
		push_number(
			payload, WJB_ELEM,
			DirectFunctionCall1(int8_numeric, Int64GetDatum(first_sequence + ranges[i].first)));
		push_number(
			payload, WJB_ELEM,
			DirectFunctionCall1(int8_numeric, Int64GetDatum(first_sequence + ranges[i].last)));
		pushJsonbValue(&payload->state, WJB_END_ARRAY, NULL);
	}
	pushJsonbValue(&payload->state, WJB_END_ARRAY, NULL);
}

void
mulberry_payload_begin_object(mulberry_payload *payload, const char *key)
{
	push_key(payload, key);
	pushJsonbValue(&payload->state, WJB_BEGIN_OBJECT, NULL);
}

void
mulberry_payload_end_object(mulberry_payload *payload)
{
	pushJsonbValue(&payload->state, WJB_END_OBJECT, NULL);
}

Jsonb *
mulberry_end_payload(mulberry_payload *payload)
{
	return JsonbValueToJsonb(pushJsonbValue(&payload->state, WJB_END_OBJECT, NULL));
}
