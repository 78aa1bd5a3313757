/*
 * transcript.h
 *	  What was recognized: segments of words with their times.  How it came about
 *	  and how it is written are matters of recognizer.h and render.h.
 */
#ifndef SPEECH_TRANSCRIPT_H
#define SPEECH_TRANSCRIPT_H

#include "buffer.h"

/* Times are seconds from the beginning of the recording, probabilities 0 to 1. */
typedef struct speech_word
{
	char *text; /* lower case, as in the dictionary */
	double start;
	double end;
	double probability; /* posterior, over the hypotheses the search kept */
} speech_word;

typedef struct speech_segment
{
	double start;
	double end;
	size_t first_word;
	size_t n_words;
	double silence; /* share of its time that holds no word, 0 to 1 */
} speech_segment;

/* All zero is an empty one. */
typedef struct speech_transcript
{
	double duration; /* of the recording */
	speech_word *words;
	size_t n_words;
	size_t words_capacity;
	speech_segment *segments; /* none without a word */
	size_t n_segments;
	size_t segments_capacity;
} speech_transcript;

/* Appends a copy; false when there is no memory. */
extern bool speech_transcript_add_word(speech_transcript *transcript, const char *text,
									   size_t length, double start, double end, double probability);
extern bool
speech_transcript_add_segment(speech_transcript *transcript, const speech_segment *segment);

/* Appends the words of a segment, or of all, separated by spaces, and a NUL that size does not count. */
extern bool speech_transcript_text(const speech_transcript *transcript, size_t first_word,
								   size_t n_words, speech_buffer *text);

extern void speech_transcript_free(speech_transcript *transcript);

#endif /* SPEECH_TRANSCRIPT_H */
