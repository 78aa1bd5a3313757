/*
 * blot.c
 *	  Blots a secret out of text; see blot.h.
 *
 * The text is compared with four patterns: the secret, and what base64 makes of it at each of the
 * three offsets that it can have within a group of three bytes, less the characters at both
 * ends that hold bits of its neighbours.  Each character of a pattern may be written in any of the
 * ways that encoders have.
 */
#include "core/web/blot.h"

#include <string.h>

#include "core/text/hex.h"

#define ALIGNMENTS 3

/*
 * Ways to read the text where there are two: a % or & begins an encoded character where it can, rather
 * than stand for itself; bytes beyond ASCII were taken for Latin-1 and are in UTF-8 once more.
 */
#define ENCODED 1
#define AS_LATIN1 2

/* What is looked for: the secret, or its base64 after "before" bytes of something else. */
typedef struct pattern
{
	const unsigned char *secret;
	size_t secret_length;
	bool base64;
	size_t before;
	size_t first; /* character of the base64 that depends on nothing but the secret */
	size_t length;
} pattern;

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The character at place i; in base64 that of six bits. */
static unsigned char
pattern_at(const pattern *p, size_t i)
{
	size_t bit;
	size_t byte;
	unsigned int two;

	if (!p->base64)
		return p->secret[i];
	bit = (p->first + i) * 6 - p->before * 8;
	byte = bit / 8;
	two = (unsigned int) p->secret[byte] << 8;
	if (byte + 1 < p->secret_length)
		two |= p->secret[byte + 1];
	return (unsigned char) base64_digits[two >> (10 - bit % 8) & 63];
}

/* The number in "digits" hexadecimal digits, or -1. */
static long
hex_number(const char *at, const char *end, int digits)
{
	long number = 0;

	if (end - at < digits)
		return -1;
	for (int i = 0; i < digits; i++)
	{
		int value = mb_hex_value(at[i]);

		if (value < 0)
			return -1;
		number = number * 16 + value;
	}
	return number;
}

/* Length of a percent-encoded byte, encoded once or more often (%2B, %252B …); 0: it is another. */
static size_t
match_percent(const char *at, const char *end, unsigned char c)
{
	const char *digits = at + 1;

	while (c != '%' && end - digits >= 4 && digits[0] == '2' && digits[1] == '5')
		digits += 2;
	return hex_number(digits, end, 2) == c ? (size_t) (digits + 2 - at) : 0;
}

