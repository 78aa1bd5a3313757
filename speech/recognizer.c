/*
 * recognizer.c
 *	  Speech recognition by pocketsphinx; see recognizer.h.
 */
#include "recognizer.h"

#include <math.h>
#include <pocketsphinx.h>
#if __has_include(<sphinxbase/err.h>)
#include <sphinxbase/err.h>
#else /* pocketsphinx 5 has taken sphinxbase in */
#include <pocketsphinx/err.h>
#define POCKETSPHINX_5
#endif
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

/* Frames a second that the acoustic model was made for, as pocketsphinx's -frate. */
#define FRAME_RATE 100.0

/* Values of a frame that the acoustic model looks at, at most. */
#define MAX_CEPSTRA 40

/* Below this posterior a word is "unlikely" rather than minus infinity. */
#define MIN_PROBABILITY 1e-6

static ps_decoder_t *decoder;
static bool loading;

/* Lets errors while loading through; afterwards nothing, because messages may quote what was said. */
static void
take_message(void *user_data, err_lvl_t level, const char *format, ...)
{
	char line[500];
	va_list args;

	(void) user_data;
	if (!loading || level < ERR_ERROR)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	line[strcspn(line, "\n")] = '\0';
	speech_log_error("pocketsphinx: %s", line);
}

static bool
readable(const char *what, const char *path)
{
	if (access(path, R_OK) == 0)
		return true;
	speech_log_error("could not read the %s \"%s\"; install pocketsphinx-en-us or name another",
					 what, path);
	return false;
}

/*
 * Silence stays in, so that frames are times; pocketsphinx 5 removes none.  topn 8 instead of 4 was
 * measured to take 0.3 points off the word error rate for a fifth more time; wider beams and other
 * weights of the language model gained nothing (docs/speech.md).
 */
static ps_decoder_t *
make_decoder(const speech_options *options)
{
	ps_decoder_t *made;
#ifdef POCKETSPHINX_5
	ps_config_t *config = ps_config_init(NULL);

	if (config == NULL)
		return NULL;
	ps_config_set_str(config, "hmm", options->acoustic_model);
	ps_config_set_str(config, "dict", options->dictionary);
	ps_config_set_str(config, "lm", options->language_model);
	ps_config_set_int(config, "samprate", 16000);
	ps_config_set_int(config, "topn", 8);
	made = ps_init(config);
	ps_config_free(config);
#else
	cmd_ln_t *config = cmd_ln_init(NULL, ps_args(), TRUE, "-hmm", options->acoustic_model, "-dict",
								   options->dictionary, "-lm", options->language_model, "-samprate",
								   "16000", "-remove_silence", "no", "-topn", "8", NULL);

	if (config == NULL)
		return NULL;
	made = ps_init(config);
	cmd_ln_free_r(config);
#endif
	return made;
}

bool
speech_recognizer_load(const speech_options *options)
{
	if (!readable("acoustic model", options->acoustic_model) ||
		!readable("dictionary", options->dictionary) ||
		!readable("language model", options->language_model))
		return false;

	err_set_logfp(NULL);
	err_set_callback(take_message, NULL);
	loading = true;

	decoder = make_decoder(options);
	loading = false;
	if (decoder == NULL)
		speech_log_error("could not load the speech models");
	return decoder != NULL;
}

/*
 * The length of a word without the number of its pronunciation, "read(2)"; 0 for
 * what is no word: silence, noise, sentence boundaries.
 */
static size_t
word_length(const char *word)
{
	const char *variant;

	if (word[0] == '\0' || strchr("<[+", word[0]) != NULL)
		return 0;
	variant = strrchr(word, '(');
	return variant != NULL && variant > word ? (size_t) (variant - word) : strlen(word);
}

