/*
 * kinds.c
 *	  The kinds of jobs and of endpoints, and how SQL reads them; see kinds.h.
 */
#include "server/compat.h"

#include "catalog/pg_collation.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "jobs/kinds.h"
#include "metrics/metric_kinds.h"
#include "server/row.h"

PG_FUNCTION_INFO_V1(mulberry_job_kinds);
PG_FUNCTION_INFO_V1(mulberry_job_kind_sql);
PG_FUNCTION_INFO_V1(mulberry_job_purpose);
PG_FUNCTION_INFO_V1(mulberry_endpoint_kinds);
PG_FUNCTION_INFO_V1(mulberry_endpoint_kind_sql);
PG_FUNCTION_INFO_V1(mulberry_endpoint_serves);

/* An endpoint may serve it for whoever asks for it; others must be named. */
static const struct
{
	const char *name;
	bool may_be_default;
} purposes[] = {
	[MULBERRY_TRANSCRIPTION] = { "transcription", true },
	[MULBERRY_CHAT] = { "chat", true },
	[MULBERRY_TELEPHONY] = { "telephony", true },
	[MULBERRY_ESCALATION] = { "escalation", false },
	[MULBERRY_LISTEN] = { "listen", true },
	[MULBERRY_SPEAK] = { "speak", true },
	[MULBERRY_REPLY] = { "reply", true },
};
StaticAssertDecl(lengthof(purposes) == MULBERRY_PURPOSES, "every purpose has a definition");

static const char *const subjects[] = {
	[MULBERRY_ABOUT_CALL] = "call",			[MULBERRY_ABOUT_VOICE_CALL] = "voice_call",
	[MULBERRY_ABOUT_COMMAND] = "command",	[MULBERRY_ABOUT_RECORDING] = "recording",
	[MULBERRY_ABOUT_ENDPOINT] = "endpoint",
};
StaticAssertDecl(lengthof(subjects) == MULBERRY_JOB_SUBJECTS, "every subject has a name");

static const mulberry_job_kind job_kinds[] = {
	{
		.id = MULBERRY_JOB_TRANSCRIBE,
		.name = "transcribe",
		.purpose = MULBERRY_TRANSCRIPTION,
		.subject = MULBERRY_ABOUT_CALL,
		.text_is_result = true,
		.retriable = true,
		.meaning = "transcribes a completed call",
	},
	{
		.id = MULBERRY_JOB_SENTIMENT,
		.name = "sentiment",
		.purpose = MULBERRY_CHAT,
		.subject = MULBERRY_ABOUT_CALL,
		.retriable = true,
		.meaning = "judges the sentiment of a transcript",
	},
	{
		.id = MULBERRY_JOB_CALL,
		.name = "call",
		.purpose = MULBERRY_TELEPHONY,
		.subject = MULBERRY_ABOUT_VOICE_CALL,
		.decided_in_sql = true,
		.no_failures = true,
		.meaning = "places a telephone call, follows it to its end and fetches its recording",
	},
	{
		.id = MULBERRY_JOB_LISTEN,
		.name = "listen",
		.purpose = MULBERRY_TRANSCRIPTION,
		.subject = MULBERRY_ABOUT_VOICE_CALL,
		.meaning = "transcribes the recording of a telephone call that we placed",
	},
	{
		.id = MULBERRY_JOB_ESCALATE,
		.name = "escalate",
		.purpose = MULBERRY_ESCALATION,
		.subject = MULBERRY_ABOUT_COMMAND,
		.retriable = true,
		.persistent = true,
		.decided_in_sql = true,
		.meaning =
			"tells an endpoint that a person must act: nobody confirmed a command, or it is an "
			"emergency",
	},
	{
		.id = MULBERRY_JOB_FETCH,
		.name = "fetch",
		.purpose = MULBERRY_TELEPHONY,
		.subject = MULBERRY_ABOUT_RECORDING,
		.retriable = true,
		.decided_in_sql = true,
		.meaning = "fetches the recording of a telephone call that came in, and has it transcribed",
	},
	{
		.id = MULBERRY_JOB_TEST,
		.name = "test",
		.purpose = MULBERRY_TRANSCRIPTION,
		.subject = MULBERRY_ABOUT_ENDPOINT,
		.meaning = "sends two seconds of speech to an endpoint, for test_endpoint()",
	},
};
StaticAssertDecl(lengthof(job_kinds) == MULBERRY_JOB_KINDS, "every kind of job has a definition");

