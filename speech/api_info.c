/*
 * api_info.c
 *	  What there is: GET /health, /v1/models, /v1/audio/voices, and the names of the models.
 */
#include <string.h>
#include <time.h>

#include "endpoints.h"
#include "core/mb.h"
#include "recognizer.h"
#include "server.h"
#include "stream.h"
#include "voices.h"

#define MODEL_FLITE "flite"
#define MODEL_ESPEAK "espeak-ng"

typedef struct model_name
{
	const char *name;
	speech_model model;
} model_name;

static const model_name model_names[] = {
	{ SPEECH_RECOGNIZER_MODEL, SPEECH_MODEL_POCKETSPHINX },
	{ "whisper-1", SPEECH_MODEL_POCKETSPHINX },
	{ "gpt-4o-transcribe", SPEECH_MODEL_POCKETSPHINX },
	{ "gpt-4o-mini-transcribe", SPEECH_MODEL_POCKETSPHINX },
	{ MODEL_FLITE, SPEECH_MODEL_FLITE },
	{ MODEL_ESPEAK, SPEECH_MODEL_ESPEAK },
	{ "tts-1", SPEECH_MODEL_ANY_VOICE },
	{ "tts-1-hd", SPEECH_MODEL_ANY_VOICE },
	{ "gpt-4o-mini-tts", SPEECH_MODEL_ANY_VOICE },
};

speech_model
speech_model_from_name(const char *name)
{
	for (size_t i = 0; i < sizeof(model_names) / sizeof(model_names[0]); i++)
		if (strcmp(name, model_names[i].name) == 0)
			return model_names[i].model;
	return SPEECH_MODEL_UNKNOWN;
}

void
speech_model_refuse(speech_reply *reply, const char *name, const char *allowed)
{
	speech_reply_error(reply, 404, "model", "model_not_found",
					   "the model \"%s\" does not exist here or does something else; there are: %s",
					   name, allowed);
}

/* created is when this server loaded it. */
static json_t *
json_model(const char *id, const char *owner)
{
	return json_pack("{s:s, s:s, s:I, s:s}", "id", id, "object", "model", "created",
					 (json_int_t) speech_requests_since(), "owned_by", owner);
}

/* The model of that name; NULL for an alias and what is unknown. */
static json_t *
json_model_by_name(const char *name)
{
	if (strcmp(name, SPEECH_RECOGNIZER_MODEL) == 0)
		return json_model(name, "cmusphinx");
	if (strcmp(name, MODEL_FLITE) == 0)
		return json_model(name, "festvox");
	if (strcmp(name, MODEL_ESPEAK) == 0)
		return json_model(name, "espeak-ng");
	return NULL;
}

static void
finish_models(speech_request *request)
{
	speech_reply_json(&request->reply,
					  json_pack("{s:s, s:[o, o, o]}", "object", "list", "data",
								json_model_by_name(SPEECH_RECOGNIZER_MODEL),
								json_model_by_name(MODEL_FLITE), json_model_by_name(MODEL_ESPEAK)));
}

static void
finish_model(speech_request *request)
{
	json_t *model = json_model_by_name(request->object);

	if (model != NULL)
		speech_reply_json(&request->reply, model);
	else
		speech_model_refuse(&request->reply, request->object,
							SPEECH_RECOGNIZER_MODEL ", " MODEL_FLITE ", " MODEL_ESPEAK);
}

static void
finish_voices(speech_request *request)
{
	speech_reply_json(&request->reply,
					  json_pack("{s:s, s:s, s:o}", "object", "list", "default",
								SPEECH_DEFAULT_VOICE, "data", speech_voices_json()));
}

static json_t *
json_jobs(speech_job_kind kind)
{
	speech_job_stats stats = speech_jobs_stats(kind);

	return json_pack("{s:i, s:i, s:i, s:I, s:I, s:I, s:I}", "limit", stats.limit, "running",
					 stats.running, "queued", stats.queued, "done", (json_int_t) stats.done,
					 "failed", (json_int_t) stats.failed, "cancelled", (json_int_t) stats.cancelled,
					 "refused", (json_int_t) stats.refused);
}

static json_t *
json_streams(void)
{
	speech_stream_stats stats = speech_streams_stats();

	return json_pack("{s:i, s:i, s:I, s:I, s:I, s:I}", "limit", stats.limit, "running",
					 stats.running, "done", (json_int_t) stats.done, "failed",
					 (json_int_t) stats.failed, "cancelled", (json_int_t) stats.cancelled,
					 "refused", (json_int_t) stats.refused);
}

static void
finish_health(speech_request *request)
{
	speech_reply_json(
		&request->reply,
		json_pack("{s:s, s:s, s:I, s:i, s:I, s:{s:i}, s:o, s:o, s:o}", "status", "ok", "version",
				  MB_VERSION, "uptime_seconds", (json_int_t) (time(NULL) - speech_requests_since()),
				  "connections", speech_server_connections(), "buffered_bytes",
				  (json_int_t) speech_requests_buffered(), "queue", "limit",
				  request->options->queue, "transcription", json_jobs(SPEECH_JOB_TRANSCRIPTION),
				  "synthesis", json_jobs(SPEECH_JOB_SYNTHESIS), "streams", json_streams()));
}

const speech_endpoint speech_endpoint_models = { .path = "/v1/models",
												 .methods = "GET, HEAD",
												 .finish = finish_models };
const speech_endpoint speech_endpoint_model = { .path = "/v1/models/",
												.methods = "GET, HEAD",
												.finish = finish_model };
const speech_endpoint speech_endpoint_voices = { .path = "/v1/audio/voices",
												 .methods = "GET, HEAD",
												 .finish = finish_voices };
const speech_endpoint speech_endpoint_health = {
	.path = "/health", .methods = "GET, HEAD", .open = true, .finish = finish_health
};
