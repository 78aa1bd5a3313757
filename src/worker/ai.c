/*
 * ai.c
 *	  What AI jobs ask of a service, and what follows from its answer; see ai.h.
 */
#include "server/compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "server/plans.h"
#include "worker/ai.h"
#include "worker/ai_result.h"
#include "worker/audio_parts.h"
#include "worker/json_value.h"
#include "worker/kinds.h"

#define SECONDS "max_audio_seconds=" /* so a limit of an upload stands among what is refused */
#define LONGEST_INVENTION 1000		 /* bytes of what was "heard" in silence */

static mulberry_statement input_statement = {
	"SELECT call_id, encoding, sample_rate, audio, content, facts"
	" FROM mulberry_internal.transcription_input($1, ($2->>'track')::integer)",
	2,
	{ INT8OID, JSONBOID },
	NULL
};

static mulberry_statement recording_statement = {
	"SELECT call_id, encoding, sample_rate, audio, content, facts"
	" FROM mulberry_internal.recording_input(($1->>'voice_call')::bigint)",
	1,
	{ JSONBOID },
	NULL
};

static mulberry_statement test_statement = {
	"SELECT call_id, encoding, sample_rate, audio, content, facts"
	" FROM mulberry_internal.test_input()",
	0,
	{ 0 },
	NULL
};

static mulberry_statement objections_statement = {
	"SELECT mulberry_internal.note_objections($1, $2)", 2, { INT8OID, TEXTARRAYOID }, NULL
};

static int
payload_int(const mulberry_job *job, const char *name)
{
	double number;

	return job->payload && mulberry_json_number(&job->payload->root, name, &number) ? (int) number
																					: 0;
}

/* The longest piece of audio that the service takes, in s; 0: any. */
static int
longest_piece(const mulberry_job *job)
{
	int limit = job->protocol->max_audio_seconds ? job->protocol->max_audio_seconds(job) : 0;
	ListCell *cell;

	foreach (cell, job->refused)
	{
		const char *refused = lfirst(cell);

		if (strncmp(refused, SECONDS, strlen(SECONDS)) == 0)
		{
			int seconds = (int) strtol(refused + strlen(SECONDS), NULL, 10);

			limit = limit > 0 ? Min(limit, seconds) : seconds;
		}
	}
	return limit;
}

/* Where the piece of audio in hand lies in the whole. */
static void
locate_part(mulberry_job *job)
{
	job->part_start = mulberry_audio_part_start(&job->division, job->part);
	job->part_seconds = mulberry_audio_part_start(&job->division, job->part + 1) - job->part_start;
}

/* Asks for the piece of audio whose turn it is; audio that is one piece goes as it is. */
static void
ask_for_part(mulberry_job *job)
{
	mulberry_utterance utterance = { .call_id = "", .encoding = "s16le" };
	MemoryContext old;

	if (job->part_wav)
		pfree(job->part_wav);
	job->part_wav = NULL;
	utterance.sample_rate = job->division.sample_rate;
	utterance.wav = VARDATA(job->audio);
	utterance.wav_size = VARSIZE(job->audio) - VARHDRSZ;
	if (!mulberry_audio_is_whole(&job->division))
	{
		old = MemoryContextSwitchTo(job->context);
		job->part_wav = mulberry_audio_part(&job->division, job->part, &utterance.wav_size);
		utterance.wav = job->part_wav;
		MemoryContextSwitchTo(old);
	}
	job->sent_seconds = mulberry_audio_seconds(&job->division, job->part);
	locate_part(job);
	job->protocol->ask_transcript(job, &utterance);
	job->request_memory = VARSIZE(job->audio) + (job->part_wav ? utterance.wav_size : 0);
}

/* Divides audio that is too long for one request. */
static void
divide(mulberry_job *job)
{
	MemoryContext old = MemoryContextSwitchTo(job->context);

	mulberry_audio_divide(job->audio, longest_piece(job), &job->division);
	job->parts = job->division.parts;
	job->part = 0;
	job->dropped_segments = 0;
	job->heard_in_silence = NULL;
	job->text = makeStringInfo();
	MemoryContextSwitchTo(old);
}

/* Asks for the audio, piece by piece where it is long; goes on where an earlier attempt got to. */
static void
ask_in_parts(mulberry_job *job, Datum audio)
{
	MemoryContext old = MemoryContextSwitchTo(job->context);

	job->audio = (bytea *) PG_DETOAST_DATUM_COPY(audio);
	MemoryContextSwitchTo(old);
	divide(job);
	if (job->parts > 1 && payload_int(job, "part_bytes") == job->division.part_bytes)
	{
		char *text = mulberry_json_string(&job->payload->root, "text");

		job->part = Min(payload_int(job, "parts_done"), job->parts - 1);
		job->dropped_segments = payload_int(job, "dropped_segments");
		if (text)
			appendStringInfoString(job->text, text);
		text = mulberry_json_string(&job->payload->root, "heard_in_silence");
		if (text)
			job->heard_in_silence = MemoryContextStrdup(job->context, text);
	}
	mulberry_ai_note_division(job);
	ask_for_part(job);
}

