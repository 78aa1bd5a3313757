/*
 * transcript.c
 *	  Segments of words; see transcript.h.
 */
#include "transcript.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64

/* Makes room for one more element of a growing array. */
static bool
grow(void **array, size_t n, size_t *capacity, size_t element_size)
{
	size_t wanted = *capacity > 0 ? *capacity * 2 : FIRST_CAPACITY;
	void *bigger;

	if (n < *capacity)
		return true;
	bigger = reallocarray(*array, wanted, element_size);
	if (bigger == NULL)
		return false;
	*array = bigger;
	*capacity = wanted;
	return true;
}

bool
speech_transcript_add_word(speech_transcript *transcript, const char *text, size_t length,
						   double start, double end, double probability)
{
	void *words = transcript->words;
	char *copy;

	if (!grow(&words, transcript->n_words, &transcript->words_capacity, sizeof(speech_word)))
		return false;
	transcript->words = words;
	copy = strndup(text, length);
	if (copy == NULL)
		return false;
	transcript->words[transcript->n_words++] =
		(speech_word){ .text = copy, .start = start, .end = end, .probability = probability };
	return true;
}

bool
speech_transcript_add_segment(speech_transcript *transcript, const speech_segment *segment)
{
	void *segments = transcript->segments;

	if (!grow(&segments, transcript->n_segments, &transcript->segments_capacity,
			  sizeof(speech_segment)))
		return false;
	transcript->segments = segments;
	transcript->segments[transcript->n_segments++] = *segment;
	return true;
}

bool
speech_transcript_text(const speech_transcript *transcript, size_t first_word, size_t n_words,
					   speech_buffer *text)
{
	for (size_t i = first_word; i < first_word + n_words; i++)
		if (!speech_buffer_printf(text, "%s%s", i > first_word ? " " : "",
								  transcript->words[i].text))
			return false;
	return speech_buffer_printf(text, "%s", ""); /* a NUL even when there is no word */
}

void
speech_transcript_free(speech_transcript *transcript)
{
	for (size_t i = 0; i < transcript->n_words; i++)
		free(transcript->words[i].text);
	free(transcript->words);
	free(transcript->segments);
	*transcript = (speech_transcript){ 0 };
}
