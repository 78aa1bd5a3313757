/*
 * event_message.c
 *	  Builds the JSON messages of events.  It neither reads tables nor sends.
 *
 * Beside VoiceStream's fields a message carries its time and the tenant; that of a stored
 * event its number and the one before (seq, prev), that of packets how many it
 * stands for (packets) and the missing ranges.
 */
#include "server/compat.h"

#include <ctype.h>

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "events/event_kinds.h"
#include "events/event_message.h"

PG_FUNCTION_INFO_V1(mulberry_event_message);

/* Room that is kept for "truncated", seq, prev and the end of the message. */
#define TAIL_ROOM 128

static void append_time(StringInfo message, TimestampTz at);
static void append_field(StringInfo message, const char *name, int length);
static void append_text_field(StringInfo message, const char *name, const char *value);
static bool append_payload(StringInfo message, Jsonb *payload, int limit);
static void append_value(StringInfo message, const JsonbValue *value);
static bool append_cut_string(StringInfo message, const char *value, int length, int room);
static bool is_own_field(const JsonbValue *key);

void
mulberry_stored_event_message(StringInfo message, const char *event, const char *call_id,
							  const char *tenant, int64 seq, TimestampTz created_at, Jsonb *payload,
							  int limit)
{
	bool whole;

	Assert(limit == 0 || limit >= MULBERRY_MIN_LIMIT);
	appendStringInfoChar(message, '{');
	append_text_field(message, "event", event);
	append_time(message, created_at);
	if (call_id != NULL)
		append_text_field(message, "call_id", call_id);
	append_text_field(message, "tenant", tenant);

	whole = append_payload(message, payload, limit > 0 ? limit - TAIL_ROOM : 0);
	if (!whole)
		appendStringInfoString(message, ", \"truncated\": true");
	appendStringInfo(message, ", \"seq\": " INT64_FORMAT ", \"prev\": " INT64_FORMAT "}", seq,
					 seq - 1);
}

void
mulberry_replace_prev(StringInfo message, const char *text, int64 prev)
{
	/* it is the last number, and the last thing */
	int length = (int) strlen(text) - 1;

	while (length > 0 && isdigit((unsigned char) text[length - 1]))
		length--;
	appendBinaryStringInfo(message, text, length);
	appendStringInfo(message, INT64_FORMAT "}", prev);
}

/*
 * event_message(event text, call_id text, tenant text, seq bigint, created_at timestamptz, payload
 * jsonb, max_bytes integer) returns json: the message of a stored event; whole when
 * max_bytes is null.
 */
Datum
mulberry_event_message(PG_FUNCTION_ARGS)
{
	StringInfoData message;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) || PG_ARGISNULL(3) || PG_ARGISNULL(4) || PG_ARGISNULL(5))
		PG_RETURN_NULL();
	if (!PG_ARGISNULL(6) && PG_GETARG_INT32(6) < MULBERRY_MIN_LIMIT)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("max_bytes of a message must be at least %d", MULBERRY_MIN_LIMIT)));
	initStringInfo(&message);
	mulberry_stored_event_message(&message, text_to_cstring(PG_GETARG_TEXT_PP(0)),
								  PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)),
								  text_to_cstring(PG_GETARG_TEXT_PP(2)), PG_GETARG_INT64(3),
								  PG_GETARG_TIMESTAMPTZ(4), PG_GETARG_JSONB_P(5),
								  PG_ARGISNULL(6) ? 0 : PG_GETARG_INT32(6));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(message.data, message.len));
}

void
mulberry_packet_event_message(StringInfo message, const mulberry_packet_note *note,
							  const char *tenant)
{
	int listed = 0;

	appendStringInfoChar(message, '{');
	append_text_field(message, "event", mulberry_event_kind_at(note->kind)->name);
	append_time(message, note->at);
	append_text_field(message, "call_id", note->call_id);
	append_text_field(message, "tenant", tenant);
	if (note->track[0] != '\0')
		append_text_field(message, "track", note->track);
	appendStringInfo(message,
					 ", \"sequence\": " INT64_FORMAT ", \"total_received\": " INT64_FORMAT
					 ", \"missing_count\": " INT64_FORMAT ", \"missing_sequences\": [",
					 note->first_sequence + note->sequence, note->total_received,
					 note->missing_count);
	for (int i = 0; i < note->nranges; i++)
	{
		/* 64 bits: a range may end at the last int */
		for (int64 sequence = note->ranges[i].first;
			 sequence <= note->ranges[i].last && listed < MULBERRY_MAX_MISSING_SEQUENCES;
			 sequence++)
			appendStringInfo(message, listed++ > 0 ? ", " INT64_FORMAT : INT64_FORMAT,
							 note->first_sequence + sequence);
	}
	appendStringInfoString(message, "], \"missing_ranges\": [");
	for (int i = 0; i < note->nranges; i++)
		appendStringInfo(message,
						 i > 0 ? ", [" INT64_FORMAT ", " INT64_FORMAT "]"
							   : "[" INT64_FORMAT ", " INT64_FORMAT "]",
						 note->first_sequence + note->ranges[i].first,
						 note->first_sequence + note->ranges[i].last);
	appendStringInfo(message, "], \"packets\": %d", note->packets);
	if (note->state[0] != '\0')
		append_text_field(message, "state", note->state);
	appendStringInfoChar(message, '}');
}