static const mulberry_endpoint_kind endpoint_kinds[] = {
	{
		.id = MULBERRY_ENDPOINT_OPENAI,
		.name = "openai",
		.paths = "audio/transcriptions audio/translations audio/speech chat/completions completions"
				 " responses embeddings realtime",
		.nservices = 5,
		.services = { { .purpose = MULBERRY_TRANSCRIPTION,
						.options = "language prompt temperature response_format max_audio_seconds"
								   " utterances" },
					  { .purpose = MULBERRY_CHAT,
						.needs_model = true,
						.options = "prompt temperature" },
					  { .purpose = MULBERRY_LISTEN,
						.options = "streaming language prompt temperature response_format" },
					  { .purpose = MULBERRY_SPEAK, .options = "voice" },
					  { .purpose = MULBERRY_REPLY,
						.needs_model = true,
						.options = "temperature max_tokens max_completion_tokens reasoning_effort"
								   " service_tier" } },
		.meaning = "a server of the OpenAI API: audio/transcriptions, chat/completions, "
				   "audio/speech and realtime transcription",
	},
	{
		.id = MULBERRY_ENDPOINT_JSON,
		.name = "json",
		.takes_text = true,
		.nservices = 2,
		.services = { { .purpose = MULBERRY_TRANSCRIPTION, .options = "" },
					  { .purpose = MULBERRY_ESCALATION, .options = "" } },
		.meaning = "one POST of a JSON object, answered by one",
	},
	{
		.id = MULBERRY_ENDPOINT_TWILIO,
		.name = "twilio",
		.default_url = "https://api.twilio.com",
		.paths = "2010-04-01/Accounts 2010-04-01",
		.nservices = 1,
		.services = { { .purpose = MULBERRY_TELEPHONY,
						.options =
							"account_sid api_key_sid api_key_secret from public_url "
							"machine_detection"
							" call_timeout time_limit repetitions announcement language voice"
							" record delete_recordings poll_interval previous_secret" } },
		.meaning = "Twilio's REST API of 2010-04-01",
	},
	{
		.id = MULBERRY_ENDPOINT_DEEPGRAM,
		.name = "deepgram",
		.default_url = "https://api.deepgram.com/v1",
		.paths = "listen",
		.nservices = 1,
		.services = { { .purpose = MULBERRY_LISTEN,
						.options = "version endpointing eot_threshold eager_eot_threshold" } },
		.meaning = "Deepgram's streaming recognition, v1 or v2, and those of its form such as "
				   "mulberry-speech",
	},
	{
		.id = MULBERRY_ENDPOINT_ELEVENLABS,
		.name = "elevenlabs",
		.default_url = "https://api.elevenlabs.io/v1",
		.paths = "text-to-speech speech-to-text",
		.nservices = 2,
		.services = { { .purpose = MULBERRY_SPEAK, .options = "voice socket" },
					  { .purpose = MULBERRY_LISTEN, .options = "" } },
		.meaning = "ElevenLabs' streams of speech, both ways",
	},
};
StaticAssertDecl(lengthof(endpoint_kinds) == MULBERRY_ENDPOINT_KINDS,
				 "every kind of endpoint has a definition");

static const char *
job_kind_name(int i)
{
	return i < lengthof(job_kinds) ? job_kinds[i].name : NULL;
}

/* What jobs are counted by. */
void
mulberry_job_kinds_init(void)
{
	mulberry_metric_label_values(MULBERRY_METRIC_JOBS, 0, job_kind_name);
	mulberry_metric_label_values(MULBERRY_METRIC_JOB_SECONDS, 0, job_kind_name);
}

