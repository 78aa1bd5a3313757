/*
 * segments.c
 *	  Segments and words of an answer; see segments.h.
 */
#include "server/compat.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "core/text/timing.h"
#include "worker/json_value.h"
#include "worker/segments.h"

#define LONGEST_SPEAKER 255 /* bytes */

/* Where words without segments are cut. */
#define PAUSE 0.6	 /* s between two words */
#define LONGEST 10.0 /* s in one segment */

/* A member that is an array of objects; NULL when it is none, or empty. */
static JsonbContainer *
array_member(JsonbContainer *object, const char *name)
{
	JsonbValue value;
	JsonbContainer *array;

	if (!mulberry_json_member(object, name, &value) ||
		(array = mulberry_json_container(&value)) == NULL || !JsonContainerIsArray(array) ||
		JsonContainerSize(array) == 0)
		return NULL;
	return array;
}

/* A number by the first of these names that has one; NaN when none has. */
static double
number_of(JsonbContainer *object, const char *const *names)
{
	double number;

	for (; *names; names++)
	{
		if (mulberry_json_number(object, *names, &number))
			return number;
	}
	return NAN;
}

static double
confidence_of(JsonbContainer *object)
{
	static const char *const names[] = { "confidence", "probability", "score", NULL };
	double confidence = number_of(object, names);

	return confidence >= 0 && confidence <= 1 ? confidence : NAN;
}

static double
start_of(JsonbContainer *object)
{
	static const char *const names[] = { "start", NULL };

	return number_of(object, names);
}

static double
end_of(JsonbContainer *object)
{
	static const char *const names[] = { "end", NULL };

	return number_of(object, names);
}

static char *
speaker_of(JsonbContainer *object)
{
	char *speaker = mulberry_json_text(object, "speaker");

	if (speaker == NULL)
		return NULL;
	speaker = mulberry_trim(speaker);
	speaker[pg_mbcliplen(speaker, (int) strlen(speaker), LONGEST_SPEAKER)] = '\0';
	return speaker[0] ? speaker : NULL;
}

/* Reads words, of which those without text are left out. */
static mulberry_word *
read_words(JsonbContainer *array, int *n)
{
	mulberry_word *words;

	*n = 0;
	if (array == NULL)
		return NULL;
	words = palloc_extended(sizeof(*words) * JsonContainerSize(array), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < JsonContainerSize(array); i++)
	{
		JsonbContainer *word = mulberry_json_container(getIthJsonbValueFromContainer(array, i));
		char *text = word ? mulberry_json_string(word, "word") : NULL;

		if (word && text == NULL)
			text = mulberry_json_string(word, "text");
		if (text == NULL || *(text = mulberry_trim(text)) == '\0')
			continue;
		words[(*n)++] = (mulberry_word){ .text = text,
										 .speaker = speaker_of(word),
										 .start = start_of(word),
										 .end = end_of(word),
										 .confidence = confidence_of(word) };
	}
	return words;
}

/* The confidence in a segment: its own, or the one that its mean logarithm of a probability stands for. */
static double
segment_confidence(JsonbContainer *segment)
{
	double confidence = confidence_of(segment);
	double logarithm;

	if (isnan(confidence) && mulberry_json_number(segment, "avg_logprob", &logarithm) &&
		logarithm <= 0)
		confidence = exp(logarithm);
	return confidence;
}

void
mulberry_read_segments(JsonbContainer *object, bool (*is_silent)(JsonbContainer *),
					   mulberry_segments *segments)
{
	JsonbContainer *array = array_member(object, "segments");

	memset(segments, 0, sizeof(*segments));
	segments->words = read_words(array_member(object, "words"), &segments->nwords);
	if (array == NULL)
		return;
	segments->list =
		palloc_extended(sizeof(*segments->list) * JsonContainerSize(array), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < JsonContainerSize(array); i++)
	{
		JsonbContainer *object_i = mulberry_json_container(getIthJsonbValueFromContainer(array, i));
		char *text = object_i ? mulberry_json_string(object_i, "text") : NULL;
		mulberry_segment *segment = &segments->list[segments->n];

		if (text == NULL || *(text = mulberry_trim(text)) == '\0')
			continue;
		*segment = (mulberry_segment){ .text = text,
									   .speaker = speaker_of(object_i),
									   .start = start_of(object_i),
									   .end = end_of(object_i),
									   .confidence = segment_confidence(object_i),
									   .silent = is_silent && is_silent(object_i) };
		segment->words = read_words(array_member(object_i, "words"), &segment->nwords);
		segments->n++;
	}
}

