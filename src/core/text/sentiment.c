/*
 * sentiment.c
 *	  Judges the sentiment of a text by its words; see sentiment.h for what
 *	  the figures mean.
 *
 * The text is read once, through a window of as many words as the longest idiom
 * has.  At each word the longest entry of the lexicon that begins there is
 * taken.  Entries either carry a valence, or change the valence of what follows in
 * the same clause: negation, degree, contrast.
 */
#include "core/text/sentiment.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef enum entry_kind
{
	VALENCE, /* value: -5 to 5 */
	NEGATE,	 /* value: percent, negative */
	SCALE,	 /* value: percent */
	CONTRAST /* value: none */
} entry_kind;

typedef struct entry
{
	const char *words;
	uint8_t kind;
	int16_t value;
} entry;

static const entry lexicon[] = {
#include "core/text/sentiment_lexicon.inc"
};

#define LEXICON_SIZE (sizeof(lexicon) / sizeof(lexicon[0]))

/* Words of the longest idiom, and bytes of the longest word that is looked up. */
#define MAX_IDIOM 4
#define MAX_WORD 31

/* How many words a negation or a degree reaches, in its clause. */
#define NEGATION_REACH 4
#define SCALE_REACH 2

/* What "but" does to the part of the sentence before it and after it. */
#define BEFORE_CONTRAST 0.5
#define AFTER_CONTRAST 1.25

/* A sentence ends here if nothing else ends it, as in unpunctuated transcripts. */
#define MAX_SENTENCE 30

/* Strength of the pull to neutral; see sentiment.h. */
#define PRIOR 2.0
#define WORDS_PER_PRIOR 50.0
#define THRESHOLD 0.25

typedef enum boundary
{
	NO_BOUNDARY,
	CLAUSE_BOUNDARY,
	SENTENCE_BOUNDARY
} boundary;

/* A word in lower case, and what ended before it. */
typedef struct word
{
	char text[MAX_WORD + 1]; /* empty when it is too long for the lexicon */
	boundary before;
} word;

typedef struct reader
{
	const char *at;
	const char *end;
} reader;

/* What words do to those that follow them. */
typedef struct judge
{
	double negation; /* factor, 0 when there is none */
	int negation_left;
	double scale;
	int scale_left;
	double weight; /* AFTER_CONTRAST behind a contrast */
	double positive;
	double negative; /* of this sentence */
	int sentence_words;
} judge;

static bool next_word(reader *reader, word *word);
static const entry *longest_entry(const word *window, int count, int *used);
static void begin_clause(judge *judge);
static void end_sentence(judge *judge, mb_sentiment_result *result);
static void apply(judge *judge, const entry *found, mb_sentiment_result *result);
static void conclude(mb_sentiment_result *result);

void
mb_sentiment_judge(const char *text, size_t length, mb_sentiment_result *result)
{
	reader reader = { text, text + length };
	word window[MAX_IDIOM];
	int count = 0;
	judge judge = { 0 };

	memset(result, 0, sizeof(*result));
	judge.weight = 1;
	for (;;)
	{
		const entry *found;
		int used = 1;

		while (count < MAX_IDIOM && next_word(&reader, &window[count]))
			count++;
		if (count == 0)
			break;

		if (window[0].before == SENTENCE_BOUNDARY || judge.sentence_words >= MAX_SENTENCE)
			end_sentence(&judge, result);
		if (window[0].before != NO_BOUNDARY)
			begin_clause(&judge);

		found = longest_entry(window, count, &used);
		if (found != NULL)
			apply(&judge, found, result);
		/* the words that changed nothing use up the reach of those before them */
		if (found == NULL || found->kind == VALENCE)
		{
			judge.negation_left -= used;
			judge.scale_left -= used;
		}
		judge.sentence_words += used;
		result->words += (size_t) used;
		count -= used;
		memmove(window, window + used, (size_t) count * sizeof(word));
	}
	end_sentence(&judge, result);
	conclude(result);
}

const char *
mb_sentiment_name(mb_sentiment sentiment)
{
	switch (sentiment)
	{
		case MB_SENTIMENT_NEGATIVE:
			return "negative";
		case MB_SENTIMENT_NEUTRAL:
			return "neutral";
		case MB_SENTIMENT_POSITIVE:
			return "positive";
	}
	return NULL;
}

