/*
 * ai_result.c
 *	  Stores what an answer said; see ai_result.h.
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "server/plans.h"
#include "worker/ai_result.h"
#include "worker/json_value.h"

static mulberry_statement finish_listening_statement = {
	"SELECT mulberry_internal.finish_listening($1, $2, $3)", 3, { INT8OID, INT8OID, TEXTOID }, NULL
};

static mulberry_statement finish_transcription_statement = {
	"SELECT mulberry_internal.finish_transcription($1, $2, $3, $4, $5, $6 || jsonb_strip_nulls("
	"jsonb_build_object('model', $7, 'language', $8, 'dropped_segments', nullif($9, 0),"
	" 'request_id', $10, 'request_ms', $11, 'parts', $12, 'ignored', $13, 'heard_in_silence', "
	"$14)))",
	14,
	{ INT8OID, INT8OID, TEXTOID, TEXTOID, FLOAT8OID, JSONBOID, TEXTOID, TEXTOID, INT4OID, TEXTOID,
	  INT4OID, INT4OID, TEXTOID, TEXTOID },
	NULL
};

static mulberry_statement finish_sentiment_statement = {
	"SELECT mulberry_internal.finish_sentiment($1, $2, $3, $4, $5, $6, $7)",
	7,
	{ INT8OID, INT8OID, TEXTOID, FLOAT8OID, TEXTOID, TEXTOID, INT4OID },
	NULL
};

static mulberry_statement progress_statement = {
	"SELECT mulberry_internal.save_progress($1, $2, jsonb_strip_nulls(jsonb_build_object("
	"'parts_done', $3, 'part_bytes', $4, 'text', $5, 'dropped_segments', $6, 'heard_in_silence', "
	"$7)))",
	7,
	{ INT8OID, INT8OID, INT4OID, INT8OID, TEXTOID, INT4OID, TEXTOID },
	NULL
};

static mulberry_statement division_statement = {
	"SELECT mulberry_internal.note_division($1, $2, $3, $4, $5)",
	5,
	{ INT8OID, INT8OID, INT4OID, INT8OID, INT4OID },
	NULL
};

static mulberry_statement segments_statement = {
	"SELECT mulberry_internal.keep_segments($1, $2, $3, $4)",
	4,
	{ INT8OID, INT8OID, INT4OID, JSONBOID },
	NULL
};

static mulberry_statement keep_statement = {
	"SELECT mulberry_internal.save_progress($1, $2, jsonb_build_object('answer', jsonb_strip_nulls("
	"jsonb_build_object('text', $3, 'sentiment', $4, 'confidence', $5, 'language', $6,"
	" 'dropped_segments', $7, 'ignored', $8, 'heard_in_silence', $9, 'request_id', $10, "
	"'request_ms', $11,"
	" 'parts', $12, 'part', $13, 'segments', $14))))",
	14,
	{ INT8OID, INT8OID, TEXTOID, TEXTOID, FLOAT8OID, TEXTOID, INT4OID, TEXTOID, TEXTOID, TEXTOID,
	  INT4OID, INT4OID, INT4OID, JSONBOID },
	NULL
};

static mulberry_statement finish_test_statement = {
	"SELECT mulberry_internal.finish_test($1, $2, $3, $4, $5, $6)",
	6,
	{ INT8OID, INT8OID, INT4OID, INT4OID, TEXTOID, TEXTOID },
	NULL
};

static Datum
text_datum(const char *text, char *null)
{
	*null = text ? ' ' : 'n';
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

bool
mulberry_is_recording(const mulberry_job *job)
{
	return job->kind->id == MULBERRY_JOB_LISTEN;
}

bool
mulberry_tests_speech(const mulberry_job *job)
{
	JsonbValue text;

	return job->kind->id == MULBERRY_JOB_TEST &&
		   (job->payload == NULL ||
			!mulberry_json_member(&job->payload->root, "transcription", &text));
}

static void
finish_listening(mulberry_job *job, const mulberry_ai_result *r)
{
	Datum values[3] = { Int64GetDatum(job->id), Int64GetDatum(job->lease_token),
						CStringGetTextDatum(r->said.text) };

	mulberry_statement_run(&finish_listening_statement, values, NULL);
}

static void
store_segments(mulberry_job *job, const mulberry_ai_result *r)
{
	Datum values[4] = { Int64GetDatum(job->id), Int64GetDatum(job->lease_token),
						Int32GetDatum(r->part), JsonbPGetDatum(r->segments) };

	if (r->segments)
		mulberry_statement_run(&segments_statement, values, NULL);
}

/* Finishes a transcription; without a sentiment that is left to sentiment()'s side. */
static void
finish_transcription(mulberry_job *job, const mulberry_ai_result *r)
{
	char nulls[15] = "              ";
	Datum values[14] = { Int64GetDatum(job->id), Int64GetDatum(job->lease_token),
						 CStringGetTextDatum(r->said.text) };

	values[3] = text_datum(r->said.sentiment, &nulls[3]);
	values[4] = Float8GetDatum(r->said.confidence);
	nulls[4] = r->said.has_confidence ? ' ' : 'n';
	values[5] = JsonbPGetDatum(job->facts);
	values[6] = text_datum(r->asked ? job->model : NULL, &nulls[6]);
	values[7] = text_datum(r->said.language, &nulls[7]);
	values[8] = Int32GetDatum(r->said.dropped_segments);
	values[9] = text_datum(r->request_id, &nulls[9]);
	values[10] = Int32GetDatum(r->request_ms);
	nulls[10] = r->asked ? ' ' : 'n';
	values[11] = Int32GetDatum(r->parts);
	nulls[11] = r->parts > 1 ? ' ' : 'n';
	values[12] = text_datum(r->said.ignored, &nulls[12]);
	values[13] = text_datum(r->heard_in_silence, &nulls[13]);
	mulberry_statement_run(&finish_transcription_statement, values, nulls);
}