char *
mulberry_segments_text(const mulberry_segments *segments, int *dropped)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < segments->n; i++)
	{
		if (segments->list[i].silent)
		{
			(*dropped)++;
			continue;
		}
		appendStringInfo(&text, "%s%s", text.len > 0 ? " " : "", segments->list[i].text);
	}
	return text.data;
}

static bool
same_speaker(const char *one, const char *other)
{
	return one == other || (one && other && strcmp(one, other) == 0);
}

/* Mends the times of words that follow each other. */
static void
mend_words(mulberry_word *words, int n, double from, double to)
{
	mb_timing *pieces = palloc_extended(sizeof(*pieces) * Max(n, 1), MCXT_ALLOC_HUGE);

	for (int i = 0; i < n; i++)
		pieces[i] = (mb_timing){ .start = words[i].start, .end = words[i].end };
	mb_timing_mend(pieces, n, from, to);
	for (int i = 0; i < n; i++)
	{
		words[i].start = pieces[i].start;
		words[i].end = pieces[i].end;
	}
	pfree(pieces);
}

/* The number of the speaker of each piece, for which names that come first are looked up first. */
static void
number_speakers(const mulberry_segments *segments, mb_timing *pieces)
{
	int *first = palloc_extended(sizeof(int) * Max(segments->n, 1), MCXT_ALLOC_HUGE);
	int n = 0;

	for (int i = 0; i < segments->n; i++)
	{
		int k = 0;

		/* who speaks is known of few; beyond these all are taken for one */
		while (k < n && k < 100 &&
			   !same_speaker(segments->list[first[k]].speaker, segments->list[i].speaker))
			k++;
		if (k == n)
			first[n++] = i;
		pieces[i].speaker = k;
	}
	pfree(first);
}

static void
mend_segments(mulberry_segments *segments, double to)
{
	mb_timing *pieces = palloc_extended(sizeof(*pieces) * Max(segments->n, 1), MCXT_ALLOC_HUGE);

	for (int i = 0; i < segments->n; i++)
		pieces[i] = (mb_timing){ .start = segments->list[i].start, .end = segments->list[i].end };
	number_speakers(segments, pieces);
	mb_timing_mend(pieces, segments->n, 0, to);
	for (int i = 0; i < segments->n; i++)
	{
		segments->list[i].start = pieces[i].start;
		segments->list[i].end = pieces[i].end;
	}
	pfree(pieces);
}

static int
count_words(const char *text)
{
	int n = 0;

	while (*(text += strspn(text, " \t\r\n")) != '\0')
	{
		text += strcspn(text, " \t\r\n");
		n++;
	}
	return n;
}

/*
 * Gives the words beside the segments to these: by number where the segments have as many words as
 * there are, else by time.
 */
static void
distribute_words(mulberry_segments *segments)
{
	int64 wanted = 0;
	int next = 0;

	for (int i = 0; i < segments->n; i++)
		wanted += count_words(segments->list[i].text);
	for (int i = 0; i < segments->n; i++)
	{
		mulberry_segment *segment = &segments->list[i];
		bool last = i + 1 == segments->n;

		segment->words = segments->words + next;
		segment->nwords = 0;
		while (next < segments->nwords)
		{
			const mulberry_word *word = &segments->words[next];

			if (wanted == segments->nwords
					? segment->nwords == count_words(segment->text)
					: !last && (word->start + word->end) / 2 >= segments->list[i + 1].start)
				break;
			segment->nwords++;
			next++;
		}
	}
}

/* Cuts words into segments. */
static void
segments_of_words(mulberry_segments *segments)
{
	StringInfoData text;

	segments->list = palloc_extended(sizeof(*segments->list) * segments->nwords, MCXT_ALLOC_HUGE);
	for (int next = 0; next < segments->nwords;)
	{
		mulberry_segment *segment = &segments->list[segments->n++];
		mulberry_word *words = segments->words + next;
		int n = 0;

		initStringInfo(&text);
		do
			appendStringInfo(&text, "%s%s", n > 0 ? " " : "", words[n].text);
		while (next + ++n < segments->nwords && words[n].start - words[n - 1].end < PAUSE &&
			   words[n].end - words[0].start <= LONGEST &&
			   same_speaker(words[n].speaker, words[0].speaker));
		*segment = (mulberry_segment){ .text = text.data,
									   .speaker = words[0].speaker,
									   .start = words[0].start,
									   .end = words[n - 1].end,
									   .confidence = NAN,
									   .words = words,
									   .nwords = n };
		next += n;
	}
}

