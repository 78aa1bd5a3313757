/*
 * dle.c
 *	  Audio and codes of a voice modem; see dle.h.
 */
#include "core/modem/dle.h"

mb_dle_kind
mb_dle_kind_of(uint8_t code)
{
	if ((code >= '0' && code <= '9') || code == '*' || code == '#' || (code >= 'A' && code <= 'D'))
		return MB_DLE_DIGIT;
	switch (code)
	{
		case '/':
			return MB_DLE_DIGIT_BEGINS;
		case '~':
			return MB_DLE_DIGIT_ENDS;
		case 'b':
			return MB_DLE_BUSY;
		case 'd':
			return MB_DLE_DIAL_TONE;
		case 's':
			return MB_DLE_SILENCE;
		case 'q':
			return MB_DLE_QUIET;
		case 'R':
			return MB_DLE_RINGING;
		case 'c':
			return MB_DLE_FAX;
		case 'e':
			return MB_DLE_DATA_CALL;
		case 'h':
		case 'H':
			return MB_DLE_HANDSET;
		case 'u':
			return MB_DLE_UNDERRUN;
		case 'o':
			return MB_DLE_OVERRUN;
		case MB_DLE_ETX:
			return MB_DLE_END;
		default:
			return MB_DLE_UNKNOWN;
	}
}

bool
mb_dle_take(mb_dle *dle, const uint8_t *bytes, size_t n, size_t *used, uint8_t *out, size_t space,
			size_t *produced, uint8_t *code)
{
	*used = 0;
	*produced = 0;
	while (*produced < space)
	{
		uint8_t c;

		if (dle->second)
		{
			out[(*produced)++] = MB_DLE;
			dle->second = false;
			continue;
		}
		if (*used == n)
			return false;
		c = bytes[(*used)++];
		if (!dle->shielded)
		{
			if (c == MB_DLE)
				dle->shielded = true;
			else
				out[(*produced)++] = c;
			continue;
		}
		dle->shielded = false;
		if (c != MB_DLE && c != MB_DLE_SUB)
		{
			*code = c;
			return true;
		}
		out[(*produced)++] = MB_DLE;
		dle->second = c == MB_DLE_SUB;
	}
	return false;
}

size_t
mb_dle_shield(const uint8_t *bytes, size_t n, uint8_t *out)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++)
	{
		if (bytes[i] == MB_DLE)
			out[size++] = MB_DLE;
		out[size++] = bytes[i];
	}
	return size;
}
