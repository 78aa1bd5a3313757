/*
 * replay.c
 *	  The turn engine over logs of conversations: turns as they were, and as they would have been.
 *
 * Nothing here decides anything: the core does.  A log that cannot be read is replayed up to there, so
 * that one does not hide the others of a report.
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "core/conversation/turn_log.h"
#include "core/conversation/turn_whatif.h"
#include "core/text/utf8.h"
#include "server/arrays.h"

PG_FUNCTION_INFO_V1(mulberry_turn_numbers);
PG_FUNCTION_INFO_V1(mulberry_turn_lists);
PG_FUNCTION_INFO_V1(mulberry_turn_log_problem);
PG_FUNCTION_INFO_V1(mulberry_replay_log);

/* Replies of a conversation that are told apart. */
#define MAX_REPLIES 2000

#define LINE_ABILITIES 6

/* turn_numbers() */
Datum
mulberry_turn_numbers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;

	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	for (int i = 0; i < MB_TURN_NUMBERS; i++)
	{
		const mb_turn_number_kind *kind = mb_turn_number_kind_at(i);
		Datum values[] = { Int32GetDatum(i),
						   CStringGetTextDatum(kind->name),
						   Int32GetDatum(kind->minimum),
						   Int32GetDatum(kind->maximum),
						   Int32GetDatum(kind->standard),
						   CStringGetTextDatum(kind->meaning) };
		bool nulls[lengthof(values)] = { false };

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* turn_lists() */
Datum
mulberry_turn_lists(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;

	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	for (int i = 0; i < MB_TURN_LISTS; i++)
	{
		Datum values[] = { Int32GetDatum(i), CStringGetTextDatum(mb_turn_list_name(i)) };
		bool nulls[lengthof(values)] = { false };

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* Reads a record to its end, for what it says. */
static mb_status
read_record(bytea *record, void (*take)(void *arg, const mb_turn_input *input), void *arg)
{
	mb_turn_log_reader reader;
	mb_turn_input input;
	mb_status status =
		mb_turn_log_open(&reader, (const uint8_t *) VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record));

	while (status == MB_OK && (status = mb_turn_log_read(&reader, &input)) == MB_OK)
		if (take != NULL)
			take(arg, &input);
	return status == MB_ERR_EMPTY ? MB_OK : status;
}

/* turn_log_problem(records) */
Datum
mulberry_turn_log_problem(PG_FUNCTION_ARGS)
{
	bool *nulls;
	int n;
	Datum *records = mulberry_array_elements(PG_GETARG_ARRAYTYPE_P(0), BYTEAOID, &n, &nulls);

	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			PG_RETURN_TEXT_P(cstring_to_text(psprintf("record %d is null", i + 1)));
		if (VARSIZE_ANY_EXHDR(DatumGetByteaPP(records[i])) > MB_TURN_LOG_ROW)
			PG_RETURN_TEXT_P(cstring_to_text(
				psprintf("record %d has more than %d bytes", i + 1, MB_TURN_LOG_ROW)));
		if (read_record(DatumGetByteaPP(records[i]), NULL, NULL) != MB_OK)
			PG_RETURN_TEXT_P(
				cstring_to_text(psprintf("record %d is not in the form of a turn log", i + 1)));
	}
	PG_RETURN_NULL();
}

/* A list of the engine from one with a phrase on each line. */
static const char *
folded_list(Datum value)
{
	char *lines = text_to_cstring(DatumGetTextPP(value));
	char *list;

	lines = pg_server_to_any(lines, (int) strlen(lines), PG_UTF8);
	list = palloc(MB_TURN_LIST_ROOM(strlen(lines)));
	mb_turn_fold_list(lines, strlen(lines), list);
	return list;
}

/* Settings from numbers and lists in their orders.  What a later release adds has its start value. */
static void
read_settings(ArrayType *numbers, ArrayType *lists, mb_turn_settings *settings)
{
	bool *nulls;
	int n;
	int wrong;
	Datum *values = mulberry_array_elements(numbers, INT4OID, &n, &nulls);

	mb_turn_settings_init(settings);
	for (int i = 0; i < n && i < MB_TURN_NUMBERS; i++)
		if (!nulls[i])
			settings->number[i] = DatumGetInt32(values[i]);
	/* not by us */
	while (mb_turn_settings_check(settings, &wrong) != MB_OK)
		settings->number[wrong] = mb_turn_number_kind_at(wrong)->standard;
	values = mulberry_array_elements(lists, TEXTOID, &n, &nulls);
	for (int i = 0; i < n && i < MB_TURN_LISTS; i++)
		if (!nulls[i])
			settings->list[i] = folded_list(values[i]);
}

static void
read_line(ArrayType *abilities, mb_line *line)
{
	bool can[LINE_ABILITIES] = { false };
	bool *nulls;
	int n;
	Datum *values = mulberry_array_elements(abilities, BOOLOID, &n, &nulls);

	for (int i = 0; i < n && i < LINE_ABILITIES; i++)
		can[i] = !nulls[i] && DatumGetBool(values[i]);
	*line = (mb_line){ can[0], can[1], can[2], can[3], can[4], can[5] };
}

/* What a log was made of, as text of this database: what is none is left out. */
static Datum
text_of(const char *bytes, uint32_t n)
{
	StringInfoData text;
	bool utf8 = GetDatabaseEncoding() == PG_UTF8;

	initStringInfo(&text);
	for (uint32_t i = 0; i < n;)
	{
		size_t length = mb_utf8_length(bytes + i, n - i);

		if (length > 0 && bytes[i] != '\0' && (utf8 || length == 1))
			appendBinaryStringInfo(&text, bytes + i, (int) length);
		i += length > 0 ? (uint32_t) length : 1;
	}
	return PointerGetDatum(cstring_to_text_with_len(text.data, text.len));
}

/* One pass over a log. */
typedef struct replay
{
	mb_turn turn;
	mb_turn_recorder recorder;
	mb_whatif_recorded recorded;
	mb_whatif *whatif; /* NULL: as it was */
	ReturnSetInfo *result;
} replay;

static void
put_time(Datum *value, bool *null, int32_t ms)
{
	*value = Int32GetDatum(ms);
	*null = ms < 0;
}

static void
put_record(void *arg, const mb_turn_record *record)
{
	const replay *r = arg;
	int32_t times[] = { record->onset,		record->speech_end,		 record->final_text,
						record->asked,		record->committed,		 record->first_piece,
						record->first_sent, record->interrupt_onset, record->interrupted,
						record->reply_end };
	uint32_t counts[] = { record->speculations, record->reopened,	  record->cut_offs,
						  record->pauses,		record->false_pauses, record->backchannels };
	Datum values[24 + MB_NOTES];
	bool nulls[lengthof(values)] = { false };
	int n = 0;

	values[n++] = Int32GetDatum((int32) record->turn);
	for (int i = 0; i < lengthof(times); i++, n++)
		put_time(&values[n], &nulls[n], i == 0 && times[0] < 0 ? 0 : times[i]);
	values[n++] = CStringGetTextDatum(mb_text_class_name(record->text_class));
	nulls[n] = record->interrupted < 0;
	values[n] = CStringGetTextDatum(mb_turn_reason_name(record->interrupt_reason));
	n++;
	for (int i = 0; i < lengthof(counts); i++)
		values[n++] = Int32GetDatum((int32) counts[i]);
	values[n++] = BoolGetDatum(record->filler);
	values[n++] = BoolGetDatum(record->apology);
	values[n++] = text_of(record->said, record->n_said);
	values[n++] = text_of(record->heard, record->n_heard);
	values[n++] = BoolGetDatum(record->heard_cut);
	for (int i = 0; i < MB_NOTES; i++)
		values[n++] = Int32GetDatum((int32) record->notes[i]);
	Assert(n == lengthof(values));
	tuplestore_putvalues(r->result->setResult, r->result->setDesc, values, nulls);
}

static void
note_decision(void *arg, const mb_turn_decision *decision)
{
	replay *r = arg;

	mb_whatif_recorded_decision(&r->recorded, decision);
	if (r->result != NULL)
		mb_turn_recorder_decision(&r->recorder, decision);
}

static void
take_as_it_was(void *arg, const mb_turn_input *input)
{
	replay *r = arg;

	if (r->result != NULL)
		mb_turn_recorder_input(&r->recorder, input, mb_turn_clock(&r->turn));
	mb_turn_input_take(&r->turn, input);
	mb_whatif_recorded_input(&r->recorded, input, &r->turn);
}

static void
note_whatif(void *arg, const mb_turn_decision *decision)
{
	replay *r = arg;

	mb_turn_recorder_decision(&r->recorder, decision);
}

static void
take_otherwise(void *arg, const mb_turn_input *input)
{
	replay *r = arg;

	mb_whatif_input(r->whatif, input);
}

/* What the made-up agent gives is an input of the record as well. */
static void
note_given(void *arg, const mb_turn_input *input, int32_t clock)
{
	replay *r = arg;

	mb_turn_recorder_input(&r->recorder, input, clock);
}

static void
run_log(Datum *records, const bool *nulls, int n, void (*take)(void *, const mb_turn_input *),
		void *arg)
{
	for (int i = 0; i < n && !nulls[i]; i++)
	{
		bytea *record = DatumGetByteaPP(records[i]);
		mb_status status;

		CHECK_FOR_INTERRUPTS();
		status = read_record(record, take, arg);
		if ((Pointer) record != DatumGetPointer(records[i]))
			pfree(record);
		if (status != MB_OK)
			break;
	}
}

/* replay_log(records, line, numbers, lists, other_numbers, other_lists) */
Datum
mulberry_replay_log(PG_FUNCTION_ARGS)
{
	replay *r = palloc0(sizeof(*r));
	mb_turn_settings settings;
	mb_turn_settings other;
	mb_line line;
	Datum *records;
	bool *nulls;
	int n;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < 4; i++)
		if (PG_ARGISNULL(i))
			return (Datum) 0;
	records = mulberry_array_elements(PG_GETARG_ARRAYTYPE_P(0), BYTEAOID, &n, &nulls);
	read_line(PG_GETARG_ARRAYTYPE_P(1), &line);
	read_settings(PG_GETARG_ARRAYTYPE_P(2), PG_GETARG_ARRAYTYPE_P(3), &settings);
	mb_whatif_recorded_init(&r->recorded, palloc(MAX_REPLIES * sizeof(mb_whatif_reply)),
							MAX_REPLIES);
	mb_turn_recorder_init(&r->recorder, put_record, r);
	mb_turn_init(&r->turn, &settings, &line, note_decision, r);
	if (PG_ARGISNULL(4))
	{
		r->result = (ReturnSetInfo *) fcinfo->resultinfo;
		run_log(records, nulls, n, take_as_it_was, r);
	}
	else
	{
		/* first what the agent did */
		run_log(records, nulls, n, take_as_it_was, r);
		r->result = (ReturnSetInfo *) fcinfo->resultinfo;
		read_settings(PG_GETARG_ARRAYTYPE_P(4),
					  PG_ARGISNULL(5) ? PG_GETARG_ARRAYTYPE_P(3) : PG_GETARG_ARRAYTYPE_P(5),
					  &other);
		r->whatif = palloc(sizeof(*r->whatif));
		mb_whatif_init(r->whatif, &other, &r->recorded, note_whatif, note_given, r);
		run_log(records, nulls, n, take_otherwise, r);
	}
	mb_turn_recorder_end(&r->recorder);
	return (Datum) 0;
}
