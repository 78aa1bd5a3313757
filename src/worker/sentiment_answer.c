/*
 * sentiment_answer.c
 *	  Reads {"sentiment", "confidence"}, by itself or within what a language model wrote; see
 *	  kinds.h.
 */
#include "server/compat.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "core/text/json_text.h"
#include "worker/json_value.h"
#include "worker/kinds.h"

#define QUOTED 60	   /* bytes of a value in "ignored" */
#define CANDIDATES 100 /* objects that are looked at */

/* A known sentiment that the text is, in any case; NULL when it is none. */
static char *
known_sentiment(const char *text)
{
	static const char *const known[] = { "positive", "neutral", "negative" };

	for (int i = 0; i < lengthof(known); i++)
	{
		if (pg_strcasecmp(text, known[i]) == 0)
			return pstrdup(known[i]);
	}
	return NULL;
}

/* Remembers that a member of the answer was there and could not be used. */
static void
ignore(JsonbContainer *object, const char *name, mulberry_transcript *transcript)
{
	JsonbValue value;
	char *text;

	if (!mulberry_json_member(object, name, &value) || value.type == jbvNull)
		return;
	text = mulberry_json_text(object, name);
	if (text)
		text = pnstrdup(text, pg_mbcliplen(text, (int) strlen(text), QUOTED));
	transcript->ignored =
		psprintf("%s%s%s %s", transcript->ignored ? transcript->ignored : "",
				 transcript->ignored ? ", " : "", name, text ? text : "of another type");
}

void
mulberry_read_sentiment(JsonbContainer *object, mulberry_transcript *transcript)
{
	char *sentiment = mulberry_json_string(object, "sentiment");

	transcript->sentiment = sentiment ? known_sentiment(mulberry_trim(sentiment)) : NULL;
	if (transcript->sentiment == NULL)
		ignore(object, "sentiment", transcript);
	transcript->has_confidence =
		transcript->sentiment &&
		mulberry_json_number(object, "confidence", &transcript->confidence) &&
		transcript->confidence >= 0 && transcript->confidence <= 1;
	if (!transcript->has_confidence)
	{
		transcript->confidence = 0;
		ignore(object, "confidence", transcript);
	}
}

void
mulberry_find_sentiment(char *content, mulberry_transcript *transcript)
{
	size_t size = strlen(content);
	size_t at = 0;
	size_t length;
	char *word;

	/* the last one that can be used: what comes before it may have been thinking aloud */
	for (int i = 0; i < CANDIDATES && mb_json_find_object(content, size, &at, &length); i++)
	{
		Jsonb *object = mulberry_json_try(content + at, length);
		mulberry_transcript found = { 0 };

		if (object)
			mulberry_read_sentiment(&object->root, &found);
		if (found.sentiment)
		{
			found.text = transcript->text;
			*transcript = found;
		}
		at += object ? length : 1;
	}
	if (transcript->sentiment)
		return;
	word = mulberry_trim(pstrdup(content));
	while (word[0] && strchr("\"'*.`", word[0]))
		word++;
	for (size = strlen(word); size > 0 && strchr("\"'*.`!", word[size - 1]); size--)
		word[size - 1] = '\0';
	transcript->sentiment = known_sentiment(word);
}
