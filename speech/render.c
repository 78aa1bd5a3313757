/*
 * render.c
 *	  Writes a transcript; see render.h.
 */
#include "render.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

bool
speech_answer_from_name(const char *name, speech_form_of_answer *answer)
{
	static const char *const names[] = { "json", "verbose_json", "text", "srt", "vtt" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
		{
			*answer = (speech_form_of_answer) i;
			return true;
		}
	return false;
}

/* Times are multiples of 10 ms; this takes off the rounding errors of their sums. */
static json_t *
json_time(double seconds)
{
	return json_real(round(seconds * 100) / 100);
}

/* Length of a text by that of its zlib stream: high for a text that repeats itself, as Whisper has it. */
static double
compression_ratio(const speech_buffer *text)
{
	speech_buffer packed = { 0 };
	uLongf length = compressBound(text->size);
	double ratio = 1;

	if (speech_buffer_reserve(&packed, length) &&
		compress(packed.data, &length, text->data, text->size) == Z_OK && length > 0)
		ratio = (double) text->size / (double) length;
	speech_buffer_free(&packed);
	return ratio;
}

/* Mean natural logarithm of the words' probabilities. */
static double
mean_log_probability(const speech_transcript *transcript, const speech_segment *segment)
{
	double sum = 0;

	for (size_t i = 0; i < segment->n_words; i++)
		sum += log(transcript->words[segment->first_word + i].probability);
	return sum / (double) segment->n_words;
}

/* A segment with all fields that clients of verbose_json know; NULL when there is no memory. */
static json_t *
json_segment(const speech_transcript *transcript, size_t id)
{
	const speech_segment *segment = &transcript->segments[id];
	speech_buffer text = { 0 };
	json_t *value = NULL;

	if (speech_transcript_text(transcript, segment->first_word, segment->n_words, &text))
		value = json_pack(
			"{s:I, s:I, s:o, s:o, s:s, s:[], s:f, s:f, s:f, s:f}", "id", (json_int_t) id, "seek",
			(json_int_t) llround(segment->start * 100), "start", json_time(segment->start), "end",
			json_time(segment->end), "text", (const char *) text.data, "tokens", "temperature", 0.0,
			"avg_logprob", mean_log_probability(transcript, segment), "compression_ratio",
			compression_ratio(&text), "no_speech_prob", segment->silence);
	speech_buffer_free(&text);
	return value;
}

static json_t *
json_word(const speech_word *word)
{
	return json_pack("{s:s, s:o, s:o, s:f}", "word", word->text, "start", json_time(word->start),
					 "end", json_time(word->end), "probability", word->probability);
}

static json_t *
json_verbose(const speech_transcript *transcript, const char *text, bool words, bool segments)
{
	json_t *value =
		json_pack("{s:s, s:s, s:o, s:s}", "task", "transcribe", "language", "english", "duration",
				  json_real(round(transcript->duration * 1000) / 1000), "text", text);

	if (segments)
	{
		json_t *array = json_array();

		for (size_t i = 0; i < transcript->n_segments; i++)
			json_array_append_new(array, json_segment(transcript, i));
		json_object_set_new(value, "segments", array);
	}
	if (words)
	{
		json_t *array = json_array();

		for (size_t i = 0; i < transcript->n_words; i++)
			json_array_append_new(array, json_word(&transcript->words[i]));
		json_object_set_new(value, "words", array);
	}
	return value;
}

/* Appends a time as 00:00:00,000; WebVTT wants a point, SubRip a comma. */
static bool
append_time(speech_buffer *body, double seconds, char separator)
{
	long long ms = llround(seconds * 1000);

	return speech_buffer_printf(body, "%02lld:%02lld:%02lld%c%03lld", ms / 3600000, ms / 60000 % 60,
								ms / 1000 % 60, separator, ms % 1000);
}

/* Appends the segments as subtitles. */
static bool
append_subtitles(const speech_transcript *transcript, bool vtt, speech_buffer *body)
{
	char separator = vtt ? '.' : ',';

	if (vtt && !speech_buffer_printf(body, "WEBVTT\n\n"))
		return false;
	for (size_t i = 0; i < transcript->n_segments; i++)
	{
		const speech_segment *segment = &transcript->segments[i];

		if ((!vtt && !speech_buffer_printf(body, "%zu\n", i + 1)) ||
			!append_time(body, segment->start, separator) || !speech_buffer_printf(body, " --> ") ||
			!append_time(body, segment->end, separator) || !speech_buffer_printf(body, "\n") ||
			!speech_transcript_text(transcript, segment->first_word, segment->n_words, body) ||
			!speech_buffer_printf(body, "\n\n"))
			return false;
	}
	return true;
}

void
speech_render(const speech_transcript *transcript, speech_form_of_answer answer, bool words,
			  bool segments, speech_reply *reply)
{
	speech_buffer text = { 0 };
	bool ok = true;

	if (answer != SPEECH_ANSWER_SRT && answer != SPEECH_ANSWER_VTT)
		ok = speech_transcript_text(transcript, 0, transcript->n_words, &text);
	switch (answer)
	{
		case SPEECH_ANSWER_JSON:
			if (ok)
				speech_reply_json(reply, json_pack("{s:s, s:{s:s, s:I}}", "text", text.data,
												   "usage", "type", "duration", "seconds",
												   (json_int_t) ceil(transcript->duration)));
			break;
		case SPEECH_ANSWER_VERBOSE_JSON:
			if (ok)
				speech_reply_json(
					reply, json_verbose(transcript, (const char *) text.data, words, segments));
			break;
		case SPEECH_ANSWER_TEXT:
			ok = ok && speech_buffer_append(&text, "\n", 1);
			if (ok)
				speech_reply_bytes(reply, "text/plain; charset=utf-8", &text);
			break;
		case SPEECH_ANSWER_SRT:
		case SPEECH_ANSWER_VTT:
			ok = append_subtitles(transcript, answer == SPEECH_ANSWER_VTT, &text);
			if (ok)
				speech_reply_bytes(reply,
								   answer == SPEECH_ANSWER_VTT ? "text/vtt; charset=utf-8"
															   : "application/x-subrip",
								   &text);
			break;
	}
	speech_buffer_free(&text);
	if (!ok)
		speech_reply_out_of_memory(reply);
	reply->audio_seconds = transcript->duration;
}
