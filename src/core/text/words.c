/*
 * words.c
 *	  Texts as words that compare; see words.h.
 */
#include <string.h>

#include "core/text/utf8.h"
#include "core/text/words.h"

/* Letters that are written otherwise once they are folded, by code point: up to three letters, of UTF-16. */
static const struct
{
	uint16_t from;
	uint16_t to[3];
} foldings[] = {
#include "core/text/folding.inc"
};

#define N_FOLDINGS (sizeof(foldings) / sizeof(foldings[0]))

typedef enum kind
{
	LETTER,
	NOTHING, /* joins, accents */
	APOSTROPHE,
	SPACE,
	CLAUSE
} kind;

static bool
between(uint32_t c, uint32_t first, uint32_t last)
{
	return c >= first && c <= last;
}

static kind
kind_of_ascii(uint32_t c)
{
	if (between(c, '0', '9') || between(c, 'a', 'z') || between(c, 'A', 'Z'))
		return LETTER;
	if (c == '\'' || c == '`')
		return APOSTROPHE;
	return c != 0 && strchr(",.;:!?\n\r()", (int) c) ? CLAUSE : SPACE;
}

static kind
kind_of(uint32_t c)
{
	if (c < 0x80)
		return kind_of_ascii(c);
	if (c == 0x02BC || c == 0x2018 || c == 0x2019 || c == 0x00B4 || c == 0xFF07)
		return APOSTROPHE;
	/* accents of their own, joiners, soft hyphens, variation selectors; vowel signs of Arabic and Hebrew */
	if (between(c, 0x0300, 0x036F) || between(c, 0x0483, 0x0489) || between(c, 0x0591, 0x05C7) ||
		between(c, 0x064B, 0x065F) || c == 0x0640 || c == 0x0670 || between(c, 0x1AB0, 0x1AFF) ||
		between(c, 0x1DC0, 0x1DFF) || between(c, 0x200B, 0x200F) || between(c, 0x2060, 0x2064) ||
		between(c, 0x20D0, 0x20FF) || between(c, 0xFE00, 0xFE0F) || between(c, 0xFE20, 0xFE2F) ||
		c == 0x00AD || c == 0xFEFF)
		return c == 0x05BE ? SPACE : NOTHING;
	if (c == 0x2026 || c == 0x2013 || c == 0x2014 || c == 0x3001 || c == 0x3002 || c == 0xFF01 ||
		c == 0xFF0C || c == 0xFF0E || c == 0xFF1A || c == 0xFF1B || c == 0xFF1F || c == 0x060C ||
		c == 0x061B || c == 0x061F || c == 0x00BF || c == 0x00A1 || c == 0x0964 || c == 0x2028 ||
		c == 0x2029)
		return CLAUSE;
	if (between(c, 0x0080, 0x00BF))
		return c == 0x00AA || c == 0x00B5 || c == 0x00BA ? LETTER : SPACE;
	if (c == 0x00D7 || c == 0x00F7 || between(c, 0x2000, 0x206F) || between(c, 0x2190, 0x2BFF) ||
		between(c, 0x3000, 0x3004) || between(c, 0x3008, 0x3020) || c == 0x30FB ||
		between(c, 0xFF02, 0xFF0F) || between(c, 0xFF1C, 0xFF20) || between(c, 0xFF3B, 0xFF40) ||
		between(c, 0xFF5B, 0xFF65) || between(c, 0xD800, 0xF8FF))
		return SPACE;
	return LETTER;
}

/* The letters that one letter is folded to. */
static size_t
put_folded(char *out, uint32_t c)
{
	size_t low = 0;
	size_t high = N_FOLDINGS;
	size_t length = 0;

	if (between(c, 'A', 'Z'))
		return mb_utf8_put(out, c + ('a' - 'A'));
	if (c < 0x80 || c > 0xFFFF)
		return mb_utf8_put(out, c);
	while (low < high)
	{
		size_t middle = (low + high) / 2;

		if (foldings[middle].from < c)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == N_FOLDINGS || foldings[low].from != c)
		return mb_utf8_put(out, c);
	for (int i = 0; i < 3 && foldings[low].to[i] != 0; i++)
		length += mb_utf8_put(out + length, foldings[low].to[i]);
	return length;
}

/* The next character of n bytes, in which a NUL is a space; *size is never beyond the end. */
static uint32_t
next_of(const char *text, size_t n, size_t *size)
{
	char bytes[5] = { 0 };
	uint32_t c;

	memcpy(bytes, text, n < 4 ? n : 4);
	*size = 0;
	if (bytes[0] == '\0')
	{
		*size = 1;
		return ' ';
	}
	c = mb_utf8_next(bytes, size);
	return c;
}

/*
 * An apostrophe joins what English leaves out (can't, it's, we've) and parts what French and Italian do (l'urgence,
 * un'emergenza): behind the first come one or two letters.
 */
static bool
joins(const char *text, size_t n)
{
	size_t letters = 0;

	for (size_t i = 0, size; i < n && letters < 3; i += size)
	{
		uint32_t c = next_of(text + i, n - i, &size);
		kind what = c == MB_NOT_UTF8 ? NOTHING : kind_of(c);

		if (what == LETTER)
			letters++;
		else if (what != NOTHING)
			break;
	}
	return letters < 3;
}

size_t
mb_words_fold(const char *text, size_t n, char *out, uint32_t *origin)
{
	size_t length = 0;
	bool in_word = false;

	out[length++] = ' ';
	if (origin)
		origin[0] = 0;
	for (size_t i = 0; i < n;)
	{
		size_t size;
		size_t written = 0;
		uint32_t c = next_of(text + i, n - i, &size);
		kind what = c == MB_NOT_UTF8 ? NOTHING : kind_of(c);

		if (what == APOSTROPHE)
			what = joins(text + i + size, n - i - size) ? NOTHING : SPACE;
		if (what == LETTER)
		{
			written = put_folded(out + length, c);
			in_word = true;
		}
		else if (what != NOTHING)
		{
			if (in_word)
				out[length + written++] = ' ';
			in_word = false;
			if (what == CLAUSE && (length + written < 2 || out[length + written - 2] != '.'))
			{
				out[length + written++] = '.';
				out[length + written++] = ' ';
			}
		}
		if (origin)
		{
			for (size_t k = 0; k < written; k++)
				origin[length + k] = (uint32_t) i;
		}
		length += written;
		i += size;
	}
	if (in_word)
	{
		if (origin)
			origin[length] = (uint32_t) n;
		out[length++] = ' ';
	}
	out[length] = '\0';
	return length;
}

bool
mb_words_unspaced(const char *folded)
{
	for (const char *at = folded; *at != '\0';)
	{
		size_t size = 0;
		uint32_t c = mb_utf8_next(at, &size);

		if (between(c, 0x0E00, 0x0EFF) || between(c, 0x3040, 0x30FF) ||
			between(c, 0x3400, 0x4DBF) || between(c, 0x4E00, 0x9FFF) ||
			between(c, 0xAC00, 0xD7A3) || between(c, 0x20000, 0x2FA1F))
			return true;
		at += size;
	}
	return false;
}
