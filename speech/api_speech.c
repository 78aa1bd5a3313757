/*
 * api_speech.c
 *	  POST /v1/audio/speech: checks the JSON, has the text spoken, writes the sound.
 *	  Fields as of OpenAI's interface, and sample_rate.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "audio.h"
#include "endpoints.h"
#include "rate.h"
#include "synthesize.h"
#include "text.h"
#include "voices.h"

/* Bytes of JSON a character may take (an escaped surrogate pair), and those of all else. */
#define BYTES_PER_CHARACTER 12
#define JSON_OVERHEAD ((size_t) 65536)

/* Rate of raw PCM that clients of OpenAI take for granted, and that of the telephone. */
#define PCM_RATE 24000
#define TELEPHONE_RATE 8000

#define MIN_SAMPLE_RATE 8000
#define MAX_SAMPLE_RATE 48000

#define FORMAT_NAMES "wav, pcm, ulaw (or mulaw), alaw"

typedef struct synthesis
{
	speech_buffer body; /* the JSON */
	char *text;
	speech_voice voice;
	char voice_name[SPEECH_VOICE_NAME_SIZE]; /* as asked for */
	speech_audio_format format;
	int sample_rate; /* 0: the voice's own */
	double speed;
	double max_seconds;
} synthesis;

static void
release_synthesis(void *state)
{
	synthesis *job = state;

	speech_buffer_free(&job->body);
	free(job->text);
	free(job);
}

static size_t
max_body(const speech_options *options)
{
	return (size_t) options->max_input * BYTES_PER_CHARACTER + JSON_OVERHEAD;
}

/* Whether a Content-Type is application/json, parameters aside. */
static bool
is_json(http_text content_type)
{
	static const char json[] = "application/json";
	size_t n = sizeof(json) - 1;

	return content_type.length >= n && strncasecmp(content_type.data, json, n) == 0 &&
		   (content_type.length == n || strchr(" \t;", content_type.data[n]) != NULL);
}

static void
begin(speech_request *request, http_text content_type)
{
	synthesis *job;

	if (!is_json(content_type))
	{
		speech_reply_error(&request->reply, 415, NULL, "unsupported_media_type",
						   "the body must be application/json");
		return;
	}
	if (!speech_request_admit(request, SPEECH_JOB_SYNTHESIS))
		return;
	job = calloc(1, sizeof(*job));
	if (job == NULL)
	{
		speech_reply_out_of_memory(&request->reply);
		return;
	}
	job->speed = 1;
	job->max_seconds = request->options->max_speech_seconds;
	request->state = job;
}

static void
take(speech_request *request, const char *data, size_t n)
{
	synthesis *job = request->state;

	if (!speech_buffer_append(&job->body, data, n))
		speech_reply_out_of_memory(&request->reply);
}

/* The string of a field; NULL, with the request refused, when it is something else. */
static const char *
string_of(speech_reply *reply, const char *name, const json_t *value)
{
	const char *text = json_string_value(value);

	if (text == NULL)
		speech_reply_error(reply, 400, name, "invalid_type", "%s must be a string", name);
	return text;
}

static void
take_input(synthesis *job, speech_reply *reply, const json_t *value, int max_input)
{
	const char *text = string_of(reply, "input", value);
	size_t length;

	if (text == NULL)
		return;
	length = speech_text_length(text);
	if (length == 0)
		speech_reply_error(reply, 400, "input", "invalid_value", "input must not be empty");
	else if (length > (size_t) max_input)
		speech_reply_error(reply, 422, "input", "string_above_max_length",
						   "input may have %d characters at most, and has %zu", max_input, length);
	else if ((job->text = strdup(text)) == NULL)
		speech_reply_out_of_memory(reply);
}

static void
take_voice(synthesis *job, speech_reply *reply, const json_t *value)
{
	const char *name;

	/* OpenAI takes {"id": "…"} for voices of one's own */
	if (json_is_object(value) && json_object_size(value) == 1 && json_object_get(value, "id"))
		value = json_object_get(value, "id");
	name = string_of(reply, "voice", value);
	if (name == NULL)
		return;
	if (strlen(name) < sizeof(job->voice_name) && speech_voice_from_name(name, &job->voice))
		snprintf(job->voice_name, sizeof(job->voice_name), "%s", name);
	else
		speech_reply_error(reply, 400, "voice", "invalid_value",
						   "there is no voice \"%.100s\"; there are: %s", name,
						   speech_voice_names());
}

