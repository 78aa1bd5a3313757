/*
 * ai.c
 *	  What AI jobs ask of a service, and what they make of its answer; see ai.h.
 *
 * Requests follow the OpenAI API (POST /audio/transcriptions as
 * multipart/form-data, POST /chat/completions as JSON), or the kind "json" as
 * docs/endpoints.md describes it.  Answers are validated in SQL by
 * read_transcription() and read_sentiment().
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "core/audio/wav.h"
#include "server/guc.h"
#include "worker/ai.h"
#include "worker/audio_parts.h"
#include "worker/statement.h"
#include "worker/verdict.h"

static mulberry_statement input_statement = {
	"SELECT call_id, encoding, sample_rate, audio, content, facts"
	" FROM mulberry_internal.transcription_input($1)",
	1,
	{ INT8OID },
	NULL
};

static mulberry_statement recording_statement = {
	"SELECT call_id, encoding, sample_rate, audio, content, facts"
	" FROM mulberry_internal.recording_input(($1->>'voice_call')::bigint)",
	1,
	{ JSONBOID },
	NULL
};

static mulberry_statement finish_listening_statement = {
	"SELECT mulberry_internal.finish_listening($1, $2, $3)", 3, { INT8OID, INT8OID, TEXTOID }, NULL
};

static mulberry_statement read_transcription_statement = {
	"SELECT transcription, sentiment, confidence, language, dropped_segments"
	" FROM mulberry_internal.read_transcription($1, $2)",
	2,
	{ TEXTOID, JSONBOID },
	NULL
};

static mulberry_statement finish_transcription_statement = {
	"SELECT mulberry_internal.finish_transcription($1, $2, $3, $4, $5, $6 || jsonb_strip_nulls("
	"jsonb_build_object('model', $7, 'language', $8, 'dropped_segments', nullif($9, 0),"
	" 'request_id', $10, 'request_ms', $11, 'parts', $12)))",
	12,
	{ INT8OID, INT8OID, TEXTOID, TEXTOID, FLOAT8OID, JSONBOID, TEXTOID, TEXTOID, INT4OID, TEXTOID,
	  INT4OID, INT4OID },
	NULL
};

static mulberry_statement progress_statement = {
	"SELECT mulberry_internal.save_progress($1, $2, jsonb_build_object("
	"'parts_done', $3, 'part_bytes', $4, 'text', $5, 'dropped_segments', $6))",
	6,
	{ INT8OID, INT8OID, INT4OID, INT8OID, TEXTOID, INT4OID },
	NULL
};

static mulberry_statement sentiment_request_statement = {
	"SELECT mulberry_internal.sentiment_request($1, $2->>'transcription', $3)",
	3,
	{ TEXTOID, JSONBOID, JSONBOID },
	NULL
};

static mulberry_statement finish_sentiment_statement = {
	"SELECT mulberry_internal.finish_sentiment($1, $2, s.sentiment, s.confidence, $4, $5, $6)"
	" FROM mulberry_internal.read_sentiment($3) AS s",
	6,
	{ INT8OID, INT8OID, JSONBOID, TEXTOID, TEXTOID, INT4OID },
	NULL
};

/* Whether a call that is "json" shows it as text or as sound. */
typedef struct transcription_input
{
	char *call_id;
	char *encoding;
	int sample_rate;
	bytea *audio;  /* WAV, PCM16, one channel, with a long header; NULL for text or nothing */
	char *content; /* of a text call; NULL otherwise */
} transcription_input;

/* Copies text to UTF-8 in the given context. */
static char *
to_utf8(const char *text, MemoryContext context)
{
	char *converted = pg_server_to_any(text, (int) strlen(text), PG_UTF8);

	return MemoryContextStrdup(context, converted);
}

