/*
 * live.c
 *	  Sound in, messages out; see live.h.
 *
 * The segmenter says when somebody speaks.  From the beginning of an utterance on its samples go to the recognizer as
 * they come, so that at its end, which a pause or the client decides, there is little left to do.
 */
#include "live.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audio.h"
#include "child.h"
#include "core/audio/g711.h"
#include "rate.h"
#include "recognizer.h"
#include "segmenter.h"

/* New sound until what is heard is told again. */
#define INTERIM (SPEECH_RATE / 4)

/* Sound of the first utterance that the recognizer adapts by, before it begins with it. */
#define ADAPT (SPEECH_RATE * 3 / 2)

typedef struct live
{
	const speech_live_options *options;
	speech_segmenter *segmenter;
	speech_rate *rate;
	int16_t *in;  /* of a frame, at its own rate */
	int16_t *out; /* what it becomes */
	size_t rest;  /* bytes of a sample that has not come as a whole */
	uint8_t rest_bytes[2];
	uint64_t heard; /* samples at SPEECH_RATE */

	bool adapted;	/* the recognizer has heard this line */
	bool announced; /* somebody speaks */
	bool begun;		/* the recognizer has an utterance */
	uint64_t first; /* its first sample */
	uint64_t fed;	/* what the recognizer has had, up to here */
	uint64_t ended; /* where the one before was */
	uint64_t told;	/* where the last interim result was made */
	char *said;		/* and what it said */

	bool finalizing; /* the client asked for it, not a pause */
	bool finalized;	 /* and something was told */
	double
		last_word; /* end of the last word told, in seconds; -1: there is none, or its end was told */
	bool failed;
} live;

static double
seconds(uint64_t samples)
{
	return (double) samples / SPEECH_RATE;
}

static json_t *
json_seconds(double value)
{
	return json_real(round(value * 1000) / 1000);
}