static void
take_format(synthesis *job, speech_reply *reply, const json_t *value)
{
	const char *name = string_of(reply, "response_format", value);

	if (name == NULL)
		return;
	if (strcmp(name, "wav") == 0)
		job->format = SPEECH_AUDIO_WAV;
	else if (strcmp(name, "pcm") == 0)
		job->format = SPEECH_AUDIO_PCM;
	else if (strcmp(name, "ulaw") == 0 || strcmp(name, "mulaw") == 0)
		job->format = SPEECH_AUDIO_MULAW;
	else if (strcmp(name, "alaw") == 0)
		job->format = SPEECH_AUDIO_ALAW;
	else
		speech_reply_error(reply, 400, "response_format", "invalid_value",
						   "response_format must be one of " FORMAT_NAMES ", not \"%.100s\"", name);
}

static void
take_speed(synthesis *job, speech_reply *reply, const json_t *value)
{
	double speed = json_number_value(value);

	if (!json_is_number(value) || !(speed >= SPEECH_MIN_SPEED && speed <= SPEECH_MAX_SPEED))
		speech_reply_error(reply, 422, "speed", "invalid_value",
						   "speed must be a number from %g to %g", SPEECH_MIN_SPEED,
						   SPEECH_MAX_SPEED);
	else
		job->speed = speed;
}

static void
take_sample_rate(synthesis *job, speech_reply *reply, const json_t *value)
{
	json_int_t rate = json_integer_value(value);

	if (!json_is_integer(value) || rate < MIN_SAMPLE_RATE || rate > MAX_SAMPLE_RATE)
		speech_reply_error(reply, 422, "sample_rate", "invalid_value",
						   "sample_rate must be a whole number from %d to %d", MIN_SAMPLE_RATE,
						   MAX_SAMPLE_RATE);
	else
		job->sample_rate = (int) rate;
}

/* Takes one member of the JSON object. */
static void
take_member(synthesis *job, speech_reply *reply, const char *name, const json_t *value,
			int max_input)
{
	const char *text;

	if (strcmp(name, "input") == 0)
		take_input(job, reply, value, max_input);
	else if (strcmp(name, "voice") == 0)
		take_voice(job, reply, value);
	else if (strcmp(name, "response_format") == 0)
		take_format(job, reply, value);
	else if (strcmp(name, "speed") == 0)
		take_speed(job, reply, value);
	else if (strcmp(name, "sample_rate") == 0)
		take_sample_rate(job, reply, value);
	else if (strcmp(name, "model") == 0 || strcmp(name, "instructions") == 0)
		string_of(reply, name,
				  value); /* the model is looked at with the voice; instructions have no effect */
	else if (strcmp(name, "stream_format") == 0)
	{
		text = string_of(reply, name, value);
		if (text != NULL && strcmp(text, "audio") != 0)
			speech_reply_error(reply, 400, name, "unsupported_value",
							   "stream_format must be audio");
	}
	else
		speech_reply_error(reply, 400, name, "unknown_parameter",
						   "the member \"%.100s\" is not known; there are: model, input, voice, "
						   "response_format, speed, sample_rate, instructions, stream_format",
						   name);
}

/* The model fits the voice. */
static void
check_model(const synthesis *job, speech_reply *reply, const json_t *value)
{
	const char *name = json_string_value(value);
	speech_model model = name != NULL ? speech_model_from_name(name) : SPEECH_MODEL_ANY_VOICE;

	if (model == SPEECH_MODEL_UNKNOWN || model == SPEECH_MODEL_POCKETSPHINX)
		speech_model_refuse(reply, name, "flite, espeak-ng, tts-1, tts-1-hd, gpt-4o-mini-tts");
	else if ((model == SPEECH_MODEL_FLITE && job->voice.engine != SPEECH_ENGINE_FLITE) ||
			 (model == SPEECH_MODEL_ESPEAK && job->voice.engine != SPEECH_ENGINE_ESPEAK))
		speech_reply_error(reply, 400, "voice", "invalid_value",
						   "the voice \"%s\" does not belong to the model \"%s\"", job->voice_name,
						   name);
}

/* Defaults that depend on several members. */
static void
complete(synthesis *job, speech_reply *reply)
{
	bool telephone = job->format == SPEECH_AUDIO_MULAW || job->format == SPEECH_AUDIO_ALAW;

	if (telephone && job->sample_rate != 0 && job->sample_rate != TELEPHONE_RATE)
		speech_reply_error(reply, 422, "sample_rate", "invalid_value",
						   "G.711 has a sample_rate of %d", TELEPHONE_RATE);
	if (telephone)
		job->sample_rate = TELEPHONE_RATE;
	else if (job->format == SPEECH_AUDIO_PCM && job->sample_rate == 0)
		job->sample_rate = PCM_RATE;
}

