/*
 * turn_text.c
 *	  What a transcript means for a turn; see turn_text.h.
 */
#include "core/conversation/turn_text.h"

#include "core/text/words.h"

#include <string.h>

#define MOST_WORDS                                                                                 \
	4 /* of a phrase in a list that is looked for at the end of a text, or all over it */

/* A text folded, as its words one by one. */
typedef struct folded
{
	char text[MB_WORDS_ROOM(MB_TURN_TAIL)];
	size_t length;
	int words;
} folded;

/* The last MB_TURN_TAIL bytes, from the beginning of a character on. */
static const char *
tail_of(const char *text, size_t *n)
{
	const char *from = text;

	if (*n > MB_TURN_TAIL)
	{
		from = text + (*n - MB_TURN_TAIL);
		while (from < text + *n && ((unsigned char) *from & 0xC0) == 0x80)
			from++;
		*n -= (size_t) (from - text);
	}
	return from;
}

static bool
is_word(const char *word, size_t n)
{
	return n > 0 && !(n == 1 && word[0] == '.');
}

/* The word at or behind "from" of a folded text, ends of clauses left out; false behind the last. */
static bool
next_word(const char *text, size_t length, size_t *from, const char **word, size_t *n)
{
	while (*from < length)
	{
		size_t end = *from;

		while (end < length && text[end] != ' ')
			end++;
		*word = text + *from;
		*n = end - *from;
		*from = end + 1;
		if (is_word(*word, *n))
			return true;
	}
	return false;
}

static void
fold(folded *f, const char *text, size_t n)
{
	size_t from = 0;
	const char *word;
	size_t length;

	text = tail_of(text, &n);
	f->length = mb_words_fold(text, n, f->text, NULL);
	f->words = 0;
	while (next_word(f->text, f->length, &from, &word, &length))
		f->words++;
}

/* The phrase of n bytes is in the list. */
static bool
listed(const char *list, const char *phrase, size_t n)
{
	if (list == NULL)
		return false;
	for (const char *at = list; *at != '\0';)
	{
		size_t length = strcspn(at, "\n");

		if (length == n && length > 0 && memcmp(at, phrase, n) == 0)
			return true;
		at += length;
		if (*at == '\n')
			at++;
	}
	return false;
}

/* One of the list's phrases is in the text, as whole words. */
static bool
contains_one(const char *list, const folded *f)
{
	if (list == NULL)
		return false;
	for (const char *at = list; *at != '\0';)
	{
		size_t length = strcspn(at, "\n");

		if (length > 0 && length + 2 <= f->length)
		{
			for (size_t i = 0; i + length + 2 <= f->length; i++)
			{
				if (f->text[i] == ' ' && f->text[i + length + 1] == ' ' &&
					memcmp(f->text + i + 1, at, length) == 0)
					return true;
			}
		}
		at += length;
		if (*at == '\n')
			at++;
	}
	return false;
}

/* The text ends with one of the list's phrases, of at most MOST_WORDS words each. */
static bool
ends_with_one(const char *list, const folded *f)
{
	const char *begins[MOST_WORDS]; /* of the last words of a clause, the last one first */
	const char *end = f->text;
	int words = 0;
	size_t from = 0;
	const char *word;
	size_t n;

	while (next_word(f->text, f->length, &from, &word, &n))
	{
		if (word != end + 1)
			words = 0;
		memmove(begins + 1, begins, (MOST_WORDS - 1) * sizeof(begins[0]));
		begins[0] = word;
		words += words < MOST_WORDS;
		end = word + n;
	}
	for (int i = 0; i < words; i++)
	{
		if (listed(list, begins[i], (size_t) (end - begins[i])))
			return true;
	}
	return false;
}

/*
 * The text is made of the list's phrases, of at most MOST_WORDS words each, and nothing else: the longest
 * that fits is taken first.
 */
