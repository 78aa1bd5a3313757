/*
 * vsm.c
 *	  Reads what AT+VSM=? lists; see vsm.h.
 */
#include "core/modem/vsm.h"

#include <string.h>

#include "core/audio/g711.h"

#define NAME 40
#define MAX_NUMBER 9999

/* Whether a number stands somewhere in the text, not as a part of another one. */
static bool
has_number(const char *text, const char *number)
{
	size_t n = strlen(number);

	for (const char *at = strstr(text, number); at != NULL; at = strstr(at + 1, number))
	{
		bool begins = at == text || at[-1] < '0' || at[-1] > '9';

		if (begins && (at[n] < '0' || at[n] > '9'))
			return true;
	}
	return false;
}

/* Letters and digits of the name, in capitals, so that "8-bit Linear" is "8BITLINEAR". */
static const char *
read_name(const char *at, char name[NAME + 1])
{
	size_t n = 0;

	for (; *at != '\0' && *at != '"'; at++)
	{
		char c = *at >= 'a' && *at <= 'z' ? (char) (*at - 'a' + 'A') : *at;

		if (n < NAME && ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
			name[n++] = c;
	}
	name[n] = '\0';
	return *at == '"' ? at + 1 : at;
}

static mb_vsm_form
form_of(const char *name, const char *rest)
{
	bool eight = strstr(name, "8BIT") != NULL || strncmp(rest, ",8,", 3) == 0;

	if (strstr(name, "ADPCM") != NULL)
		return MB_VSM_FORMS;
	if (strstr(name, "ULAW") != NULL)
		return MB_VSM_MULAW;
	if (strstr(name, "ALAW") != NULL)
		return MB_VSM_ALAW;
	if (!eight)
		return MB_VSM_FORMS;
	if (strstr(name, "UNSIGNED") != NULL || strstr(name, "LINEAR") != NULL)
		return strstr(name, "UNSIGNED") == NULL && strstr(name, "SIGNED") != NULL ? MB_VSM_SIGNED
																				  : MB_VSM_UNSIGNED;
	return strstr(name, "SIGNEDPCM") != NULL ? MB_VSM_SIGNED : MB_VSM_FORMS;
}

mb_vsm_form
mb_vsm_read(const char *line, int *number)
{
	char name[NAME + 1];

	if (strncmp(line, "+VSM:", 5) == 0)
		line += 5;
	line += strspn(line, " ");
	if (*line < '0' || *line > '9')
		return MB_VSM_FORMS;
	for (*number = 0; *line >= '0' && *line <= '9'; line++)
	{
		*number = *number * 10 + (*line - '0');
		if (*number > MAX_NUMBER)
			return MB_VSM_FORMS;
	}
	line += strspn(line, " ");
	if (*line != ',')
		return MB_VSM_FORMS;
	line++;
	line += strspn(line, " ");
	if (*line != '"')
		return MB_VSM_FORMS;
	line = read_name(line + 1, name);
	return has_number(line, "8000") ? form_of(name, line) : MB_VSM_FORMS;
}

int16_t
mb_vsm_decode(mb_vsm_form form, uint8_t byte)
{
	switch (form)
	{
		case MB_VSM_MULAW:
			return mb_mulaw_decode(byte);
		case MB_VSM_ALAW:
			return mb_alaw_decode(byte);
		case MB_VSM_SIGNED:
			return (int16_t) ((byte ^ 0x80) * 256 - 32768);
		default:
			return (int16_t) (byte * 256 - 32768);
	}
}

/* The nearest of the 256 values. */
static uint8_t
to_unsigned(int16_t sample)
{
	int rounded = (sample + 32768 + 128) / 256;

	return (uint8_t) (rounded > 255 ? 255 : rounded);
}

uint8_t
mb_vsm_encode(mb_vsm_form form, int16_t sample)
{
	switch (form)
	{
		case MB_VSM_MULAW:
			return mb_mulaw_encode(sample);
		case MB_VSM_ALAW:
			return mb_alaw_encode(sample);
		case MB_VSM_SIGNED:
			return to_unsigned(sample) ^ 0x80;
		default:
			return to_unsigned(sample);
	}
}