const char *
mulberry_purpose_name(mulberry_purpose purpose)
{
	return purposes[purpose].name;
}

const mulberry_job_kind *
mulberry_job_kind_by_name(const char *name)
{
	for (int i = 0; i < lengthof(job_kinds); i++)
		if (strcmp(job_kinds[i].name, name) == 0)
			return &job_kinds[i];
	return NULL;
}

const mulberry_endpoint_kind *
mulberry_endpoint_kind_by_name(const char *name)
{
	for (int i = 0; i < lengthof(endpoint_kinds); i++)
		if (strcmp(endpoint_kinds[i].name, name) == 0)
			return &endpoint_kinds[i];
	return NULL;
}

/* Of the service with that purpose, NULL: there is none.  Purpose NULL: that of no particular one. */
static const mulberry_service *
find_service(const mulberry_endpoint_kind *kind, const char *purpose)
{
	if (purpose == NULL)
		return &kind->services[0];
	for (int i = 0; i < kind->nservices; i++)
		if (strcmp(purposes[kind->services[i].purpose].name, purpose) == 0)
			return &kind->services[i];
	return NULL;
}

/* Appends one of n words: "openai, json and twilio". */
static void
append_word(StringInfo words, const char *word, int i, int n)
{
	appendStringInfo(words, "%s%s", i == 0 ? "" : i < n - 1 ? ", " : " and ", word);
}

pg_noreturn static void
refuse_endpoint_kind(const char *name)
{
	StringInfoData words;

	initStringInfo(&words);
	for (int i = 0; i < lengthof(endpoint_kinds); i++)
		append_word(&words, endpoint_kinds[i].name, i, lengthof(endpoint_kinds));
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unknown kind \"%s\" of an endpoint", name),
					errdetail("Kinds are %s.", words.data)));
}

pg_noreturn static void
refuse_purpose(const char *name)
{
	StringInfoData words;
	int n = 0;
	int i = 0;

	initStringInfo(&words);
	for (int k = 0; k < lengthof(purposes); k++)
		n += purposes[k].may_be_default;
	for (int k = 0; k < lengthof(purposes); k++)
		if (purposes[k].may_be_default)
			append_word(&words, purposes[k].name, i++, n);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown purpose \"%s\" of an endpoint", name),
			 errdetail("Purposes are %s; null for an endpoint that only jobs use that name it.",
					   words.data)));
}

/* Names the kinds that do serve it. */
pg_noreturn static void
refuse_service(const mulberry_endpoint_kind *kind, const char *purpose)
{
	StringInfoData words;
	int n = 0;
	int i = 0;

	initStringInfo(&words);
	for (int k = 0; k < lengthof(endpoint_kinds); k++)
		n += find_service(&endpoint_kinds[k], purpose) != NULL;
	for (int k = 0; k < lengthof(endpoint_kinds); k++)
		if (find_service(&endpoint_kinds[k], purpose))
			append_word(&words, endpoint_kinds[k].name, i++, n);
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("an endpoint of kind %s cannot serve %s", kind->name, purpose),
					errdetail("Kinds that serve %s: %s.", purpose, words.data)));
}

static bool
may_be_default(const char *purpose)
{
	for (int i = 0; i < lengthof(purposes); i++)
		if (strcmp(purposes[i].name, purpose) == 0)
			return purposes[i].may_be_default;
	return false;
}

/* Words with spaces between as text[]. */
static Datum
words_to_array(const char *words)
{
	Datum array = CStringGetTextDatum(words);

	return DirectFunctionCall2Coll(text_to_array, DEFAULT_COLLATION_OID, array,
								   CStringGetTextDatum(" "));
}

static void
add_job_properties(mulberry_row *row, const mulberry_job_kind *kind)
{
	mulberry_row_add_text(row, purposes[kind->purpose].name);
	mulberry_row_add_text(row, subjects[kind->subject]);
	mulberry_row_add(row, BoolGetDatum(kind->text_is_result));
	mulberry_row_add(row, BoolGetDatum(kind->retriable));
	mulberry_row_add(row, BoolGetDatum(kind->persistent));
}

