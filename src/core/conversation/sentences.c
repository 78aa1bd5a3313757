/*
 * sentences.c
 *	  See sentences.h.
 */
#include "core/conversation/sentences.h"

#include <string.h>

#define FIRST_WORDS 3  /* with a clause */
#define FIRST_MOST 8   /* without */
#define LATER_BYTES 60 /* with a sentence */
#define LATER_MOST 200 /* without */

static const char *const abbreviations[] = { "mr",	   "mrs",  "ms",  "dr",	 "prof", "st",	"no",
											 "nr",	   "vs",   "etc", "e.g", "i.e",	 "z.b", "ca",
											 "bzw",	   "sr",   "jr",  "inc", "ltd",	 "co",	"dept",
											 "approx", "hr",   "fr",  "str", "tel",	 "ext", "m",
											 "mme",	   "mlle", "dra", "sra" };

void
mb_sentences_init(mb_sentences *sentences)
{
	memset(sentences, 0, sizeof(*sentences));
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c + 'a' - 'A') : c;
}

/* Where the last word before "end" begins. */
static size_t
word_before(const char *text, size_t end)
{
	while (end > 0 && !is_space(text[end - 1]))
		end--;
	return end;
}

static bool
is_abbreviation(const char *word, size_t n)
{
	/* a single letter is an initial */
	if (n == 1 && ((word[0] >= 'A' && word[0] <= 'Z') || (word[0] >= 'a' && word[0] <= 'z')))
		return true;
	for (size_t i = 0; i < sizeof(abbreviations) / sizeof(abbreviations[0]); i++)
	{
		size_t k = 0;

		if (strlen(abbreviations[i]) != n)
			continue;
		while (k < n && lower(word[k]) == abbreviations[i][k])
			k++;
		if (k == n)
			return true;
	}
	return false;
}

static bool
is_address(const char *word, size_t n)
{
	for (size_t i = 0; i + 3 <= n; i++)
	{
		if (memcmp(word + i, "://", 3) == 0 || (i == 0 && memcmp(word, "www", 3) == 0))
			return true;
	}
	return memchr(word, '@', n) != NULL;
}

typedef enum cut
{
	NOWHERE,
	WORD,
	CLAUSE,
	SENTENCE
} cut;

/* What ends at a space behind n bytes. */
static cut
ends(const char *text, size_t n)
{
	size_t end = n;
	size_t word;
	char last;

	/* quotes and brackets belong to what they close */
	while (end > 0 && (text[end - 1] == '"' || text[end - 1] == '\''))
		end--;
	if (end == 0)
		return NOWHERE;
	last = text[end - 1];
	word = word_before(text, end);
	if (last == '!' || last == '?')
		return SENTENCE;
	if (last == '.')
	{
		size_t length = end - 1 - word;

		if (is_abbreviation(text + word, length) || is_address(text + word, end - word))
			return WORD;
		/* "3." may be the beginning of a list, or an ordinal */
		if (length > 0 && length <= 2 && is_digit(text[word]) && is_digit(text[end - 2]))
			return WORD;
		return SENTENCE;
	}
	if (last == ',' || last == ';' || last == ':')
		return CLAUSE;
	return WORD;
}

/* Whether between these words a number goes on: "555 01 23". */
static bool
in_number(const char *text, size_t n, char next)
{
	return n > 0 && is_digit(text[n - 1]) && (is_digit(next) || next == '+');
}

static size_t
count_words(const char *text, size_t n)
{
	size_t words = 0;

	for (size_t i = 0; i < n; i++)
		words += !is_space(text[i]) && (i == 0 || is_space(text[i - 1]));
	return words;
}

static void
emit(mb_sentences *s, size_t n, mb_sentence_callback piece, void *arg)
{
	size_t end = n;
	size_t from = 0;

	while (from < end && is_space(s->text[from]))
		from++;
	while (end > from && is_space(s->text[end - 1]))
		end--;
	if (end > from)
	{
		s->begun = true;
		piece(arg, s->text + from, end - from);
	}
	memmove(s->text, s->text + n, s->length - n);
	s->length -= n;
}

/* A word has ended, as the first character of the next one shows: is this the place for a cut? */
static void
look(mb_sentences *s, char next, mb_sentence_callback piece, void *arg)
{
	size_t n = s->length;
	cut found;
	size_t words;

	while (n > 0 && is_space(s->text[n - 1]))
		n--;
	if (n == 0 || n == s->length)
		return;
	found = ends(s->text, n);
	if (in_number(s->text, n, next) && found != SENTENCE)
		found = NOWHERE;
	if (!s->begun)
	{
		words = count_words(s->text, n);
		if (found == SENTENCE || (found == CLAUSE && words >= FIRST_WORDS) ||
			(found != NOWHERE && words >= FIRST_MOST))
			emit(s, s->length, piece, arg);
	}
	else if ((found == SENTENCE && n >= LATER_BYTES) || (found != NOWHERE && n >= LATER_MOST))
		emit(s, s->length, piece, arg);
}