static bool
made_of(const char *list, const folded *f)
{
	size_t from = 0;
	const char *word;
	size_t n;

	while (next_word(f->text, f->length, &from, &word, &n))
	{
		size_t ends[MOST_WORDS];
		size_t after[MOST_WORDS];
		int words = 0;
		size_t ahead = from;
		const char *other;
		size_t other_n;

		ends[words] = n;
		after[words++] = from;
		while (words < MOST_WORDS && next_word(f->text, f->length, &ahead, &other, &other_n) &&
			   other == word + ends[words - 1] + 1)
		{
			ends[words] = (size_t) (other - word) + other_n;
			after[words++] = ahead;
		}
		while (words > 0 && !listed(list, word, ends[words - 1]))
			words--;
		if (words == 0)
			return false;
		from = after[words - 1];
	}
	return f->words > 0;
}

static bool
all_digits(const char *word, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (word[i] < '0' || word[i] > '9')
			return false;
	return n > 0;
}

/* Digits that a word stands for. */
static int
digits_of(const mb_turn_settings *settings, const char *word, size_t n)
{
	if (all_digits(word, n))
		return (int) n;
	return listed(settings->list[MB_TURN_NUMBER_WORDS], word, n) ? 1 : 0;
}

/* A letter of a word that is spelled: one character. */
static bool
is_letter(const char *word, size_t n)
{
	return (n == 1 && word[0] >= 'a' && word[0] <= 'z') ||
		   (n > 1 && n <= 4 && ((unsigned char) word[0] & 0xC0) == 0xC0 &&
			(size_t) ((unsigned char) word[0] >= 0xF0	? 4
					  : (unsigned char) word[0] >= 0xE0 ? 3
														: 2) == n);
}

/* What stands behind the last word: the last character of n bytes, as code of its kind. */
static char
last_sign(const char *text, size_t n)
{
	static const struct
	{
		const char *bytes;
		char kind;
	} signs[] = {
		{ "...", ',' },
		{ "\xE2\x80\xA6", ',' },
		{ ",", ',' },
		{ "-", ',' },
		{ ":", ',' },
		{ ";", ',' },
		{ "\xE3\x80\x81", ',' },
		{ "\xEF\xBC\x8C", ',' },
		{ "\xE2\x80\x93", ',' },
		{ ".", '.' },
		{ "!", '.' },
		{ "\xE3\x80\x82", '.' },
		{ "\xEF\xBC\x81", '.' },
		{ "?", '?' },
		{ "\xEF\xBC\x9F", '?' },
		{ "\xD8\x9F", '?' },
	};

	while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '"' || text[n - 1] == '\'' ||
					 text[n - 1] == '\n' || text[n - 1] == ')'))
		n--;
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
	{
		size_t length = strlen(signs[i].bytes);

		if (n >= length && memcmp(text + n - length, signs[i].bytes, length) == 0)
			return signs[i].kind;
	}
	return 0;
}

bool
mb_text_asks(const char *text, size_t n)
{
	return last_sign(text, n) == '?';
}

mb_text_class
mb_text_class_of(const mb_turn_settings *settings, const char *text, size_t n,
				 mb_turn_expectation expectation)
{
	folded f;
	size_t from = 0;
	const char *word;
	const char *last = "";
	const char *before = "";
	size_t length;
	size_t last_n = 0;
	size_t before_n = 0;
	int digits = 0;
	char sign;

	fold(&f, text, n);
	if (f.words == 0)
		return MB_TEXT_NONE;
	while (next_word(f.text, f.length, &from, &word, &length))
	{
		digits += digits_of(settings, word, length);
		before = last;
		before_n = last_n;
		last = word;
		last_n = length;
	}
	sign = last_sign(text, n);
	if (expectation.digits > 0 && digits > 0)
		return digits >= expectation.digits ? MB_TEXT_ANSWER : MB_TEXT_DIGITS;
	if (expectation.closed && made_of(settings->list[MB_TURN_CLOSED_ANSWERS], &f))
		return MB_TEXT_ANSWER;
	if (sign == '?')
		return MB_TEXT_TERMINAL;
	if (ends_with_one(settings->list[MB_TURN_OPEN_ENDS], &f))
		return MB_TEXT_OPEN;
	/* two digits or letters make a number or a spelling, whatever the recogniser puts behind it */
	if (digits_of(settings, last, last_n) > 0
			? f.words == 1 || digits_of(settings, last, last_n) > 2 ||
				  digits_of(settings, before, before_n) > 0 || sign != '.'
			: is_letter(last, last_n) && is_letter(before, before_n))
		return MB_TEXT_DIGITS;
	if (sign == ',')
		return MB_TEXT_OPEN;
	return sign == '.' ? MB_TEXT_TERMINAL : MB_TEXT_NEUTRAL;
}

