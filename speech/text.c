/*
 * text.c
 *	  Text on its way to a synthesizer; see text.h.
 */
#include "text.h"

#include <ctype.h>
#include <iconv.h>
#include <jansson.h>
#include <locale.h>
#include <string.h>
#include <wctype.h>

#include "core/text/utf8.h"

/* A piece ends with the first sentence past the one, and in any case before the other. */
#define GOOD_PIECE 300
#define LONGEST_PIECE 1000

/* Longest transliteration of a character, such as (TM). */
#define MAX_TRANSLITERATION 16

bool
speech_text_is_utf8(const char *bytes)
{
	json_t *text = json_string(bytes);
	bool valid = text != NULL;

	json_decref(text);
	return valid;
}

/* The code point at *at, which moves behind it.  The text is valid UTF-8. */
static uint32_t
next_code_point(const char **at)
{
	size_t n;
	uint32_t code_point = mb_utf8_next(*at, &n);

	*at += n;
	return code_point;
}

/* The C library's character classes and transliterations for all of Unicode. */
static locale_t
unicode_locale(void)
{
	static locale_t unicode;

	if (unicode == (locale_t) 0)
		unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t) 0);
	return unicode;
}

static bool
is_alphanumeric(uint32_t code_point)
{
	locale_t unicode = unicode_locale();

	if (code_point < 0x80 || unicode == (locale_t) 0)
		return code_point < 0x80 ? isalnum((int) code_point) != 0 : true;
	return iswalnum_l((wint_t) code_point, unicode) != 0;
}

size_t
speech_text_length(const char *text)
{
	size_t n = 0;

	while (*text != '\0')
	{
		next_code_point(&text);
		n++;
	}
	return n;
}

bool
speech_text_is_speakable(const char *text)
{
	while (*text != '\0')
		if (is_alphanumeric(next_code_point(&text)))
			return true;
	return false;
}

/* Appends one character that is not ASCII in the converter's rendering of it. */
static speech_text_status
append_converted(iconv_t converter, const char *from, size_t length, uint32_t code_point,
				 speech_buffer *ascii)
{
	char *in = (char *) (uintptr_t) from;
	char converted[MAX_TRANSLITERATION];
	char *out = converted;
	size_t room = sizeof(converted);

	iconv(converter, NULL, NULL, NULL, NULL);
	if (iconv(converter, &in, &length, &out, &room) == (size_t) -1 || out == converted ||
		converted[0] == '?')
	{
		if (is_alphanumeric(code_point))
			return SPEECH_TEXT_CHARACTER;
		return speech_buffer_append(ascii, " ", 1) ? SPEECH_TEXT_OK : SPEECH_TEXT_NO_MEMORY;
	}
	return speech_buffer_append(ascii, converted, sizeof(converted) - room) ? SPEECH_TEXT_OK
																			: SPEECH_TEXT_NO_MEMORY;
}

/* The same with the converter at hand. */
static speech_text_status
convert(iconv_t converter, const char *text, speech_buffer *ascii, uint32_t *code_point)
{
	while (*text != '\0')
	{
		const char *from = text;
		speech_text_status status = SPEECH_TEXT_OK;

		*code_point = next_code_point(&text);
		if (*code_point >= 0x80)
			status = append_converted(converter, from, (size_t) (text - from), *code_point, ascii);
		else if (!speech_buffer_append(ascii, isprint((int) *code_point) ? from : " ", 1))
			status = SPEECH_TEXT_NO_MEMORY;
		if (status != SPEECH_TEXT_OK)
			return status;
	}
	return speech_buffer_printf(ascii, "%s", "") ? SPEECH_TEXT_OK : SPEECH_TEXT_NO_MEMORY;
}

speech_text_status
speech_text_to_ascii(const char *text, speech_buffer *ascii, uint32_t *code_point)
{
	locale_t unicode = unicode_locale();
	locale_t before = unicode != (locale_t) 0 ? uselocale(unicode) : (locale_t) 0;
	iconv_t converter = iconv_open("ASCII//TRANSLIT", "UTF-8");
	speech_text_status status = SPEECH_TEXT_NO_MEMORY;

	if (converter != (iconv_t) -1)
	{
		status = convert(converter, text, ascii, code_point);
		iconv_close(converter);
	}
	if (unicode != (locale_t) 0)
		uselocale(before);
	return status;
}

size_t
speech_text_piece(const char *text)
{
	size_t space = 0;

	for (size_t i = 0; text[i] != '\0'; i++)
	{
		if (i >= LONGEST_PIECE)
			return space > 0 ? space : i;
		if (text[i] != ' ')
			continue;
		space = i + 1;
		if (i >= GOOD_PIECE && strchr(".?!;:", text[i - 1]) != NULL)
			return i + 1;
	}
	return strlen(text);
}