static void
finish_sentiment(mulberry_job *job, const mulberry_ai_result *r)
{
	char nulls[8] = "       ";
	Datum values[7] = { Int64GetDatum(job->id), Int64GetDatum(job->lease_token) };

	values[2] = text_datum(r->said.sentiment, &nulls[2]);
	values[3] = Float8GetDatum(r->said.confidence);
	nulls[3] = r->said.has_confidence ? ' ' : 'n';
	values[4] = text_datum(job->model, &nulls[4]);
	values[5] = text_datum(r->request_id, &nulls[5]);
	values[6] = Int32GetDatum(r->request_ms);
	mulberry_statement_run(&finish_sentiment_statement, values, nulls);
}

void
mulberry_ai_report_test(mulberry_job *job, int status, int duration_ms, const char *answer,
						const char *error)
{
	char nulls[7] = "      ";
	Datum values[6] = { Int64GetDatum(job->id), Int64GetDatum(job->lease_token),
						Int32GetDatum(status), Int32GetDatum(duration_ms) };

	nulls[3] = duration_ms < 0 ? 'n' : ' ';
	values[4] = text_datum(answer, &nulls[4]);
	values[5] = text_datum(error, &nulls[5]);
	mulberry_statement_run(&finish_test_statement, values, nulls);
}

void
mulberry_ai_store(mulberry_job *job, const mulberry_ai_result *r)
{
	switch (job->kind->id)
	{
		case MULBERRY_JOB_LISTEN:
			finish_listening(job, r);
			return;
		case MULBERRY_JOB_TRANSCRIBE:
			store_segments(job, r);
			finish_transcription(job, r);
			return;
		case MULBERRY_JOB_SENTIMENT:
			finish_sentiment(job, r);
			return;
		case MULBERRY_JOB_TEST:
			mulberry_ai_report_test(job, r->status, r->request_ms,
									mulberry_tests_speech(job) ? r->said.text : r->said.sentiment,
									NULL);
			return;
		case MULBERRY_JOB_CALL:
		case MULBERRY_JOB_ESCALATE:
		case MULBERRY_JOB_FETCH:
			break;
	}
	elog(ERROR, "results of jobs of kind \"%s\" are stored elsewhere", job->kind->name);
}