mb_text_weight
mb_text_weight_of(const mb_turn_settings *settings, const char *text, size_t n, int *words)
{
	folded f;

	fold(&f, text, n);
	*words = f.words;
	if (f.words == 0)
		return MB_WEIGHT_EMPTY;
	if (contains_one(settings->list[MB_TURN_EMERGENCY], &f))
		return MB_WEIGHT_EMERGENCY;
	if (contains_one(settings->list[MB_TURN_ALWAYS], &f))
		return MB_WEIGHT_ALWAYS;
	if (n > MB_TURN_TAIL)
		return MB_WEIGHT_WORDS;
	if (made_of(settings->list[MB_TURN_NEVER], &f))
		return MB_WEIGHT_NEVER;
	if (f.words <= settings->number[MB_TURN_BACKCHANNEL_WORDS] &&
		made_of(settings->list[MB_TURN_BACKCHANNELS], &f))
		return MB_WEIGHT_BACKCHANNEL;
	return MB_WEIGHT_WORDS;
}

bool
mb_text_repeats(const char *text, size_t n, const char *spoken, size_t spoken_n)
{
	folded said;
	folded other;
	size_t from = 0;
	size_t in = 0;
	const char *word;
	const char *match;
	size_t length;
	size_t match_n;

	fold(&said, text, n);
	fold(&other, spoken, spoken_n);
	if (said.words < 2)
		return false;
	while (next_word(said.text, said.length, &from, &word, &length))
	{
		bool found = false;

		while (!found && next_word(other.text, other.length, &in, &match, &match_n))
			found = match_n == length && memcmp(match, word, length) == 0;
		if (!found)
			return false;
	}
	return true;
}

uint32_t
mb_text_words_hash(const char *text, size_t n)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	/* in parts that fit, which begin behind a space, so that no word is cut */
	while (n > 0)
	{
		folded f;
		size_t part = n < MB_TURN_TAIL ? n : MB_TURN_TAIL;
		size_t from = 0;
		const char *word;
		size_t length;

		if (part < n)
		{
			size_t end = part;

			while (end > 0 && text[end] != ' ')
				end--;
			part = end > 0 ? end : part;
		}
		fold(&f, text, part);
		while (next_word(f.text, f.length, &from, &word, &length))
		{
			for (size_t i = 0; i < length; i++)
				hash = (hash ^ (unsigned char) word[i]) * 16777619u;
			hash = (hash ^ ' ') * 16777619u;
		}
		text += part;
		n -= part;
	}
	return hash;
}

uint32_t
mb_text_fitting(const char *text, uint32_t n, uint32_t room)
{
	if (n <= room)
		return n;
	while (room > 0 && ((unsigned char) text[room] & 0xC0) == 0x80)
		room--;
	return room;
}

void
mb_turn_fold_list(const char *lines, size_t n, char *out)
{
	size_t length = 1;

	out[0] = '\n';
	for (size_t at = 0; at < n;)
	{
		const char *end = memchr(lines + at, '\n', n - at);
		size_t line = end != NULL ? (size_t) (end - lines) - at : n - at;
		/* what is folded is longer than the list by no more than its own margin */
		char *folded = out + length;
		size_t folded_n = mb_words_fold(lines + at, line, folded, NULL);
		size_t from = 0;
		size_t begin = length;
		const char *word;
		size_t word_n;

		while (next_word(folded, folded_n, &from, &word, &word_n))
		{
			if (length > begin)
				out[length++] = ' ';
			memmove(out + length, word, word_n);
			length += word_n;
		}
		if (length > begin)
			out[length++] = '\n';
		at += line + 1;
	}
	out[length] = '\0';
}
