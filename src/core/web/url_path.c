/*
 * url_path.c
 *	  Takes the raw path of a request apart; see url_path.h.
 */
#include "core/web/url_path.h"

#include <string.h>

#include "core/text/hex.h"

bool
mb_path_next(const char *path, size_t n, size_t *at, const char **segment, size_t *length)
{
	const char *slash;

	if (*at >= n || path[*at] != '/')
		return false;
	*segment = path + *at + 1;
	slash = memchr(*segment, '/', n - *at - 1);
	*length = slash != NULL ? (size_t) (slash - *segment) : n - *at - 1;
	*at += *length + 1;
	return true;
}

mb_status
mb_percent_decode(const char *text, size_t n, char *to, size_t *length)
{
	size_t out = 0;

	*length = 0;
	for (size_t i = 0; i < n; i++)
	{
		char c = text[i];

		if (c == '%')
		{
			int high = n - i > 2 ? mb_hex_value(text[i + 1]) : -1;
			int low = n - i > 2 ? mb_hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return MB_ERR_FORMAT;
			c = (char) (high * 16 + low);
			i += 2;
			if (c == '\0')
				return MB_ERR_RANGE;
		}
		to[out++] = c;
	}
	*length = out;
	return MB_OK;
}