/* What is known of the words of a segment says more than what is known of it. */
static void
believe_words(mulberry_segment *segment)
{
	double sum = 0;

	if (segment->nwords == 0)
		return;
	if (!isnan(segment->words[0].start))
		segment->start = segment->words[0].start;
	if (!isnan(segment->words[segment->nwords - 1].end))
		segment->end = segment->words[segment->nwords - 1].end;
	for (int i = 0; i < segment->nwords; i++)
		sum += segment->words[i].confidence;
	if (isnan(segment->confidence))
		segment->confidence = sum / segment->nwords;
}

static void
forget_times(mulberry_segments *segments)
{
	for (int i = 0; i < segments->n; i++)
	{
		mulberry_segment *segment = &segments->list[i];

		segment->start = segment->end = NAN;
		for (int k = 0; k < segment->nwords; k++)
			segment->words[k].start = segment->words[k].end = NAN;
	}
}

static void
drop_silent(mulberry_segments *segments)
{
	int n = 0;

	for (int i = 0; i < segments->n; i++)
	{
		if (!segments->list[i].silent)
			segments->list[n++] = segments->list[i];
	}
	segments->n = n;
}

void
mulberry_place_segments(mulberry_segments *segments, const char *text, double seconds)
{
	if (text[0] == '\0')
	{
		segments->n = 0;
		return;
	}
	if (segments->n == 0 && segments->nwords == 0)
	{
		segments->list = palloc(sizeof(*segments->list));
		segments->list[segments->n++] = (mulberry_segment){
			.text = pstrdup(text), .start = NAN, .end = NAN, .confidence = NAN
		};
	}
	if (isnan(seconds))
	{
		if (segments->n == 0)
			segments_of_words(segments);
		drop_silent(segments);
		forget_times(segments);
		return;
	}
	mend_words(segments->words, segments->nwords, 0, seconds);
	if (segments->n == 0)
		segments_of_words(segments);
	else if (segments->nwords > 0)
	{
		mend_segments(segments, seconds);
		distribute_words(segments);
	}
	for (int i = 0; i < segments->n; i++)
		believe_words(&segments->list[i]);
	drop_silent(segments);
	mend_segments(segments, seconds);
	for (int i = 0; i < segments->n; i++)
		mend_words(segments->list[i].words, segments->list[i].nwords, segments->list[i].start,
				   segments->list[i].end);
}

/* A time that is not known is left out. */
static void
append_times(StringInfo json, double start, double end, double confidence, double offset)
{
	if (!isnan(start) && !isnan(end))
		appendStringInfo(json, ",\"start_ms\":%.0f,\"end_ms\":%.0f", round((start + offset) * 1000),
						 round((end + offset) * 1000));
	if (!isnan(confidence))
		appendStringInfo(json, ",\"confidence\":%.4f", confidence);
}

Jsonb *
mulberry_segments_json(const mulberry_segments *segments, double offset)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	for (int i = 0; i < segments->n; i++)
	{
		const mulberry_segment *segment = &segments->list[i];

		appendStringInfoString(&json, i > 0 ? ",{\"text\":" : "{\"text\":");
		escape_json(&json, segment->text);
		if (segment->speaker)
		{
			appendStringInfoString(&json, ",\"speaker\":");
			escape_json(&json, segment->speaker);
		}
		append_times(&json, segment->start, segment->end, segment->confidence, offset);
		if (segment->nwords > 0)
			appendStringInfoString(&json, ",\"words\":[");
		for (int k = 0; k < segment->nwords; k++)
		{
			const mulberry_word *word = &segment->words[k];

			appendStringInfoString(&json, k > 0 ? ",{\"word\":" : "{\"word\":");
			escape_json(&json, word->text);
			append_times(&json, word->start, word->end, word->confidence, offset);
			appendStringInfoChar(&json, '}');
		}
		appendStringInfoString(&json, segment->nwords > 0 ? "]}" : "}");
	}
	appendStringInfoChar(&json, ']');
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}