/* No room is left: at the last word, or where it is. */
static void
make_room(mb_sentences *s, mb_sentence_callback piece, void *arg)
{
	size_t n = s->length;

	while (n > 0 && !is_space(s->text[n - 1]))
		n--;
	emit(s, n > 0 ? n : s->length, piece, arg);
}

static void
add(mb_sentences *s, const char *bytes, size_t n, mb_sentence_callback piece, void *arg)
{
	bool space = is_space(bytes[0]);

	if (space && (s->length == 0 || is_space(s->text[s->length - 1])))
		return;
	if (!space)
		look(s, bytes[0], piece, arg);
	if (s->length + n > MB_SENTENCE_ROOM)
		make_room(s, piece, arg);
	if (space)
		s->text[s->length++] = ' ';
	else
	{
		memcpy(s->text + s->length, bytes, n);
		s->length += n;
	}
}

/* Pictures, arrows, the joiners between them: nobody can say them. */
static bool
is_picture(const unsigned char *c, size_t n)
{
	uint32_t code = n == 4 ? (uint32_t) (c[0] & 7) << 18 | (uint32_t) (c[1] & 63) << 12 |
								 (uint32_t) (c[2] & 63) << 6 | (uint32_t) (c[3] & 63)
					: n == 3 ? (uint32_t) (c[0] & 15) << 12 | (uint32_t) (c[1] & 63) << 6 |
								   (uint32_t) (c[2] & 63)
							 : 0;

	return (code >= 0x1F000 && code <= 0x1FAFF) || (code >= 0x2600 && code <= 0x27BF) ||
		   (code >= 0x2190 && code <= 0x21FF) || (code >= 0x2B00 && code <= 0x2BFF) ||
		   code == 0x200D || (code >= 0xFE00 && code <= 0xFE0F) || code == 0x2022;
}

/* A character as a whole. */
static void
take(mb_sentences *s, const char *c, size_t n, mb_sentence_callback piece, void *arg)
{
	/* of [text](address) the text is said */
	if (s->link)
	{
		s->link = *c != ')';
		return;
	}
	if (n > 1)
	{
		if (!is_picture((const unsigned char *) c, n))
			add(s, c, n, piece, arg);
		return;
	}
	switch (*c)
	{
		case '*':
		case '`':
		case '#':
		case '~':
		case '|':
		case '[':
		case '{':
		case '}':
		case '<':
		case '>':
		case '\\':
			return;
		case '_':
			add(s, " ", 1, piece, arg);
			return;
		case ']':
			/* a link follows, or nothing does: the next character tells */
			add(s, c, 1, piece, arg);
			return;
		case '(':
			if (s->length > 0 && s->text[s->length - 1] == ']')
			{
				s->length--;
				s->link = true;
				return;
			}
			if (s->length > 0 && is_space(s->text[s->length - 1]))
				s->length--;
			if (s->length > 0)
				add(s, ",", 1, piece, arg);
			add(s, " ", 1, piece, arg);
			return;
		case ')':
			add(s, ",", 1, piece, arg);
			return;
		default:
			break;
	}
	if (s->length > 0 && s->text[s->length - 1] == ']')
		s->length--;
	if ((unsigned char) *c < ' ' && !is_space(*c))
		return;
	add(s, c, 1, piece, arg);
}

void
mb_sentences_feed(mb_sentences *s, const char *text, size_t n, mb_sentence_callback piece,
				  void *arg)
{
	for (size_t i = 0; i < n; i++)
	{
		unsigned char byte = (unsigned char) text[i];

		if (s->n_partial > 0 && (byte & 0xC0) == 0x80)
		{
			s->partial[s->n_partial++] = text[i];
			if (s->n_partial == s->wanted)
			{
				s->n_partial = 0;
				take(s, s->partial, s->wanted, piece, arg);
			}
			continue;
		}
		/* what is no UTF-8 is left out */
		s->n_partial = 0;
		if (byte < 0x80)
			take(s, text + i, 1, piece, arg);
		else if (byte >= 0xC2 && byte <= 0xF4)
		{
			s->wanted = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
			s->partial[s->n_partial++] = text[i];
		}
	}
}

void
mb_sentences_end(mb_sentences *s, mb_sentence_callback piece, void *arg)
{
	if (s->length > 0 && s->text[s->length - 1] == ']')
		s->length--;
	emit(s, s->length, piece, arg);
	mb_sentences_init(s);
}