void
mulberry_resync_message(StringInfo message, const char *tenant, uint64 dropped)
{
	appendStringInfoChar(message, '{');
	append_text_field(message, "event", "resync");
	append_time(message, GetCurrentTimestamp());
	append_text_field(message, "tenant", tenant);
	appendStringInfo(message, ", \"dropped\": " UINT64_FORMAT "}", dropped);
}

/* When it happened: ISO 8601, UTC, microseconds.  Rows that somebody wrote by hand may lack a day. */
static void
append_time(StringInfo message, TimestampTz at)
{
	struct pg_tm tm;
	fsec_t microseconds;

	if (TIMESTAMP_NOT_FINITE(at) || timestamp2tm(at, NULL, &tm, &microseconds, NULL, NULL) != 0)
		return;
	append_field(message, "time", strlen("time"));
	appendStringInfo(message, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06dZ\"", tm.tm_year, tm.tm_mon,
					 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, microseconds);
}

/* Name and colon of a field, with a comma unless it is the first. */
static void
append_field(StringInfo message, const char *name, int length)
{
	char *copy = pnstrdup(name, length);

	if (message->data[message->len - 1] != '{')
		appendStringInfoString(message, ", ");
	escape_json(message, copy);
	appendStringInfoString(message, ": ");
	pfree(copy);
}

static void
append_text_field(StringInfo message, const char *name, const char *value)
{
	append_field(message, name, strlen(name));
	escape_json(message, value);
}

/*
 * The fields of a payload, in its order.  False when something was cut or left
 * out to stay within "limit" bytes (0: no limit).
 *
 * What is small goes in first, so that a long transcription does not push out
 * the sentiment; what remains is shared by the long ones, in order.
 */
static bool
append_payload(StringInfo message, Jsonb *payload, int limit)
{
	const int small = 256; /* bytes of a value that goes in first */
	bool whole = true;

	for (int pass = 0; pass < 2; pass++)
	{
		JsonbIterator *iterator = JsonbIteratorInit(&payload->root);
		JsonbValue key;
		JsonbValue value;

		(void) JsonbIteratorNext(&iterator, &key, false); /* WJB_BEGIN_OBJECT */
		while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
		{
			StringInfoData field;
			bool is_small;

			(void) JsonbIteratorNext(&iterator, &value, /* skipNested */ true);
			if (is_own_field(&key))
				continue;
			initStringInfo(&field);
			/* what is too long in any case need not be written to know it */
			if (limit > 0 && value.type == jbvString && value.val.string.len > limit)
				field.len = value.val.string.len;
			else if (limit > 0 && value.type == jbvBinary && value.val.binary.len > 16 * limit)
				field.len = value.val.binary.len;
			else
				append_value(&field, &value);
			is_small = limit == 0 || field.len <= small;
			if (is_small != (pass == 0))
			{
				pfree(field.data);
				continue;
			}
			if (limit == 0 || message->len + 4 + 6 * key.val.string.len + field.len <= limit)
			{
				append_field(message, key.val.string.val, key.val.string.len);
				appendBinaryStringInfo(message, field.data, field.len);
			}
			else
			{
				int before = message->len;

				whole = false;
				append_field(message, key.val.string.val, key.val.string.len);
				if (message->len > limit || value.type != jbvString ||
					!append_cut_string(message, value.val.string.val, value.val.string.len,
									   limit - message->len))
				{
					message->len = before;
					message->data[before] = '\0';
				}
			}
			pfree(field.data);
		}
	}
	return whole;
}

static void
append_value(StringInfo message, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			appendStringInfoString(message, "null");
			break;
		case jbvBool:
			appendStringInfoString(message, value->val.boolean ? "true" : "false");
			break;
		case jbvNumeric:
			appendStringInfoString(message, DatumGetCString(DirectFunctionCall1(
												numeric_out, NumericGetDatum(value->val.numeric))));
			break;
		case jbvString:
		{
			char *copy = pnstrdup(value->val.string.val, value->val.string.len);

			escape_json(message, copy);
			pfree(copy);
			break;
		}
		case jbvBinary:
			(void) JsonbToCString(message, value->val.binary.data, value->val.binary.len);
			break;
		default:
			elog(ERROR, "unexpected value of type %d in the payload of an event",
				 (int) value->type);
	}
}

/*
 * As much of a string as fits into "room" bytes of JSON, cut between characters.
 * False when that would be nothing.
 */
static bool
append_cut_string(StringInfo message, const char *value, int length, int room)
{
	int fits = Min(length, room - 2);

	while (fits > 0)
	{
		StringInfoData escaped;
		char *copy;
		int over;

		fits = pg_mbcliplen(value, length, fits);
		copy = pnstrdup(value, fits);
		initStringInfo(&escaped);
		escape_json(&escaped, copy);
		pfree(copy);
		over = escaped.len - room;
		if (over <= 0 && fits > 0)
		{
			appendBinaryStringInfo(message, escaped.data, escaped.len);
			pfree(escaped.data);
			return true;
		}
		pfree(escaped.data);
		/* one byte of text is at most six of JSON, at least one */
		fits -= Max(1, over / 6);
	}
	return false;
}

/* Fields that the message has of its own; a payload cannot replace them. */
static bool
is_own_field(const JsonbValue *key)
{
	static const char *const own[] = { "event", "time", "call_id",	"tenant",
									   "seq",	"prev", "truncated" };

	for (int i = 0; i < lengthof(own); i++)
	{
		if (strlen(own[i]) == key->val.string.len &&
			memcmp(own[i], key->val.string.val, key->val.string.len) == 0)
			return true;
	}
	return false;
}
