/*
 * fuzz_emergency.c
 *	  Any bytes are folded within their room, to words with one space between, and any phrase is looked for
 *	  without touching others.
 *
 * Fuzz with: -max_len=2048
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "core/text/emergency.h"
#include "core/text/words.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *) data;
	char *folded = malloc(MB_WORDS_ROOM(size));
	uint32_t *origin = malloc(MB_WORDS_ROOM(size) * sizeof(uint32_t));
	char *phrase = malloc(MB_WORDS_ROOM(size));
	size_t length = mb_words_fold(text, size, folded, origin);
	const mb_emergency_language *language;
	mb_emergency_place place;

	require(length < MB_WORDS_ROOM(size) && strlen(folded) == length);
	require(folded[0] == ' ' && folded[length - 1] == ' ' && strstr(folded, "  ") == NULL);
	for (size_t i = 0; i < length; i++)
		require(origin[i] <= size && (i == 0 || origin[i] >= origin[i - 1]));

	/* the first half of the input as a phrase, in each language and in none */
	mb_words_fold(text, size / 2, phrase, NULL);
	for (int i = 0; i <= MB_EMERGENCY_LANGUAGES; i++)
	{
		language = mb_emergency_language_at(i);
		if (mb_emergency_find(folded, length, 0, phrase, language, &place))
			require(place.length > 0 && place.at + place.length <= length);
	}
	free(folded);
	free(origin);
	free(phrase);
	return 0;
}