/* A string, number or boolean of an object as text; NULL when absent or null. */
static char *
option_text(Jsonb *options, const char *key)
{
	JsonbValue buffer;
	JsonbValue *value;

	if (options == NULL)
		return NULL;
	value = getKeyJsonValueFromContainer(&options->root, key, (int) strlen(key), &buffer);
	if (value == NULL)
		return NULL;
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}

static int
option_int(Jsonb *options, const char *key, int otherwise)
{
	char *text = option_text(options, key);

	return text ? (int) strtol(text, NULL, 10) : otherwise;
}

static void
set_url(mulberry_job *job, const char *path)
{
	MemoryContext old = MemoryContextSwitchTo(job->context);

	job->request.url = psprintf("%s%s", job->base_url, path);
	MemoryContextSwitchTo(old);
}

/* The parts of the request that do not depend on what is asked. */
static void
set_limits(mulberry_job *job)
{
	job->request.timeout_ms = job->timeout_ms;
	job->request.allow_http = job->allow_http;
	job->request.allow_private = job->allow_private;
	job->request.max_response = (size_t) mulberry_max_response_size;
	job->request.owner = job;
}

/* True for the recording of a telephone call that we placed: its words are all that is wanted. */
static bool
is_recording(const mulberry_job *job)
{
	return job->kind->id == MULBERRY_JOB_LISTEN;
}

static void
finish_listening(mulberry_job *job, const char *transcription)
{
	Datum values[3] = { Int64GetDatum(job->id), Int64GetDatum(job->lease_token),
						CStringGetTextDatum(transcription) };

	mulberry_statement_run(&finish_listening_statement, values, NULL);
}

/* Finishes a transcription; sentiment NULL leaves it to sentiment()'s side. */
static void
finish_transcription(mulberry_job *job, const char *transcription, const char *sentiment,
					 bool has_confidence, double confidence, const char *language,
					 int dropped_segments, const mulberry_http_answer *answer)
{
	char nulls[13] = "            ";
	Datum values[12] = { Int64GetDatum(job->id),
						 Int64GetDatum(job->lease_token),
						 CStringGetTextDatum(transcription),
						 sentiment ? CStringGetTextDatum(sentiment) : (Datum) 0,
						 Float8GetDatum(confidence),
						 JsonbPGetDatum(job->facts),
						 job->model ? CStringGetTextDatum(job->model) : (Datum) 0,
						 language ? CStringGetTextDatum(language) : (Datum) 0,
						 Int32GetDatum(dropped_segments),
						 answer && answer->request_id[0] ? CStringGetTextDatum(answer->request_id)
														 : (Datum) 0,
						 Int32GetDatum(answer ? answer->duration_ms : 0),
						 Int32GetDatum(job->parts) };

	nulls[3] = sentiment ? ' ' : 'n';
	nulls[4] = has_confidence ? ' ' : 'n';
	nulls[6] = job->model && answer ? ' ' : 'n';
	nulls[7] = language ? ' ' : 'n';
	nulls[9] = answer && answer->request_id[0] ? ' ' : 'n';
	nulls[10] = answer ? ' ' : 'n';
	nulls[11] = job->parts > 1 ? ' ' : 'n';
	mulberry_statement_run(&finish_transcription_statement, values, nulls);
}

/*
 * POST {base}/audio/transcriptions with the whole WAV, or with the part of it
 * whose turn it is.
 */