static void
send(live *state, json_t *message)
{
	char *text =
		message != NULL ? json_dumps(message, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	uint32_t length;

	json_decref(message);
	if (text == NULL)
	{
		state->failed = true;
		return;
	}
	length = (uint32_t) strlen(text);
	if (!speech_child_write(&length, sizeof(length)) || !speech_child_write(text, length))
		state->failed = true;
	free(text);
}

/* Words, their text and the mean of their probabilities. */
static json_t *
json_alternative(const speech_transcript *transcript)
{
	speech_buffer text = { 0 };
	json_t *words = json_array();
	json_t *value = NULL;
	double sum = 0;

	for (size_t i = 0; i < transcript->n_words; i++)
	{
		const speech_word *word = &transcript->words[i];

		sum += word->probability;
		json_array_append_new(words,
							  json_pack("{s:s, s:o, s:o, s:o, s:s}", "word", word->text, "start",
										json_seconds(word->start), "end", json_seconds(word->end),
										"confidence", json_seconds(word->probability),
										"punctuated_word", word->text));
	}
	if (speech_transcript_text(transcript, 0, transcript->n_words, &text))
		value = json_pack("{s:s, s:o, s:O}", "transcript", (const char *) text.data, "confidence",
						  json_seconds(transcript->n_words > 0 ? sum / transcript->n_words : 0),
						  "words", words);
	json_decref(words);
	speech_buffer_free(&text);
	return value;
}

static json_t *
json_model(void)
{
	return json_pack("{s:s, s:s, s:s}", "name", SPEECH_RECOGNIZER_MODEL, "version", MB_VERSION,
					 "arch", "pocketsphinx");
}

static void
send_results(live *state, const speech_transcript *transcript, uint64_t first, uint64_t end,
			 bool is_final, bool speech_final)
{
	send(state,
		 json_pack("{s:s, s:[i,i], s:o, s:o, s:b, s:b, s:b, s:{s:[o]}, s:{s:s, s:o}}", "type",
				   "Results", "channel_index", 0, 1, "duration", json_seconds(seconds(end - first)),
				   "start", json_seconds(seconds(first)), "is_final", is_final, "speech_final",
				   speech_final, "from_finalize", is_final && state->finalizing, "channel",
				   "alternatives", json_alternative(transcript), "metadata", "request_id",
				   state->options->request_id, "model_info", json_model()));
}

/* Somebody speaks, from "first" on. */
static void
announce(live *state, uint64_t first)
{
	state->announced = true;
	if (state->options->vad_events && (first == 0 || first != state->ended))
		send(state, json_pack("{s:s, s:[i,i], s:o}", "type", "SpeechStarted", "channel", 0, 1,
							  "timestamp", json_seconds(seconds(first))));
}

/* Begins an utterance that has n samples so far. */
static bool
begin(live *state, const int16_t *samples, size_t n, uint64_t first)
{
	if (!state->announced)
		announce(state, first);
	if (!state->adapted && !speech_recognizer_adapt(samples, n < ADAPT ? n : ADAPT))
		return false;
	state->adapted = state->begun = true;
	state->first = state->fed = state->told = first;
	return speech_recognizer_begin();
}

/* Feeds what the recognizer has not had of n samples from "first" on. */
static bool
feed(live *state, const int16_t *samples, size_t n, uint64_t first)
{
	uint64_t end = first + n;
	size_t had = (size_t) (state->fed - first);

	if (end <= state->fed)
		return true;
	state->fed = end;
	return speech_recognizer_feed(samples + had, n - had);
}

/* The segmenter's: an utterance is over. */
static bool
end_utterance(void *arg, const int16_t *samples, size_t n, uint64_t first)
{
	live *state = arg;
	speech_transcript transcript = { 0 };
	uint64_t end = first + n;
	bool pause = !speech_segmenter_speaking(state->segmenter);
	bool ok = (state->begun || begin(state, samples, n, first)) && feed(state, samples, n, first) &&
			  speech_recognizer_end(seconds(first), seconds(end), &transcript);

	state->begun = state->announced = false;
	state->finalized = true;
	state->ended = end;
	free(state->said);
	state->said = NULL;
	if (ok)
	{
		send_results(state, &transcript, first, end, true,
					 state->finalizing || (pause && state->options->endpointing > 0));
		if (transcript.n_words > 0)
			state->last_word = transcript.words[transcript.n_words - 1].end;
	}
	speech_transcript_free(&transcript);
	return ok && !state->failed;
}

/* What is heard of the utterance that is being spoken, when that has changed. */
static bool
tell_interim(live *state)
{
	speech_transcript transcript = { 0 };
	speech_buffer text = { 0 };
	bool ok = speech_recognizer_so_far(seconds(state->first), &transcript) &&
			  speech_transcript_text(&transcript, 0, transcript.n_words, &text);

	state->told = state->fed;
	if (ok && transcript.n_words > 0 &&
		(state->said == NULL || strcmp(state->said, (const char *) text.data) != 0))
	{
		send_results(state, &transcript, state->first, state->fed, false, false);
		free(state->said);
		state->said = (char *) text.data;
		text = (speech_buffer){ 0 };
	}
	speech_buffer_free(&text);
	speech_transcript_free(&transcript);
	return ok && !state->failed;
}

/* Samples at SPEECH_RATE. */
static bool
hear(live *state, const int16_t *samples, size_t n)
{
	const int16_t *spoken;
	size_t n_spoken;
	uint64_t first;

	state->heard += n;
	if (!speech_segmenter_feed(state->segmenter, samples, n))
		return false;
	if (speech_segmenter_so_far(state->segmenter, &spoken, &n_spoken, &first))
	{
		if (!state->announced)
			announce(state, first);
		if (!state->adapted && n_spoken < ADAPT)
			return !state->failed;
		if (!state->begun && !begin(state, spoken, n_spoken, first))
			return false;
		if (!feed(state, spoken, n_spoken, first))
			return false;
		if (state->options->interim && state->fed - state->told >= INTERIM && !tell_interim(state))
			return false;
	}
	else if (state->begun) /* nobody spoke on behind a cut */
	{
		state->begun = state->announced = false;
		return speech_recognizer_end(0, 0, &(speech_transcript){ 0 });
	}
	else if (state->options->utterance_end > 0 && state->last_word >= 0 &&
			 seconds(state->heard) - state->last_word >= state->options->utterance_end / 1000.0)
	{
		send(state, json_pack("{s:s, s:[i,i], s:o}", "type", "UtteranceEnd", "channel", 0, 1,
							  "last_word_end", json_seconds(state->last_word)));
		state->last_word = -1;
	}
	return !state->failed;
}

/* Bytes as the client sent them; a sample may be in two frames. */
static bool
take_audio(live *state, uint8_t *bytes, size_t n)
{
	size_t size = mb_encoding_sample_size(state->options->encoding);
	size_t whole = n / size;

	if (whole > 0 &&
		mb_audio_decode(state->options->encoding, bytes, whole * size, state->in) != MB_OK)
		return false;
	state->rest = n % size;
	memcpy(state->rest_bytes, bytes + whole * size, state->rest);
	return hear(state, state->out, speech_rate_feed(state->rate, state->in, whole, state->out));
}

static bool
finalize(live *state)
{
	bool ok;

	state->finalizing = true;
	state->finalized = false;
	ok = speech_segmenter_cut(state->segmenter);
	if (ok && !state->finalized) /* there was nothing, which the client wants to hear, too */
		send_results(state, &(speech_transcript){ 0 }, state->heard, state->heard, true, true);
	state->finalizing = false;
	return ok && !state->failed;
}

static bool
finish(live *state)
{
	char created[32];
	time_t now = time(NULL);
	struct tm utc;

	if (!hear(state, state->out, speech_rate_flush(state->rate, state->out)) ||
		!speech_segmenter_end(state->segmenter))
		return false;
	gmtime_r(&now, &utc);
	strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", &utc);
	send(state,
		 json_pack("{s:s, s:s, s:s, s:o, s:i, s:[s], s:{s:o}}", "type", "Metadata", "request_id",
				   state->options->request_id, "created", created, "duration",
				   json_seconds(seconds(state->heard)), "channels", 1, "models",
				   SPEECH_RECOGNIZER_MODEL, "model_info", SPEECH_RECOGNIZER_MODEL, json_model()));
	return !state->failed;
}

/* Reads n bytes, all of them. */
static bool
read_whole(void *to, size_t n)
{
	char *bytes = to;

	while (n > 0)
	{
		ssize_t got = read(SPEECH_CHILD_FD, bytes, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		bytes += got;
		n -= (size_t) got;
	}
	return true;
}

static bool
serve(live *state, uint8_t *bytes)
{
	speech_live_head head;

	while (read_whole(&head, sizeof(head)))
	{
		bool ok = false;

		switch (head.kind)
		{
			case SPEECH_LIVE_AUDIO:
				memcpy(bytes, state->rest_bytes, state->rest);
				ok = head.length <= SPEECH_LIVE_FRAME &&
					 read_whole(bytes + state->rest, head.length) &&
					 take_audio(state, bytes, state->rest + head.length);
				break;
			case SPEECH_LIVE_FINALIZE:
				ok = finalize(state);
				break;
			case SPEECH_LIVE_CLOSE:
				return finish(state);
		}
		if (!ok)
			return false;
	}
	return false;
}

bool
speech_live_run(const speech_live_options *options)
{
	live state = { .options = options, .last_word = -1 };
	uint8_t *bytes = malloc(SPEECH_LIVE_FRAME + sizeof(state.rest_bytes));
	size_t most = SPEECH_LIVE_FRAME + sizeof(state.rest_bytes);
	size_t room;
	bool ok = false;

	state.segmenter = speech_segmenter_new(
		end_utterance, &state, options->endpointing > 0 ? options->endpointing : SPEECH_PAUSE_MS);
	state.rate = speech_rate_new(options->sample_rate, SPEECH_RATE);
	if (state.rate != NULL)
	{
		room = speech_rate_bound(state.rate, most) + speech_rate_bound(state.rate, 0) + 1;
		state.in = malloc(most * sizeof(int16_t));
		state.out = malloc(room * sizeof(int16_t));
	}
	if (bytes != NULL && state.segmenter != NULL && state.in != NULL && state.out != NULL)
		ok = serve(&state, bytes);
	speech_segmenter_free(state.segmenter);
	speech_rate_free(state.rate);
	free(state.said);
	free(state.in);
	free(state.out);
	free(bytes);
	return ok;
}