bool
mulberry_ai_kept(mulberry_job *job, mulberry_ai_result *r)
{
	JsonbValue value;
	JsonbContainer *kept;
	double number;

	if (job->payload == NULL || !mulberry_json_member(&job->payload->root, "answer", &value) ||
		(kept = mulberry_json_container(&value)) == NULL)
		return false;
	memset(r, 0, sizeof *r);
	r->asked = true;
	r->said.text = mulberry_json_string(kept, "text");
	r->said.sentiment = mulberry_json_string(kept, "sentiment");
	r->said.has_confidence = mulberry_json_number(kept, "confidence", &r->said.confidence);
	r->said.language = mulberry_json_string(kept, "language");
	r->said.ignored = mulberry_json_string(kept, "ignored");
	r->heard_in_silence = mulberry_json_string(kept, "heard_in_silence");
	r->request_id = mulberry_json_string(kept, "request_id");
	if (mulberry_json_number(kept, "dropped_segments", &number))
		r->said.dropped_segments = (int) number;
	if (mulberry_json_number(kept, "request_ms", &number))
		r->request_ms = (int) number;
	if (mulberry_json_number(kept, "parts", &number))
		r->parts = (int) number;
	if (mulberry_json_number(kept, "part", &number))
		r->part = (int) number;
	if (mulberry_json_member(kept, "segments", &value))
		r->segments = JsonbValueToJsonb(&value);
	return true;
}

void
mulberry_ai_note_division(mulberry_job *job)
{
	Datum values[5] = { Int64GetDatum(job->id), Int64GetDatum(job->lease_token),
						Int32GetDatum(job->parts), Int64GetDatum(job->division.part_bytes),
						Int32GetDatum(job->part) };

	if (job->parts > 1)
		mulberry_statement_run(&division_statement, values, NULL);
}

void
mulberry_ai_store_part(mulberry_job *job, const mulberry_ai_result *r, int parts_done)
{
	char nulls[8] = "       ";
	Datum values[7] = { Int64GetDatum(job->id),
						Int64GetDatum(job->lease_token),
						Int32GetDatum(parts_done),
						Int64GetDatum(job->division.part_bytes),
						CStringGetTextDatum(r->said.text),
						Int32GetDatum(r->said.dropped_segments) };

	if (!mulberry_is_recording(job))
		store_segments(job, r);
	values[6] = text_datum(r->heard_in_silence, &nulls[6]);
	mulberry_statement_run(&progress_statement, values, nulls);
}

void
mulberry_ai_keep_result(mulberry_job *job, const mulberry_ai_result *r)
{
	char nulls[15] = "              ";
	Datum values[14] = { Int64GetDatum(job->id), Int64GetDatum(job->lease_token) };

	values[2] = text_datum(r->said.text, &nulls[2]);
	values[3] = text_datum(r->said.sentiment, &nulls[3]);
	values[4] = Float8GetDatum(r->said.confidence);
	nulls[4] = r->said.has_confidence ? ' ' : 'n';
	values[5] = text_datum(r->said.language, &nulls[5]);
	values[6] = Int32GetDatum(r->said.dropped_segments);
	values[7] = text_datum(r->said.ignored, &nulls[7]);
	values[8] = text_datum(r->heard_in_silence, &nulls[8]);
	values[9] = text_datum(r->request_id, &nulls[9]);
	values[10] = Int32GetDatum(r->request_ms);
	values[11] = Int32GetDatum(r->parts);
	nulls[11] = r->parts > 1 ? ' ' : 'n';
	values[12] = Int32GetDatum(r->part);
	values[13] = JsonbPGetDatum(r->segments);
	nulls[13] = r->segments ? ' ' : 'n';
	mulberry_statement_run(&keep_statement, values, nulls);
}