pg_noreturn static void
refuse(const mulberry_job *job, const char *what_not)
{
	ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			errmsg("endpoints of kind \"%s\" %s",
				   job->endpoint_kind ? job->endpoint_kind->name : "", what_not));
}

/* What is to be transcribed, as one row. */
static uint64
read_input(mulberry_job *job)
{
	Datum payload = job->payload ? JsonbPGetDatum(job->payload) : (Datum) 0;
	Datum values[2] = { Int64GetDatum(job->call), payload };

	if (job->kind->id == MULBERRY_JOB_TEST)
		return mulberry_statement_run(&test_statement, NULL, NULL);
	if (mulberry_is_recording(job))
		return mulberry_statement_run(&recording_statement, &payload, NULL);
	return mulberry_statement_run(&input_statement, values, job->payload ? NULL : " n");
}

static bool
prepare_transcription(mulberry_job *job)
{
	mulberry_utterance utterance = { 0 };
	mulberry_ai_result r = { 0 };
	bool no_audio;
	bool isnull;
	Datum audio;
	Datum facts;
	MemoryContext old;

	if (read_input(job) != 1)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the recording does not exist"));
	utterance.call_id = mulberry_result_text(0, 1, CurrentMemoryContext);
	utterance.encoding = mulberry_result_text(0, 2, CurrentMemoryContext);
	utterance.sample_rate = mulberry_result_int32(0, 3);
	audio = mulberry_result_datum(0, 4, &no_audio);
	utterance.text = mulberry_result_text(0, 5, CurrentMemoryContext);
	facts = mulberry_result_datum(0, 6, &isnull);
	old = MemoryContextSwitchTo(job->context);
	job->facts = DatumGetJsonbPCopy(facts);
	MemoryContextSwitchTo(old);

	if (mulberry_ai_kept(job, &r) && r.said.text)
	{
		mulberry_ai_store(job, &r);
		return false;
	}
	if (no_audio && utterance.text == NULL)
	{
		mulberry_job_fail(job, MULBERRY_FAILURE_PERMANENT,
						  mulberry_is_recording(job) ? "the recording is gone"
													 : "the call has no packets",
						  0, &(mb_judgement){ .serves_others = true });
		return false;
	}
	if (utterance.text && (job->endpoint_kind == NULL || !job->endpoint_kind->takes_text))
	{
		r.said.text = unconstify(char *, utterance.text);
		mulberry_place_segments(&r.said.segments, r.said.text, NAN);
		r.segments = mulberry_segments_json(&r.said.segments, 0);
		mulberry_ai_store(job, &r);
		return false;
	}
	if (job->protocol == NULL || job->protocol->ask_transcript == NULL)
		refuse(job, "transcribe nothing");
	job->part_seconds = NAN;
	if (utterance.text == NULL && job->protocol->takes_parts)
	{
		ask_in_parts(job, audio);
		return true;
	}
	if (utterance.text == NULL)
	{
		/* a few samples come with a short header, which VARSIZE() must not meet */
		bytea *wav = DatumGetByteaP(audio);

		utterance.wav = VARDATA(wav);
		utterance.wav_size = VARSIZE(wav) - VARHDRSZ;
		mulberry_audio_divide(wav, 0, &job->division);
		job->division.parts = 1; /* it goes as a whole, however long it is */
		locate_part(job);
	}
	job->protocol->ask_transcript(job, &utterance);
	return true;
}

static bool
prepare_sentiment(mulberry_job *job)
{
	char *transcription = mulberry_json_string(&job->payload->root, "transcription");
	mulberry_ai_result r;

	if (mulberry_ai_kept(job, &r) && r.said.sentiment)
	{
		mulberry_ai_store(job, &r);
		return false;
	}
	if (job->protocol == NULL || job->protocol->ask_sentiment == NULL)
		refuse(job, "judge no sentiment");
	job->protocol->ask_sentiment(job, transcription ? transcription : "");
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
		case MULBERRY_JOB_TEST:
			return mulberry_tests_speech(job) ? prepare_transcription(job) : prepare_sentiment(job);
		case MULBERRY_JOB_SENTIMENT:
			return prepare_sentiment(job);
		case MULBERRY_JOB_CALL:
		case MULBERRY_JOB_ESCALATE:
		case MULBERRY_JOB_FETCH:
			break;
	}
	elog(ERROR, "jobs of kind \"%s\" are prepared elsewhere", job->kind->name);
}

/* Words for audio in which nobody speaks are the engine's invention; they are kept aside. */
static void
take_back_inventions(mulberry_job *job, mulberry_ai_result *r)
{
	char *words = r->said.text;

	if (job->audio == NULL || words[0] == '\0' ||
		mulberry_audio_has_speech(&job->division, job->part))
		return;
	words[pg_mbcliplen(words, (int) strlen(words), LONGEST_INVENTION)] = '\0';
	job->heard_in_silence = MemoryContextStrdup(job->context, words);
	r->said.text = pstrdup("");
}

