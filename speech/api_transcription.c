/*
 * api_transcription.c
 *	  POST /v1/audio/transcriptions: checks the form, has the recording transcribed, writes the
 *	  answer.  Fields as of OpenAI's interface; docs/speech.md says which do what.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "audio.h"
#include "endpoints.h"
#include "multipart.h"
#include "recognizer.h"
#include "render.h"
#include "text.h"
#include "transcribe.h"

/* What a body may have beside the file: boundaries and other fields. */
#define FORM_OVERHEAD ((size_t) 1024 * 1024)

typedef struct transcription
{
	speech_form *form;
	speech_buffer file; /* taken out of the form */
	bool has_file;
	speech_form_of_answer answer;
	bool words;
	bool segments;
	double max_seconds;
} transcription;

static void
release_transcription(void *state)
{
	transcription *job = state;

	speech_form_free(job->form);
	speech_buffer_free(&job->file);
	free(job);
}

static size_t
max_body(const speech_options *options)
{
	return options->max_body + FORM_OVERHEAD;
}

static void
begin(speech_request *request, http_text content_type)
{
	transcription *job;

	if (!speech_request_admit(request, SPEECH_JOB_TRANSCRIPTION))
		return;
	job = calloc(1, sizeof(*job));
	if (job == NULL)
	{
		speech_reply_out_of_memory(&request->reply);
		return;
	}
	request->state = job;
	job->max_seconds = request->options->max_audio_seconds;
	job->form = speech_form_begin(content_type.data, content_type.length);
	if (job->form == NULL)
		speech_reply_error(&request->reply, 415, NULL, "unsupported_media_type",
						   "the body must be multipart/form-data with a boundary, and hold the "
						   "recording as field \"file\"");
}

static void
refuse_form(speech_request *request, speech_form_status status)
{
	if (status == SPEECH_FORM_NO_MEMORY)
		speech_reply_out_of_memory(&request->reply);
	else
		speech_reply_error(&request->reply, 400, NULL, "invalid_form", "%s",
						   speech_form_message(status));
}

static void
take(speech_request *request, const char *data, size_t n)
{
	transcription *job = request->state;
	speech_form_status status = speech_form_feed(job->form, data, n);

	if (status != SPEECH_FORM_OK)
		refuse_form(request, status);
}

void
speech_take_language(speech_reply *reply, const char *value)
{
	if (strcasecmp(value, "en") != 0 && strcasecmp(value, "eng") != 0 &&
		strcasecmp(value, "english") != 0 && strncasecmp(value, "en-", 3) != 0)
		speech_reply_error(reply, 422, "language", "unsupported_language",
						   "the language \"%s\" is not supported; the speech model is English (en)",
						   value);
}

static void
take_temperature(speech_reply *reply, const char *value)
{
	char *end;
	double number = strtod(value, &end);

	if (end == value || *end != '\0' || !(number >= 0 && number <= 1))
		speech_reply_error(reply, 400, "temperature", "invalid_value",
						   "temperature must be a number from 0 to 1, not \"%s\"", value);
}

static void
take_granularity(transcription *job, speech_reply *reply, const char *value)
{
	if (strcmp(value, "word") == 0)
		job->words = true;
	else if (strcmp(value, "segment") == 0)
		job->segments = true;
	else
		speech_reply_error(reply, 400, "timestamp_granularities", "invalid_value",
						   "timestamp_granularities[] must be word or segment, not \"%s\"", value);
}

static void
take_stream(speech_reply *reply, const char *value)
{
	if (strcasecmp(value, "false") != 0 && strcmp(value, "0") != 0)
		speech_reply_error(reply, 400, "stream", "unsupported_value",
						   "stream is not supported: the answer comes as a whole");
}

static void
take_file(transcription *job, speech_reply *reply, const speech_form_part *part)
{
	/* the form is ours, and only its frame is left after this */
	speech_buffer *value = (speech_buffer *) &part->value;

	if (job->has_file)
	{
		speech_reply_error(reply, 400, "file", "invalid_value", "there may be only one file");
		return;
	}
	job->has_file = true;
	job->file = *value;
	*value = (speech_buffer){ 0 };
}

/* Takes one field of the form; what it cannot do it refuses. */
static void
take_field(transcription *job, speech_reply *reply, const speech_form_part *part)
{
	const char *name = part->name;
	const char *value = (const char *) part->value.data;

	if (strcmp(name, "file") == 0)
	{
		take_file(job, reply, part);
		return;
	}
	if (value == NULL)
		value = "";
	if (part->is_file || strlen(value) != part->value.size)
		speech_reply_error(reply, 400, name, "invalid_value", "\"%s\" must be plain text", name);
	else if (!speech_text_is_utf8(value))
		speech_reply_error(reply, 400, name, "invalid_value", "\"%s\" is not valid UTF-8", name);
	else if (strcmp(name, "model") == 0)
	{
		if (speech_model_from_name(value) != SPEECH_MODEL_POCKETSPHINX)
			speech_model_refuse(reply, value, SPEECH_RECOGNIZER_MODEL);
	}
	else if (strcmp(name, "response_format") == 0)
	{
		if (!speech_answer_from_name(value, &job->answer))
			speech_reply_error(reply, 400, "response_format", "invalid_value",
							   "response_format must be one of " SPEECH_ANSWER_NAMES ", not \"%s\"",
							   value);
	}
	else if (strcmp(name, "language") == 0)
		speech_take_language(reply, value);
	else if (strcmp(name, "temperature") == 0)
		take_temperature(reply, value);
	else if (strcmp(name, "timestamp_granularities[]") == 0 ||
			 strcmp(name, "timestamp_granularities") == 0)
		take_granularity(job, reply, value);
	else if (strcmp(name, "stream") == 0)
		take_stream(reply, value);
	else if (strcmp(name, "prompt") == 0)
		return; /* allowed, and without effect: the language model is fixed */
	else if (strcmp(name, "chunking_strategy") == 0)
	{
		if (strcmp(value, "auto") != 0)
			speech_reply_error(reply, 400, "chunking_strategy", "unsupported_value",
							   "chunking_strategy must be auto: recordings are cut at pauses");
	}
	else
		speech_reply_error(
			reply, 400, name, "unknown_parameter",
			"the field \"%s\" is not known or not supported; there are: file, model, "
			"language, prompt, response_format, temperature, "
			"timestamp_granularities[], stream, chunking_strategy",
			name);
}

