/*
 * script.c
 *	  Commands of a profile one by one, and who may be answered; see control.h.
 */
#include "core/modem/control_internal.h"

#include <string.h>

#define ARROW "=>"

/* Without the blanks around it, as much as there is room for. */
static void
copy(char out[MB_AT_LINE + 1], const char *text, size_t n)
{
	while (n > 0 && *text == ' ')
	{
		text++;
		n--;
	}
	while (n > 0 && text[n - 1] == ' ')
		n--;
	n = n < MB_AT_LINE ? n : MB_AT_LINE;
	memcpy(out, text, n);
	out[n] = '\0';
}

bool
mb_modem_next_command(const char **script, char command[MB_AT_LINE + 1],
					  char expected[MB_AT_LINE + 1], bool *optional)
{
	while (*script != NULL)
	{
		const char *at = *script + strspn(*script, " ");
		size_t n = strcspn(at, "|");
		const char *arrow = strstr(at, ARROW);

		*script = at[n] == '|' ? at + n + 1 : NULL;
		*optional = *at == '?';
		at += *optional;
		n -= *optional;
		expected[0] = '\0';
		if (arrow != NULL && arrow < at + n)
		{
			copy(expected, arrow + strlen(ARROW), (size_t) (at + n - arrow) - strlen(ARROW));
			n = (size_t) (arrow - at);
		}
		copy(command, at, n);
		if (command[0] != '\0')
			return true;
	}
	return false;
}

/* Whether a number is that of the list's entry, of n characters. */
static bool
matches(const char *number, const char *entry, size_t n)
{
	if (entry[n - 1] == '*')
		return strncmp(number, entry, n - 1) == 0;
	return strlen(number) == n && strncmp(number, entry, n) == 0;
}

bool
mb_modem_allows(const mb_modem_rules *rules, const mb_at_caller_id *caller)
{
	static const char between[] = ", \t\n";
	const char *at = rules->allowed == NULL ? "" : rules->allowed;

	at += strspn(at, between);
	if (*at == '\0')
		return true;
	if (caller->number[0] == '\0')
		return rules->withheld;
	while (*at != '\0')
	{
		size_t n = strcspn(at, between);

		if (matches(caller->number, at, n))
			return true;
		at += n;
		at += strspn(at, between);
	}
	return false;
}