/* What the answer says, with what the answers to earlier parts said. */
static void
read_answer(mulberry_job *job, const mulberry_http_answer *answer, mulberry_ai_result *r)
{
	Jsonb *json = mulberry_json_read(answer->body, answer->body_size);

	memset(r, 0, sizeof *r);
	r->asked = true;
	r->request_id = answer->request_id[0] ? answer->request_id : NULL;
	r->status = (int) answer->status;
	r->request_ms = answer->duration_ms;
	r->parts = job->parts;
	switch (job->kind->id)
	{
		case MULBERRY_JOB_TEST:
			if (mulberry_tests_speech(job))
				break;
			/* FALLTHROUGH */
		case MULBERRY_JOB_SENTIMENT:
			job->protocol->read_sentiment(json, &r->said);
			return;
		case MULBERRY_JOB_TRANSCRIBE:
		case MULBERRY_JOB_LISTEN:
			break;
		case MULBERRY_JOB_CALL:
		case MULBERRY_JOB_ESCALATE:
		case MULBERRY_JOB_FETCH:
			elog(ERROR, "answers to jobs of kind \"%s\" are read elsewhere", job->kind->name);
	}
	job->protocol->read_transcript(json, &r->said);
	take_back_inventions(job, r);
	mulberry_place_segments(&r->said.segments, r->said.text, job->part_seconds);
	r->segments = mulberry_segments_json(&r->said.segments, job->part_start);
	r->part = job->part;
	r->heard_in_silence = job->heard_in_silence;
	if (job->parts <= 1)
		return;
	r->said.text = job->text->len > 0 && r->said.text[0]
					   ? psprintf("%s %s", job->text->data, r->said.text)
					   : psprintf("%s%s", job->text->data, r->said.text);
	r->said.dropped_segments += job->dropped_segments;
}

/* Asks for the next part, with what there is so far kept. */
static void
next_part(mulberry_job *job, const mulberry_ai_result *r)
{
	mulberry_ai_store_part(job, r, job->part + 1);
	resetStringInfo(job->text);
	appendStringInfoString(job->text, r->said.text);
	job->dropped_segments = r->said.dropped_segments;
	job->part++;
	ask_for_part(job);
}

/* What the service was found not to take is kept for all who ask it. */
static void
note_objections(mulberry_job *job)
{
	Datum *refused = palloc(sizeof(Datum) * (list_length(job->refused) + 1));
	Datum values[2] = { Int64GetDatum(job->route) };
	ListCell *cell;
	int n = 0;

	foreach (cell, job->refused)
		refused[n++] = CStringGetTextDatum(lfirst(cell));
	values[1] = PointerGetDatum(construct_array(refused, n, TEXTOID, -1, false, TYPALIGN_INT));
	mulberry_statement_run(&objections_statement, values, NULL);
}

bool
mulberry_ai_accept(mulberry_job *job, const mulberry_http_answer *answer)
{
	mulberry_ai_result r;

	job->unstored = false;
	read_answer(job, answer, &r);
	if (job->parts > 1 && job->part + 1 < job->parts)
	{
		if (job->objected)
			note_objections(job);
		next_part(job, &r);
		job->objected = false;
		return true;
	}
	job->unstored = true;
	if (job->objected)
		note_objections(job);
	mulberry_ai_store(job, &r);
	return false;
}

bool
mulberry_ai_object(mulberry_job *job, const mulberry_http_answer *answer)
{
	mulberry_objection objection = { 0 };
	MemoryContext old;

	if (job->protocol && job->protocol->read_objection)
		objection = job->protocol->read_objection(job, answer);
	if (objection.parameter == NULL && objection.max_seconds == 0)
		return false;
	old = MemoryContextSwitchTo(job->context);
	job->refused =
		lappend(job->refused, objection.parameter ? pstrdup(objection.parameter)
												  : psprintf(SECONDS "%d", objection.max_seconds));
	MemoryContextSwitchTo(old);
	job->objected = true;
	switch (job->kind->id)
	{
		case MULBERRY_JOB_SENTIMENT:
			return prepare_sentiment(job);
		case MULBERRY_JOB_TEST:
			if (!mulberry_tests_speech(job))
				return prepare_sentiment(job);
			/* FALLTHROUGH */
		case MULBERRY_JOB_TRANSCRIBE:
		case MULBERRY_JOB_LISTEN:
			/* smaller parts are others than those that were taken, so these are asked for again */
			if (objection.parameter == NULL)
			{
				divide(job);
				mulberry_ai_note_division(job);
			}
			ask_for_part(job);
			return true;
		case MULBERRY_JOB_CALL:
		case MULBERRY_JOB_ESCALATE:
		case MULBERRY_JOB_FETCH:
			break;
	}
	elog(ERROR, "objections to jobs of kind \"%s\" are met elsewhere", job->kind->name);
}

void
mulberry_ai_keep(mulberry_job *job, const mulberry_http_answer *answer)
{
	mulberry_ai_result r;

	read_answer(job, answer, &r);
	mulberry_ai_keep_result(job, &r);
}
