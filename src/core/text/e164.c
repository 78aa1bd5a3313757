/*
 * e164.c
 *	  International telephone numbers; see e164.h.
 */
#include "core/text/e164.h"

#include <string.h>

bool
mb_e164_valid(const char *number)
{
	size_t length = strlen(number);

	/* two digits are the least: a country code and something in it */
	return length >= 3 && length <= MB_E164_MAX_LENGTH && number[0] == '+' && number[1] != '0' &&
		   strspn(number + 1, "0123456789") == length - 1;
}