/* The Content-Type of a sound. */
static void
describe(const synthesis *job, char *content_type, size_t size)
{
	switch (job->format)
	{
		case SPEECH_AUDIO_WAV:
			snprintf(content_type, size, "audio/wav");
			break;
		case SPEECH_AUDIO_PCM:
			snprintf(content_type, size, "audio/pcm;rate=%d;channels=1", job->sample_rate);
			break;
		case SPEECH_AUDIO_MULAW:
			snprintf(content_type, size, "audio/basic"); /* RFC 2046, section 4.3 */
			break;
		case SPEECH_AUDIO_ALAW:
			snprintf(content_type, size, "audio/PCMA"); /* RFC 3551 */
			break;
	}
}

/* Answers with the sound in the rate and format asked for. */
static void
write_sound(const synthesis *job, const speech_sound *sound, speech_reply *reply)
{
	int rate = job->sample_rate > 0 ? job->sample_rate : sound->sample_rate;
	char content_type[SPEECH_CONTENT_TYPE_SIZE];
	speech_buffer body = { 0 };
	int16_t *samples;
	size_t n;

	describe(job, content_type, sizeof(content_type));
	if (speech_rate_convert(sound->samples, sound->n, sound->sample_rate, rate, &samples, &n) &&
		speech_audio_write(job->format, samples, n, rate, &body))
		speech_reply_bytes(reply, content_type, &body);
	else
		speech_reply_out_of_memory(reply);
	reply->audio_seconds = (double) sound->n / sound->sample_rate;
	free(samples);
	speech_buffer_free(&body);
}

/* The job, in a process of its own. */
static void
synthesize(const void *input, speech_reply *reply)
{
	const synthesis *job = input;
	speech_sound sound = { .max_seconds = job->max_seconds };
	uint32_t code_point = 0;

	switch (speech_synthesize(job->text, &job->voice, job->speed, &sound, &code_point))
	{
		case SPEECH_SYNTHESIS_OK:
			write_sound(job, &sound, reply);
			break;
		case SPEECH_SYNTHESIS_NOTHING:
			speech_reply_error(reply, 422, "input", "nothing_to_say",
							   "input has nothing to say: no letter, no digit");
			break;
		case SPEECH_SYNTHESIS_CHARACTER:
			speech_reply_error(
				reply, 422, "input", "unsupported_character",
				"the voice \"%s\" reads English and cannot read U+%04X; take a voice of "
				"espeak-ng for other scripts",
				job->voice_name, (unsigned) code_point);
			break;
		case SPEECH_SYNTHESIS_TOO_LONG:
			speech_reply_error(reply, 422, "input", "speech_too_long",
							   "the speech would last longer than %.0f s", job->max_seconds);
			break;
		case SPEECH_SYNTHESIS_FAILED:
			speech_reply_error(reply, 500, NULL, "engine_failed",
							   "the synthesizer failed or ran out of memory");
			break;
	}
	speech_sound_free(&sound);
}

/* Reads the JSON into the job; refuses the request when something is wrong with it. */
static void
read_json(synthesis *job, speech_reply *reply, const speech_options *options)
{
	json_error_t error;
	json_t *body =
		json_loadb((const char *) job->body.data, job->body.size, JSON_REJECT_DUPLICATES, &error);
	const char *name;
	json_t *value;

	if (!json_is_object(body))
	{
		if (body != NULL)
			speech_reply_error(reply, 400, NULL, "invalid_json", "the body must be a JSON object");
		else
			speech_reply_error(reply, 400, NULL, "invalid_json",
							   "the body is not valid JSON: line %d, column %d: %s", error.line,
							   error.column, error.text);
		json_decref(body);
		return;
	}
	speech_voice_from_name(SPEECH_DEFAULT_VOICE, &job->voice);
	snprintf(job->voice_name, sizeof(job->voice_name), "%s", SPEECH_DEFAULT_VOICE);
	json_object_foreach(body, name, value)
	{
		if (reply->status == 0 && !json_is_null(value))
			take_member(job, reply, name, value, options->max_input);
	}
	if (reply->status == 0 && job->text == NULL)
		speech_reply_error(reply, 400, "input", "missing_required_parameter",
						   "input, the text to speak, is missing");
	if (reply->status == 0)
		check_model(job, reply, json_object_get(body, "model"));
	if (reply->status == 0)
		complete(job, reply);
	json_decref(body);
}

static void
finish(speech_request *request)
{
	synthesis *job = request->state;

	read_json(job, &request->reply, request->options);
	speech_buffer_free(&job->body);
	if (request->reply.status != 0)
		return;
	request->state = NULL;
	speech_request_submit(request, SPEECH_JOB_SYNTHESIS, synthesize, job, release_synthesis);
}

const speech_endpoint speech_endpoint_speech = {
	.path = "/v1/audio/speech",
	.methods = "POST",
	.max_body = max_body,
	.begin = begin,
	.take = take,
	.finish = finish,
	.release = release_synthesis,
};