/* Length of the HTML entity of a code point; 0: it is none of that. */
static size_t
match_entity(const char *at, const char *end, uint32_t code)
{
	static const struct
	{
		const char *entity;
		char c;
	} named[] = {
		{ "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' }
	};
	const char *digits = at + 2;
	bool hex;
	uint32_t number = 0;

	for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
	{
		size_t length = strlen(named[i].entity);

		if ((uint32_t) named[i].c == code && (size_t) (end - at) >= length &&
			memcmp(at, named[i].entity, length) == 0)
			return length;
	}
	if (end - at < 4 || at[1] != '#')
		return 0;
	hex = *digits == 'x' || *digits == 'X';
	if (hex)
		digits++;
	while (digits < end && number <= 0x10ffff)
	{
		int value = mb_hex_value(*digits);

		if (value < 0 || (!hex && value > 9))
			break;
		number = number * (hex ? 16 : 10) + (uint32_t) value;
		digits++;
	}
	return number == code && digits < end && *digits == ';' ? (size_t) (digits + 1 - at) : 0;
}

/* The UTF-8 character at place i, with its length; a byte that begins none is one of its own. */
static uint32_t
character_at(const pattern *p, size_t i, size_t *length)
{
	unsigned char lead = pattern_at(p, i);
	uint32_t code;

	*length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 1;
	if (p->base64 || *length == 1 || i + *length > p->length)
	{
		*length = 1;
		return lead;
	}
	code = lead & (0xffu >> (*length + 1));
	for (size_t k = 1; k < *length; k++)
		code = code << 6 | (pattern_at(p, i + k) & 0x3f);
	return code;
}

/* Length of the escape \uXXXX, or of two of them, behind its backslashes; 0: it is none of that. */
static size_t
match_unicode(const char *at, const char *end, uint32_t code)
{
	long high, last; /* the surrogates */

	if (code < 0x10000)
		return hex_number(at + 1, end, 4) == (long) code ? 5 : 0;
	code -= 0x10000;
	high = 0xd800 + (long) (code >> 10);
	last = 0xdc00 + (long) (code & 0x3ff);
	if (hex_number(at + 1, end, 4) != high)
		return 0;
	for (const char *low = at + 5; low < end && *low == '\\'; low++)
	{
		if (end - low > 1 && low[1] == 'u' && hex_number(low + 2, end, 4) == last)
			return (size_t) (low + 6 - at);
	}
	return 0;
}

/* Length of a code point that is written as an escape or as an entity; 0: it is none of that. */
static size_t
match_code(const char *at, const char *end, uint32_t code, bool escaped, bool encoded)
{
	if (escaped && *at == 'u')
		return match_unicode(at, end, code);
	return encoded && *at == '&' ? match_entity(at, end, code) : 0;
}

/*
 * Whether the pattern's character at *i is written at "at"; then *i moves on and the length of
 * what is written is returned, otherwise 0.  "how" is a set of the ways above.
 */
static size_t
match_character(const pattern *p, size_t *i, const char *at, const char *end, int how)
{
	bool encoded = how & ENCODED;
	size_t width;
	uint32_t code = character_at(p, *i, &width);
	unsigned char c = pattern_at(p, *i);
	size_t slashes = 0;
	size_t length = 0;

	while (at + slashes < end && at[slashes] == '\\')
		slashes++;
	if (c == '\\' && slashes > 0)
	{
		/* escaped or not, as often as anybody liked */
		while (*i < p->length && pattern_at(p, *i) == '\\')
			(*i)++;
		return slashes;
	}
	at += slashes;
	if (at >= end)
		return 0;
	if (encoded && *at == '%' && (length = match_percent(at, end, c)) > 0)
		width = 1;
	else
		length = match_code(at, end, code, slashes > 0, encoded);
	if (length == 0 && width > 1)
	{
		/* whoever takes a header for Latin-1 makes a character of each byte */
		length = match_code(at, end, c, slashes > 0, encoded);
		width = 1;
	}
	if (length == 0 && (how & AS_LATIN1) && c >= 0x80)
	{
		width = 1;
		length = end - at >= 2 && (unsigned char) at[0] == (0xc0 | c >> 6) &&
						 (unsigned char) at[1] == (0x80 | (c & 0x3f))
					 ? 2
					 : 0;
	}
	else if (length == 0)
	{
		width = 1;
		length = (unsigned char) *at == c || (p->base64 && c == '+' && *at == '-') ||
				 (p->base64 && c == '/' && *at == '_') || (c == ' ' && *at == '+') ||
				 (c == '\t' && slashes > 0 && *at == 't');
	}
	if (length == 0)
		return 0;
	*i += width;
	return slashes + length;
}

/* Length of the pattern as it is written at "at"; 0: it is not there. */
static size_t
match(const pattern *p, const char *at, const char *end, int how)
{
	const char *start = at;
	size_t i = 0;

	while (i < p->length)
	{
		size_t length = match_character(p, &i, at, end, how);

		if (length == 0)
			return 0;
		at += length;
	}
	return (size_t) (at - start);
}

static bool
is_base64(char c)
{
	return c != '\0' && (strchr(base64_digits, c) != NULL || c == '-' || c == '_');
}

/* The patterns of a secret; returns how many. */
static int
make_patterns(pattern *patterns, const char *secret, size_t length)
{
	int n = 0;

	patterns[n++] = (pattern){ (const unsigned char *) secret, length, false, 0, 0, length };
	for (size_t before = 0; before < ALIGNMENTS; before++)
	{
		pattern p = {
			(const unsigned char *) secret, length, true, before, (before * 8 + 5) / 6, 0
		};

		p.length = (before + length) * 8 / 6 - p.first;
		patterns[n++] = p;
	}
	return n;
}

/* Marks the bytes with which an occurrence can begin, so that most of the text is passed over. */
static void
mark_beginnings(bool *begins, const pattern *patterns, int n)
{
	memset(begins, 0, 256 * sizeof(bool));
	begins['\\'] = begins['%'] = begins['&'] = true;
	for (int i = 0; i < n; i++)
	{
		unsigned char c = pattern_at(&patterns[i], 0);

		begins[c] = true;
		if (c >= 0x80)
			begins[0xc0 | c >> 6] = true;
		if (c == '+')
			begins['-'] = true;
		if (c == '/')
			begins['_'] = true;
		if (c == ' ')
			begins['+'] = true;
	}
}

bool
mb_blot_out(char *text, size_t n, const char *secret, size_t secret_length)
{
	pattern patterns[1 + ALIGNMENTS];
	bool begins[256];
	char *end = text + n;
	bool any = false;
	int count;

	if (secret_length < MB_BLOT_LEAST)
		return false;
	count = make_patterns(patterns, secret, secret_length);
	mark_beginnings(begins, patterns, count);
	for (char *at = text; at < end;)
	{
		size_t length = 0;
		int i;

		if (!begins[(unsigned char) *at])
		{
			at++;
			continue;
		}
		for (i = 0; i < count && length == 0; i++)
		{
			for (int how = ENCODED | AS_LATIN1; how >= 0 && length == 0; how--)
				length = match(&patterns[i], at, end, how);
		}
		if (length == 0)
		{
			at++;
			continue;
		}
		any = true;
		memset(at, '*', length);
		/* its neighbours in base64 hold some of its bits */
		if (patterns[i - 1].base64)
		{
			if (at > text && is_base64(at[-1]))
				at[-1] = '*';
			for (int k = 0; k < 2 && at + length < end && is_base64(at[length]); k++)
				at[length++] = '*';
		}
		at += length;
	}
	return any;
}