/* job_kinds() → setof (kind, purpose, subject, text_is_result, retriable, persistent, meaning) */
Datum
mulberry_job_kinds(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < lengthof(job_kinds); i++)
	{
		mulberry_row row;

		mulberry_row_begin(&row, fcinfo);
		mulberry_row_add_text(&row, job_kinds[i].name);
		add_job_properties(&row, &job_kinds[i]);
		mulberry_row_add_text(&row, job_kinds[i].meaning);
		mulberry_row_put(&row, fcinfo);
	}
	return (Datum) 0;
}

/* job_kind(kind text) → (purpose, subject, text_is_result, retriable, persistent) */
Datum
mulberry_job_kind_sql(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const mulberry_job_kind *kind = mulberry_job_kind_by_name(name);
	mulberry_row row;

	if (kind == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown kind \"%s\" of a job", name)));
	mulberry_row_begin(&row, fcinfo);
	add_job_properties(&row, kind);
	return mulberry_row_end(&row);
}

/* job_purpose(kind text) → text, NULL for no kind */
Datum
mulberry_job_purpose(PG_FUNCTION_ARGS)
{
	const mulberry_job_kind *kind =
		mulberry_job_kind_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	if (kind == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(purposes[kind->purpose].name));
}

/* endpoint_kinds() → setof (kind, purpose, default_url, takes_text, needs_model, options, meaning) */
Datum
mulberry_endpoint_kinds(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < lengthof(endpoint_kinds); i++)
		for (int k = 0; k < endpoint_kinds[i].nservices; k++)
		{
			const mulberry_service *service = &endpoint_kinds[i].services[k];
			mulberry_row row;

			mulberry_row_begin(&row, fcinfo);
			mulberry_row_add_text(&row, endpoint_kinds[i].name);
			mulberry_row_add_text(&row, purposes[service->purpose].name);
			mulberry_row_add_text(&row, endpoint_kinds[i].default_url);
			mulberry_row_add(&row, BoolGetDatum(endpoint_kinds[i].takes_text));
			mulberry_row_add(&row, BoolGetDatum(service->needs_model));
			mulberry_row_add(&row, words_to_array(service->options));
			mulberry_row_add_text(&row, endpoint_kinds[i].meaning);
			mulberry_row_put(&row, fcinfo);
		}
	return (Datum) 0;
}

/* endpoint_kind(kind text, purpose text) → (default_url, takes_text, needs_model, options) */
Datum
mulberry_endpoint_kind_sql(PG_FUNCTION_ARGS)
{
	char *name;
	char *purpose = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	const mulberry_endpoint_kind *kind;
	const mulberry_service *service;
	mulberry_row row;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("kind of an endpoint must not be null")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	kind = mulberry_endpoint_kind_by_name(name);
	if (kind == NULL)
		refuse_endpoint_kind(name);
	if (purpose && !may_be_default(purpose))
		refuse_purpose(purpose);
	service = find_service(kind, purpose);
	if (service == NULL)
		refuse_service(kind, purpose);

	mulberry_row_begin(&row, fcinfo);
	mulberry_row_add_text(&row, kind->default_url);
	mulberry_row_add(&row, BoolGetDatum(kind->takes_text));
	mulberry_row_add(&row, BoolGetDatum(service->needs_model));
	mulberry_row_add(&row, words_to_array(service->options));
	return mulberry_row_end(&row);
}

/* endpoint_serves(kind text, purpose text) → boolean: purpose null or one it may be the default of */
Datum
mulberry_endpoint_serves(PG_FUNCTION_ARGS)
{
	const mulberry_endpoint_kind *kind;
	char *purpose;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	kind = mulberry_endpoint_kind_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (kind == NULL || PG_ARGISNULL(1))
		PG_RETURN_BOOL(kind != NULL);
	purpose = text_to_cstring(PG_GETARG_TEXT_PP(1));
	PG_RETURN_BOOL(may_be_default(purpose) && find_service(kind, purpose) != NULL);
}