/* Answers for a recording that cannot be read. */
static void
refuse_audio(speech_reply *reply, mb_status status, const speech_audio_facts *facts, bool is_riff)
{
	switch (status)
	{
		case MB_ERR_TRUNCATED:
			speech_reply_error(
				reply, 400, "file", "invalid_audio",
				"the WAV file is cut short: it claims %llu bytes of sound and holds %llu",
				(unsigned long long) facts->stated_bytes,
				(unsigned long long) facts->present_bytes);
			break;
		case MB_ERR_EMPTY:
			speech_reply_error(reply, 400, "file", "invalid_audio", "the WAV file holds no sound");
			break;
		case MB_ERR_RATE:
			speech_reply_error(reply, 415, "file", "unsupported_audio",
							   "the sample rate of %d Hz is not supported, only %d to %d Hz",
							   facts->sample_rate, SPEECH_AUDIO_MIN_RATE, SPEECH_AUDIO_MAX_RATE);
			break;
		case MB_ERR_UNSUPPORTED:
			speech_reply_error(
				reply, 415, "file", "unsupported_audio",
				"the WAV file has a codec or layout that is not supported; send PCM, "
				"float, mu-law or A-law");
			break;
		case MB_ERR_SPACE:
			speech_reply_out_of_memory(reply);
			break;
		default:
			if (is_riff)
				speech_reply_error(reply, 400, "file", "invalid_audio",
								   "the WAV file is damaged: its chunks contradict each other");
			else
				speech_reply_error(
					reply, 415, "file", "unsupported_audio",
					"the file is not WAV, the only format that is read here; convert "
					"it, for example with sox or ffmpeg");
			break;
	}
}

/* The job, in a process of its own. */
static void
transcribe(const void *input, speech_reply *reply)
{
	const transcription *job = input;
	speech_transcript transcript = { 0 };
	speech_audio *audio;
	speech_audio_facts facts;
	mb_status status = speech_audio_open(&audio, &facts, job->file.data, job->file.size);

	if (status != MB_OK)
	{
		refuse_audio(reply, status, &facts,
					 job->file.size >= 4 && memcmp(job->file.data, "RIFF", 4) == 0);
		return;
	}
	if (facts.seconds > job->max_seconds)
		speech_reply_error(
			reply, 413, "file", "audio_too_long",
			"the recording lasts %.0f s, more than the %.0f s that this server takes",
			ceil(facts.seconds), job->max_seconds);
	else
	{
		transcript.duration = facts.seconds;
		if (speech_transcribe(audio, &transcript))
			speech_render(&transcript, job->answer, job->words, job->segments, reply);
		else
			speech_reply_error(reply, 500, NULL, "engine_failed",
							   "the recognizer failed or ran out of memory");
	}
	speech_transcript_free(&transcript);
	speech_audio_close(audio);
}

static void
finish(speech_request *request)
{
	transcription *job = request->state;
	speech_form_status status = speech_form_end(job->form);

	if (status != SPEECH_FORM_OK)
	{
		refuse_form(request, status);
		return;
	}
	for (int i = 0; i < speech_form_count(job->form) && request->reply.status == 0; i++)
		take_field(job, &request->reply, speech_form_part_at(job->form, i));
	if (request->reply.status != 0)
		return;
	if (!job->has_file)
	{
		speech_reply_error(&request->reply, 400, "file", "missing_required_parameter",
						   "the form has no field \"file\" with the recording");
		return;
	}
	if (job->file.size > request->options->max_body)
	{
		speech_reply_error(&request->reply, 413, "file", "request_too_large",
						   "the file may have %zu bytes at most", request->options->max_body);
		return;
	}
	if ((job->words || job->segments) && job->answer != SPEECH_ANSWER_VERBOSE_JSON)
	{
		speech_reply_error(&request->reply, 400, "timestamp_granularities", "invalid_value",
						   "timestamp_granularities[] needs response_format verbose_json");
		return;
	}
	if (!job->words && !job->segments)
		job->words = job->segments = true;
	request->state = NULL;
	speech_request_submit(request, SPEECH_JOB_TRANSCRIPTION, transcribe, job,
						  release_transcription);
}

const speech_endpoint speech_endpoint_transcriptions = {
	.path = "/v1/audio/transcriptions",
	.methods = "POST",
	.max_body = max_body,
	.begin = begin,
	.take = take,
	.finish = finish,
	.release = release_transcription,
};
