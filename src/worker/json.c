/*
 * json.c
 *	  Services of kind "json": one POST with the audio or the text of a call, one JSON answer
 *	  {"transcription", "sentiment", "confidence", "segments"}; see docs/endpoints.md.
 */
#include "server/compat.h"

#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"

#include "worker/json_value.h"
#include "worker/kinds.h"
#include "worker/request.h"

/* Appends audio in base64. */
static void
append_base64(StringInfo body, const char *data, size_t size)
{
	int room = pg_b64_enc_len((int) size);
	int length;

	enlargeStringInfo(body, room + 3);
	length = pg_b64_encode((const void *) data, (int) size, body->data + body->len, room);
	if (length < 0)
		elog(ERROR, "could not encode %zu bytes of audio", size);
	body->len += length;
	body->data[body->len] = '\0';
}

/*
 * {"call_id", "encoding", "sample_rate", "audio"}, where audio is a WAV file in base64; for a text
 * call {"call_id", "encoding", "text"}.
 */
static void
ask_transcript(mulberry_job *job, const mulberry_utterance *utterance)
{
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"call_id\":");
	escape_json(&body, utterance->call_id);
	appendStringInfoString(&body, ",\"encoding\":");
	escape_json(&body, utterance->encoding);
	if (utterance->text)
	{
		appendStringInfoString(&body, ",\"text\":");
		escape_json(&body, utterance->text);
	}
	else
	{
		appendStringInfo(&body, ",\"sample_rate\":%d,\"audio\":\"", utterance->sample_rate);
		append_base64(&body, utterance->wav, utterance->wav_size);
		appendStringInfoChar(&body, '"');
	}
	if (job->model)
	{
		appendStringInfoString(&body, ",\"model\":");
		escape_json(&body, job->model);
	}
	appendStringInfoChar(&body, '}');
	mulberry_request_json(job, "", body.data);
	pfree(body.data);
}

static void
read_transcript(Jsonb *answer, mulberry_transcript *transcript)
{
	JsonbValue value;

	if (!mulberry_json_member(&answer->root, "transcription", &value) ||
		(value.type != jbvString && value.type != jbvNull) ||
		(value.type == jbvNull && mulberry_json_member(&answer->root, "error", &value) &&
		 value.type != jbvNull))
		ereport(ERROR, errcode(ERRCODE_PROTOCOL_VIOLATION),
				errmsg("it is not a JSON object with the string \"transcription\""));
	transcript->text = mulberry_json_string(&answer->root, "transcription");
	transcript->text = transcript->text ? mulberry_trim(transcript->text) : pstrdup("");
	mulberry_read_segments(&answer->root, NULL, &transcript->segments);
	mulberry_read_sentiment(&answer->root, transcript);
}

/* A report is sent as it is, once: whoever hears of it twice may act twice. */
static void
ask_report(mulberry_job *job, const char *json)
{
	mulberry_request_json(job, "", json);
	job->request.once = true;
	job->request.accept = "application/json";
}

const mulberry_protocol mulberry_json = {
	.ask_transcript = ask_transcript,
	.read_transcript = read_transcript,
	.ask_report = ask_report,
};