/* ---------------------------------------------------------------------------
 * Meaning
 * ---------------------------------------------------------------------------
 */

static void
begin_clause(judge *judge)
{
	judge->negation = 0;
	judge->negation_left = 0;
	judge->scale = 1;
	judge->scale_left = 0;
}

static void
end_sentence(judge *judge, mb_sentiment_result *result)
{
	result->positive += judge->positive;
	result->negative += judge->negative;
	judge->positive = judge->negative = 0;
	judge->weight = 1;
	judge->sentence_words = 0;
	begin_clause(judge);
}

static void
apply(judge *judge, const entry *found, mb_sentiment_result *result)
{
	double valence;

	switch ((entry_kind) found->kind)
	{
		case NEGATE:
			judge->negation = found->value / 100.0;
			judge->negation_left = NEGATION_REACH;
			return;

		case SCALE:
			/* "not very good" is less than good, but not turned round strongly */
			judge->scale = found->value / 100.0;
			judge->scale_left = SCALE_REACH;
			return;

		case CONTRAST:
			judge->positive *= BEFORE_CONTRAST;
			judge->negative *= BEFORE_CONTRAST;
			judge->weight = AFTER_CONTRAST;
			begin_clause(judge);
			return;

		case VALENCE:
			break;
	}

	if (found->value == 0)
		return;
	valence = found->value;
	if (judge->scale_left > 0)
		valence *= judge->scale;
	if (judge->negation_left > 0)
		valence *= judge->negation;
	valence *= judge->weight;
	if (valence > 0)
		judge->positive += valence;
	else
		judge->negative -= valence;
	result->hits++;
}

/* Score, sentiment and confidence from the sums. */
static void
conclude(mb_sentiment_result *result)
{
	double evidence = result->positive + result->negative;
	double distance;
	double support;

	if (result->words == 0)
		return;

	result->score = (result->positive - result->negative) /
					(evidence + PRIOR + (double) result->words / WORDS_PER_PRIOR);
	if (fabs(result->score) < THRESHOLD)
	{
		result->sentiment = MB_SENTIMENT_NEUTRAL;
		distance = 1 - fabs(result->score) / THRESHOLD;
		support = (double) result->words / ((double) result->words + 3);
	}
	else
	{
		result->sentiment = result->score > 0 ? MB_SENTIMENT_POSITIVE : MB_SENTIMENT_NEGATIVE;
		distance = (fabs(result->score) - THRESHOLD) / (1 - THRESHOLD);
		support = (double) result->hits / ((double) result->hits + 1);
	}
	result->confidence = 0.5 + 0.5 * distance * support;
}

/* ---------------------------------------------------------------------------
 * Lexicon
 * ---------------------------------------------------------------------------
 */