/* Appends the words of the best hypothesis up to a time; frames_of_words counts the frames they cover. */
static bool
take_words(speech_transcript *transcript, double start, double until, bool ended,
		   int *frames_of_words)
{
	logmath_t *logmath = ps_get_logmath(decoder);

	*frames_of_words = 0;
	for (ps_seg_t *segment = ps_seg_iter(decoder); segment != NULL; segment = ps_seg_next(segment))
	{
		const char *word = ps_seg_word(segment);
		size_t length = word != NULL ? word_length(word) : 0;
		int first;
		int last;
		double probability = 0;

		if (length == 0)
			continue;
		ps_seg_frames(segment, &first, &last);
		if (start + (first + last) / 2.0 / FRAME_RATE >= until)
			continue;
		/* there is none before the search has ended */
		if (ended)
			probability = fmin(
				fmax(logmath_exp(logmath, ps_seg_prob(segment, NULL, NULL, NULL)), MIN_PROBABILITY),
				1);
		*frames_of_words += last + 1 - first;
		if (!speech_transcript_add_word(transcript, word, length, start + first / FRAME_RATE,
										start + (last + 1) / FRAME_RATE, probability))
		{
			ps_seg_free(segment);
			return false;
		}
	}
	return true;
}

/*
 * A whole utterance is taken off its own mean; one that is still coming has none yet, and what the recognizer begins with
 * is that of wideband speech.  pocketsphinx 5 keeps what it takes to itself.
 */
bool
speech_recognizer_adapt(const int16_t *samples, size_t n)
{
#ifndef POCKETSPHINX_5
	fe_t *front = ps_get_fe(decoder);
	int size = fe_get_output_size(front);
	mfcc_t mean[MAX_CEPSTRA] = { 0 };
	mfcc_t **frames;
	int32 n_frames;

	if (ps_start_stream(decoder) < 0 || size > MAX_CEPSTRA || fe_start_utt(front) < 0 ||
		fe_process_utt(front, samples, n, &frames, &n_frames) < 0)
		return false;
	for (int i = 0; i < n_frames; i++)
		for (int k = 0; k < size; k++)
			mean[k] += frames[i][k] / (mfcc_t) n_frames;
	fe_free_2d(frames);
	if (n_frames > 0)
		cmn_live_set(ps_get_feat(decoder)->cmn_struct, mean);
#else
	(void) samples;
	(void) n;
#endif
	return ps_start_stream(decoder) >= 0;
}

bool
speech_recognizer_begin(void)
{
	return ps_start_stream(decoder) >= 0 && ps_start_utt(decoder) >= 0;
}

bool
speech_recognizer_feed(const int16_t *samples, size_t n)
{
	return n == 0 || ps_process_raw(decoder, samples, n, FALSE, FALSE) >= 0;
}

bool
speech_recognizer_so_far(double start, speech_transcript *transcript)
{
	int frames;

	return take_words(transcript, start, INFINITY, false, &frames);
}

bool
speech_recognizer_end(double start, double until, speech_transcript *transcript)
{
	speech_segment segment = { .first_word = transcript->n_words };
	int frames_of_words;
	double seconds;

	if (ps_end_utt(decoder) < 0 || !take_words(transcript, start, until, true, &frames_of_words))
		return false;
	segment.n_words = transcript->n_words - segment.first_word;
	if (segment.n_words == 0)
		return true;
	segment.start = transcript->words[segment.first_word].start;
	segment.end = transcript->words[transcript->n_words - 1].end;
	seconds = segment.end - segment.start;
	segment.silence = seconds > 0 ? 1 - frames_of_words / FRAME_RATE / seconds : 0;
	segment.silence = fmin(fmax(segment.silence, 0), 1);
	return speech_transcript_add_segment(transcript, &segment);
}

bool
speech_recognizer_run(const int16_t *samples, size_t n, double start, speech_transcript *transcript)
{
	/* a stream of its own: nothing of earlier utterances, so the answer does not depend on them */
	return speech_recognizer_begin() && ps_process_raw(decoder, samples, n, FALSE, TRUE) >= 0 &&
		   speech_recognizer_end(start, INFINITY, transcript);
}

void
speech_recognizer_unload(void)
{
	if (decoder != NULL)
		ps_free(decoder);
	decoder = NULL;
}
