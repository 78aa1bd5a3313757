/*
 * emergency.c
 *	  Finds phrases that are not denied; see emergency.h.  The words are in emergency_words.c.
 */
#include <string.h>

#include "core/text/emergency.h"
#include "core/text/words.h"

/* A denial stands at most so many words before a phrase. */
#define MAX_BETWEEN 6

/* One behind it begins within so many bytes: four letters of three bytes with what is between. */
#define MAX_BEHIND 15

static bool
is_one_of(const char *word, size_t length, const char *const *words)
{
	for (; words && *words; words++)
	{
		if (strlen(*words) == length && memcmp(*words, word, length) == 0)
			return true;
	}
	return false;
}

/* Walks back from a phrase, word by word. */
static bool
denied_before(const char *folded, size_t at, const mb_emergency_language *language)
{
	bool only_articles = true;

	for (int n = 0; n <= MAX_BETWEEN; n++)
	{
		size_t end = at;
		size_t begin;

		while (end > 0 && folded[end - 1] == ' ')
			end--;
		begin = end;
		while (begin > 0 && folded[begin - 1] != ' ')
			begin--;
		if (begin == end || (end - begin == 1 && folded[begin] == '.'))
			return false;
		if (is_one_of(folded + begin, end - begin, language->not ) ||
			(only_articles && is_one_of(folded + begin, end - begin, language->no)))
			return true;
		if (!is_one_of(folded + begin, end - begin, language->articles))
		{
			if (!is_one_of(folded + begin, end - begin, language->verbs))
				return false;
			only_articles = false;
		}
		at = begin;
	}
	return false;
}

/* Where words have no spaces between, the denial is looked for letter by letter, up to the end of the clause. */
static bool
denied_without_spaces(const char *folded, size_t at, const char *const *no)
{
	for (; no && *no; no++)
	{
		size_t length = strlen(*no);

		if (length <= at && memcmp(folded + at - length, *no, length) == 0)
			return true;
	}
	return false;
}

static bool
denied_behind(const char *folded, size_t length, size_t at, const char *const *behind)
{
	size_t end = at;

	while (end < length && folded[end] != '.' && end - at < MAX_BEHIND)
		end++;
	for (; behind && *behind; behind++)
	{
		size_t size = strlen(*behind);

		for (size_t i = at; i < end && i + size <= length; i++)
		{
			if (memcmp(folded + i, *behind, size) == 0)
				return true;
		}
	}
	return false;
}

/* Whether a language takes a folded phrase for an emergency. */
static bool
has_phrase(const mb_emergency_language *language, const char *folded, size_t size)
{
	char own[MB_WORDS_ROOM(MB_EMERGENCY_PHRASE)];

	for (const char *const *phrase = language->phrases; *phrase; phrase++)
	{
		if (mb_words_fold(*phrase, strlen(*phrase), own, NULL) == size &&
			memcmp(own, folded, size) == 0)
			return true;
	}
	return false;
}

/* Denied in the language of the phrase, or in another that has the same: what somebody speaks is not known. */
static bool
denied(const char *folded, size_t length, const mb_emergency_place *place, const char *phrase,
	   bool unspaced, const mb_emergency_language *language)
{
	const mb_emergency_language *each;

	for (int i = 0; (each = mb_emergency_language_at(i)) != NULL; i++)
	{
		if (each != language && !has_phrase(each, phrase, strlen(phrase)))
			continue;
		if (denied_before(folded, place->at, each) ||
			(unspaced && denied_without_spaces(folded, place->at, each->not )) ||
			denied_behind(folded, length, place->at + place->length, each->behind))
			return true;
	}
	return false;
}

bool
mb_emergency_find(const char *folded, size_t length, size_t from, const char *phrase,
				  const mb_emergency_language *language, mb_emergency_place *place)
{
	bool unspaced = mb_words_unspaced(phrase);
	/* the spaces around it stand for the borders of words */
	const char *wanted = unspaced && *phrase == ' ' ? phrase + 1 : phrase;
	size_t size = strlen(wanted) - (unspaced && *wanted != '\0' ? 1 : 0);

	if (strspn(phrase, " .") == strlen(phrase))
		return false;
	for (size_t at = from; at + size <= length; at++)
	{
		if (folded[at] != *wanted || memcmp(folded + at, wanted, size) != 0)
			continue;
		place->at = unspaced ? at : at + 1;
		place->length = unspaced ? size : size - 2;
		if (!denied(folded, length, place, phrase, unspaced, language))
			return true;
	}
	return false;
}