static const entry *
find_entry(const char *words)
{
	size_t low = 0;
	size_t high = LEXICON_SIZE;

	while (low < high)
	{
		size_t middle = low + (high - low) / 2;
		int order = strcmp(words, lexicon[middle].words);

		if (order == 0)
			return &lexicon[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/*
 * The entry with the most words that begins at the window, none of which crosses the end
 * of a clause.  A hyphenated word that is none as a whole comes as its parts.
 */
static const entry *
longest_entry(const word *window, int count, int *used)
{
	char words[MAX_IDIOM * (MAX_WORD + 1)];
	const entry *found = NULL;
	size_t size = 0;

	for (int i = 0; i < count; i++)
	{
		const entry *candidate;
		size_t length = strlen(window[i].text);

		if (length == 0 || (i > 0 && window[i].before != NO_BOUNDARY))
			break;
		if (i > 0)
			words[size++] = ' ';
		memcpy(words + size, window[i].text, length + 1);
		size += length;
		candidate = find_entry(words);
		if (candidate != NULL)
		{
			found = candidate;
			*used = i + 1;
		}
	}
	return found;
}

/* ---------------------------------------------------------------------------
 * Words
 * ---------------------------------------------------------------------------
 */

typedef enum character
{
	LETTER,
	JOINER, /* apostrophe or hyphen: part of a word only between letters */
	SPACE,
	CLAUSE_END,
	SENTENCE_END
} character;

/*
 * Reads one character, in lower case, into folded (at most 4 bytes); returns its
 * class.  Lower case is made of ASCII and Latin-1 letters; no word of the lexicon has others.
 */
static character
next_character(reader *reader, char folded[4], int *size)
{
	unsigned char first = (unsigned char) *reader->at++;
	ptrdiff_t left = reader->end - reader->at;
	unsigned char second = left > 0 ? (unsigned char) reader->at[0] : 0;
	unsigned char third = left > 1 ? (unsigned char) reader->at[1] : 0;

	folded[0] = (char) first;
	*size = 1;
	if (first < 0x80)
	{
		if (first >= 'A' && first <= 'Z')
			folded[0] = (char) (first - 'A' + 'a');
		if ((folded[0] >= 'a' && folded[0] <= 'z') || (first >= '0' && first <= '9'))
			return LETTER;
		switch (first)
		{
			case '\'':
			case '-':
				return JOINER;
			case ',':
			case ':':
			case '(':
			case ')':
			case '"':
				return CLAUSE_END;
			case '.':
			case '!':
			case '?':
			case ';':
			case '\n':
				return SENTENCE_END;
			default:
				return SPACE;
		}
	}

	/* U+0080 to U+00FF: signs, then letters whose cases differ by 0x20 */
	if ((first == 0xC2 || first == 0xC3) && (second & 0xC0) == 0x80)
	{
		reader->at++;
		folded[1] = (char) second;
		*size = 2;
		if (first == 0xC2)
			return SPACE;
		if (second == 0x97 || second == 0xB7) /* multiplication and division sign */
			return SPACE;
		if (second >= 0x80 && second <= 0x9E)
			folded[1] = (char) (second + 0x20);
		return LETTER;
	}

	/* U+2000 to U+206F, general punctuation */
	if (first == 0xE2 && (second == 0x80 || second == 0x81) && (third & 0xC0) == 0x80)
	{
		reader->at += 2;
		if (second == 0x80 && third == 0x99) /* typographic apostrophe */
		{
			folded[0] = '\'';
			return JOINER;
		}
		if (second == 0x80 && (third == 0x90 || third == 0x91)) /* hyphens */
		{
			folded[0] = '-';
			return JOINER;
		}
		if (second == 0x80 && third == 0xA6) /* ellipsis */
			return SENTENCE_END;
		if (second == 0x80 && third >= 0x93 && third <= 0x9F) /* dashes, quotation marks */
			return CLAUSE_END;
		return SPACE;
	}
	return LETTER;
}

/*
 * The next word, false at the end.  A word is letters and digits, with joiners between them;
 * a hyphenated one that the lexicon has not is given as its parts, and what
 * follows a hyphen begins no clause.
 */
static bool
next_word(reader *reader, word *word)
{
	struct reader start;
	size_t length = 0;
	size_t first_part = 0; /* length before the first hyphen */
	struct reader after_first_part = *reader;
	bool too_long = false;
	char pending = 0;

	word->before = NO_BOUNDARY;
	start = *reader;
	while (reader->at < reader->end)
	{
		char folded[4];
		int size;
		struct reader before = *reader;
		character class = next_character(reader, folded, &size);

		if (class == LETTER)
		{
			if (length + (pending != 0) + (size_t) size > MAX_WORD)
			{
				too_long = true;
				if (first_part > 0)
					break; /* a chain of hyphens must not be read to its end at each part */
			}
			else
			{
				if (pending == '-' && first_part == 0)
				{
					first_part = length;
					after_first_part = start;
				}
				if (pending != 0)
					word->text[length++] = pending;
				memcpy(word->text + length, folded, (size_t) size);
				length += (size_t) size;
			}
			pending = 0;
		}
		else if (length == 0 && !too_long)
		{
			/* between words */
			if (class == CLAUSE_END && word->before == NO_BOUNDARY)
				word->before = CLAUSE_BOUNDARY;
			if (class == SENTENCE_END)
				word->before = SENTENCE_BOUNDARY;
		}
		else if (class == JOINER && pending == 0 && !too_long)
		{
			pending = folded[0];
			start = *reader;
		}
		else
		{
			*reader = before;
			break;
		}
	}

	if (length == 0 && !too_long)
		return false;
	word->text[too_long ? 0 : length] = '\0';
	if (first_part > 0 && (too_long || find_entry(word->text) == NULL))
	{
		word->text[first_part] = '\0';
		*reader = after_first_part;
	}
	return true;
}