static void
make_openai_request(mulberry_job *job, const char *wav, size_t size)
{
	static const char *const optional[] = { "language", "prompt", "temperature" };
	MemoryContext old = MemoryContextSwitchTo(job->context);
	mulberry_http_part *parts = palloc0(sizeof(mulberry_http_part) * (3 + lengthof(optional)));
	char *format = option_text(job->options, "response_format");
	int n = 0;

	/* gpt-4o-transcribe and its kin know no verbose_json */
	if (format == NULL)
		format = job->model && strncmp(job->model, "gpt-4o", 6) == 0 ? "json" : "verbose_json";

	parts[n++] = (mulberry_http_part){ "file", "call.wav", "audio/wav", wav, size };
	if (job->model)
		parts[n++] = (mulberry_http_part){ "model", NULL, NULL, job->model, strlen(job->model) };
	parts[n++] = (mulberry_http_part){ "response_format", NULL, NULL, format, strlen(format) };
	for (int i = 0; i < lengthof(optional); i++)
	{
		char *value = option_text(job->options, optional[i]);

		if (value == NULL)
			continue;
		value = to_utf8(value, job->context);
		parts[n++] = (mulberry_http_part){ optional[i], NULL, NULL, value, strlen(value) };
	}
	job->request.parts = parts;
	job->request.nparts = n;
	job->request_memory = size;
	if (job->request.url == NULL)
		set_url(job, "/audio/transcriptions");
	MemoryContextSwitchTo(old);
}

/* Makes the request for part job->part of long audio. */
static void
make_part_request(mulberry_job *job)
{
	MemoryContext old = MemoryContextSwitchTo(job->context);
	size_t size;
	char *wav;

	if (job->part_wav)
		pfree(job->part_wav);
	wav = mulberry_audio_part(&job->division, job->part, &size);
	job->part_wav = wav;
	MemoryContextSwitchTo(old);
	make_openai_request(job, wav, size);
	job->request_memory = VARSIZE(job->audio) + size;
}

/*
 * Divides audio that is too long for one request, and goes on where an earlier
 * attempt got to.
 */
static void
prepare_openai_audio(mulberry_job *job, transcription_input *input)
{
	MemoryContext old = MemoryContextSwitchTo(job->context);
	int max_seconds = option_int(job->options, "max_audio_seconds", 0);

	job->audio = (bytea *) PG_DETOAST_DATUM_COPY(PointerGetDatum(input->audio));
	mulberry_audio_divide(job->audio, max_seconds, &job->division);
	job->parts = job->division.parts;
	MemoryContextSwitchTo(old);

	if (job->parts <= 1)
	{
		make_openai_request(job, VARDATA(job->audio), VARSIZE(job->audio) - VARHDRSZ);
		return;
	}
	old = MemoryContextSwitchTo(job->context);
	job->text = makeStringInfo();
	MemoryContextSwitchTo(old);
	if (option_int(job->payload, "part_bytes", 0) == job->division.part_bytes)
	{
		char *text = option_text(job->payload, "text");

		job->part = Min(option_int(job->payload, "parts_done", 0), job->parts - 1);
		job->dropped_segments = option_int(job->payload, "dropped_segments", 0);
		if (text)
			appendStringInfoString(job->text, text);
	}
	make_part_request(job);
}

/*
 * POST {base} with {"call_id", "encoding", "sample_rate", "audio"}, where
 * audio is a WAV file in base64; for a text call {"call_id", "encoding", "text"}.
 */
static void
make_json_request(mulberry_job *job, transcription_input *input)
{
	StringInfoData body;
	MemoryContext old;
	char *utf8;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"call_id\":");
	escape_json(&body, input->call_id);
	appendStringInfoString(&body, ",\"encoding\":");
	escape_json(&body, input->encoding);
	if (input->content)
	{
		appendStringInfoString(&body, ",\"text\":");
		escape_json(&body, input->content);
	}
	else
	{
		int size = VARSIZE(input->audio) - VARHDRSZ;
		int encoded = pg_b64_enc_len(size);

		appendStringInfo(&body, ",\"sample_rate\":%d,\"audio\":\"", input->sample_rate);
		enlargeStringInfo(&body, encoded + 3);
		encoded = pg_b64_encode((const void *) VARDATA(input->audio), size, body.data + body.len,
								encoded);
		if (encoded < 0)
			elog(ERROR, "could not encode %d bytes of audio", size);
		body.len += encoded;
		body.data[body.len] = '\0';
		appendStringInfoChar(&body, '"');
	}
	if (job->model)
	{
		appendStringInfoString(&body, ",\"model\":");
		escape_json(&body, job->model);
	}
	appendStringInfoChar(&body, '}');

	utf8 = pg_server_to_any(body.data, body.len, PG_UTF8);
	old = MemoryContextSwitchTo(job->context);
	job->request.body = utf8 == body.data ? pnstrdup(body.data, body.len) : pstrdup(utf8);
	MemoryContextSwitchTo(old);
	job->request.body_size = utf8 == body.data ? (size_t) body.len : strlen(utf8);
	job->request.content_type = "application/json";
	job->request_memory = job->request.body_size;
	set_url(job, "");
}

static bool
prepare_transcription(mulberry_job *job)
{
	Datum values[1];
	transcription_input input = { 0 };
	bool isnull;
	Datum datum;
	MemoryContext old;

	values[0] = is_recording(job) ? JsonbPGetDatum(job->payload) : Int64GetDatum(job->call);
	if (mulberry_statement_run(is_recording(job) ? &recording_statement : &input_statement, values,
							   NULL) != 1)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the recording does not exist"));
	input.call_id = mulberry_result_text(0, 1, CurrentMemoryContext);
	input.encoding = mulberry_result_text(0, 2, CurrentMemoryContext);
	input.sample_rate = mulberry_result_int32(0, 3);
	datum = mulberry_result_datum(0, 4, &isnull);
	/* a few samples come with a short header, which VARSIZE() must not meet */
	input.audio = isnull ? NULL : DatumGetByteaP(datum);
	input.content = mulberry_result_text(0, 5, CurrentMemoryContext);
	datum = mulberry_result_datum(0, 6, &isnull);
	old = MemoryContextSwitchTo(job->context);
	job->facts = DatumGetJsonbPCopy(datum);
	MemoryContextSwitchTo(old);

	if (input.audio == NULL && input.content == NULL)
	{
		mulberry_job_fail(job, MULBERRY_FAILURE_PERMANENT,
						  is_recording(job) ? "the recording is gone" : "the call has no packets",
						  0);
		return false;
	}
	if (input.content && (job->endpoint_kind == NULL || !job->endpoint_kind->takes_text))
	{
		finish_transcription(job, input.content, NULL, false, 0, NULL, 0, NULL);
		return false;
	}
	if (job->endpoint_kind == NULL)
		elog(ERROR, "the kind of endpoint \"%s\" is not known", job->endpoint);
	set_limits(job);
	switch (job->endpoint_kind->id)
	{
		case MULBERRY_ENDPOINT_OPENAI:
			prepare_openai_audio(job, &input);
			return true;
		case MULBERRY_ENDPOINT_JSON:
			make_json_request(job, &input);
			return true;
		case MULBERRY_ENDPOINT_TWILIO:
			break;
	}
	elog(ERROR, "endpoints of kind \"%s\" transcribe nothing", job->endpoint_kind->name);
}

static bool
prepare_sentiment(mulberry_job *job)
{
	char nulls[4] = "   ";
	Datum values[3] = { job->model ? CStringGetTextDatum(job->model) : (Datum) 0,
						JsonbPGetDatum(job->payload), JsonbPGetDatum(job->options) };
	char *body;

	nulls[0] = job->model ? ' ' : 'n';
	mulberry_statement_run(&sentiment_request_statement, values, nulls);
	body = mulberry_result_text(0, 1, CurrentMemoryContext);
	set_limits(job);
	job->request.body = to_utf8(body, job->context);
	job->request.body_size = strlen(job->request.body);
	job->request.content_type = "application/json";
	job->request_memory = job->request.body_size;
	set_url(job, "/chat/completions");
	return true;
}

bool
mulberry_ai_prepare(mulberry_job *job)
{
	switch (job->kind->id)
	{
		case MULBERRY_JOB_TRANSCRIBE:
		case MULBERRY_JOB_LISTEN:
			return prepare_transcription(job);
		case MULBERRY_JOB_SENTIMENT:
			return prepare_sentiment(job);
		case MULBERRY_JOB_CALL:
		case MULBERRY_JOB_ESCALATE:
			break;
	}
	elog(ERROR, "jobs of kind \"%s\" are prepared elsewhere", job->kind->name);
}

/* A part of long audio was transcribed: true when another follows. */
static bool
accept_part(mulberry_job *job, const char *transcription, int dropped_segments)
{
	Datum values[6];

	if (job->text->len > 0 && transcription[0])
		appendStringInfoChar(job->text, ' ');
	appendStringInfoString(job->text, transcription);
	job->dropped_segments += dropped_segments;
	if (job->part + 1 >= job->parts)
		return false;

	values[0] = Int64GetDatum(job->id);
	values[1] = Int64GetDatum(job->lease_token);
	values[2] = Int32GetDatum(job->part + 1);
	values[3] = Int64GetDatum(job->division.part_bytes);
	values[4] = CStringGetTextDatum(job->text->data);
	values[5] = Int32GetDatum(job->dropped_segments);
	mulberry_statement_run(&progress_statement, values, NULL);
	job->part++;
	return true;
}

static bool
accept_transcription(mulberry_job *job, Datum body, const mulberry_http_answer *answer)
{
	Datum values[2] = { CStringGetTextDatum(job->endpoint_kind->name), body };
	char *transcription;
	char *sentiment;
	char *language;
	double confidence;
	bool no_confidence;
	Datum datum;
	int dropped_segments;

	mulberry_statement_run(&read_transcription_statement, values, NULL);
	transcription = mulberry_result_text(0, 1, CurrentMemoryContext);
	sentiment = mulberry_result_text(0, 2, CurrentMemoryContext);
	datum = mulberry_result_datum(0, 3, &no_confidence);
	confidence = no_confidence ? 0 : DatumGetFloat8(datum);
	language = mulberry_result_text(0, 4, CurrentMemoryContext);
	dropped_segments = mulberry_result_int32(0, 5);

	if (job->parts > 1)
	{
		if (accept_part(job, transcription, dropped_segments))
		{
			make_part_request(job);
			return true;
		}
		transcription = job->text->data;
		dropped_segments = job->dropped_segments;
	}
	if (is_recording(job))
		finish_listening(job, transcription);
	else
		finish_transcription(job, transcription, sentiment, !no_confidence, confidence, language,
							 dropped_segments, answer);
	return false;
}

static void
accept_sentiment(mulberry_job *job, Datum body, const mulberry_http_answer *answer)
{
	char nulls[7] = "      ";
	Datum values[6] = { Int64GetDatum(job->id),
						Int64GetDatum(job->lease_token),
						body,
						job->model ? CStringGetTextDatum(job->model) : (Datum) 0,
						CStringGetTextDatum(answer->request_id),
						Int32GetDatum(answer->duration_ms) };

	nulls[3] = job->model ? ' ' : 'n';
	nulls[4] = answer->request_id[0] ? ' ' : 'n';
	mulberry_statement_run(&finish_sentiment_statement, values, nulls);
}

bool
mulberry_ai_accept(mulberry_job *job, const mulberry_http_answer *answer)
{
	char *text = mulberry_body_to_text(answer->body, answer->body_size);
	Datum body = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));

	switch (job->kind->id)
	{
		case MULBERRY_JOB_TRANSCRIBE:
		case MULBERRY_JOB_LISTEN:
			return accept_transcription(job, body, answer);
		case MULBERRY_JOB_SENTIMENT:
			accept_sentiment(job, body, answer);
			return false;
		case MULBERRY_JOB_CALL:
		case MULBERRY_JOB_ESCALATE:
			break;
	}
	elog(ERROR, "answers to jobs of kind \"%s\" are taken elsewhere", job->kind->name);
}
