/*
 * at.c
 *	  Lines of a modem, and what kind each is; see at.h.
 */
#include "core/modem/at.h"

#include <string.h>

#define DLE 0x10

/* Lines that are of a kind as a whole. */
static const struct
{
	const char *line;
	mb_at_kind kind;
} wholes[] = {
	{ "OK", MB_AT_OK },
	{ "ERROR", MB_AT_ERROR },
	{ "COMMAND NOT SUPPORT", MB_AT_ERROR },
	{ "NO CARRIER", MB_AT_NO_CARRIER },
	{ "BUSY", MB_AT_BUSY },
	{ "NO ANSWER", MB_AT_NO_ANSWER },
	{ "NO DIALTONE", MB_AT_NO_DIALTONE },
	{ "NO DIAL TONE", MB_AT_NO_DIALTONE },
	{ "VCON", MB_AT_VCON },
	{ "CONNECT", MB_AT_CONNECT },
	{ "RING", MB_AT_RING },
	{ "VOICE CALL: BEGIN", MB_AT_CALL_BEGIN },
	{ "VOICE CALL: END", MB_AT_CALL_END },
	{ "RDY", MB_AT_RESTARTED },
	{ "+CPIN: READY", MB_AT_RESTARTED },
	{ "*ATREADY: 1", MB_AT_RESTARTED },
};

/* Lines that begin so. */
static const struct
{
	const char *prefix;
	mb_at_kind kind;
} prefixes[] = {
	{ "CONNECT ", MB_AT_CONNECT },
	{ "+CME ERROR:", MB_AT_ERROR },
	{ "+CMS ERROR:", MB_AT_ERROR },
	{ "+CRING:", MB_AT_RING },
	{ "VOICE CALL: END:", MB_AT_CALL_END },
	{ "+CLIP:", MB_AT_CLIP },
	{ "+CCWA:", MB_AT_CCWA },
	{ "+CLCC:", MB_AT_CALL },
	{ "+RXDTMF:", MB_AT_DIGIT },
};

/* Lines of caller id: the name, blanks, an equals sign. */
static const struct
{
	const char *name;
	mb_at_kind kind;
} tags[] = {
	{ "DATE", MB_AT_DATE_OF },
	{ "TIME", MB_AT_TIME_OF },
	{ "NMBR", MB_AT_NUMBER_OF },
	{ "NAME", MB_AT_NAME_OF },
};

#define N(table) (sizeof(table) / sizeof((table)[0]))

void
mb_at_begin(mb_at *at)
{
	at->length = 0;
	at->cut = at->after_cr = at->shielded = false;
	at->sent[0] = '\0';
}

void
mb_at_sent(mb_at *at, const char *command)
{
	size_t n = strnlen(command, MB_AT_LINE);

	memcpy(at->sent, command, n);
	at->sent[n] = '\0';
}

static bool
begins_with(const char *line, const char *prefix)
{
	return strncmp(line, prefix, strlen(prefix)) == 0;
}

static mb_at_kind
kind_of(const mb_at *at)
{
	const char *line = at->line;

	if (at->cut)
		return MB_AT_TEXT;
	if (at->sent[0] != '\0' && strcmp(line, at->sent) == 0)
		return MB_AT_ECHO;
	for (size_t i = 0; i < N(wholes); i++)
	{
		if (strcmp(line, wholes[i].line) == 0)
			return wholes[i].kind;
	}
	for (size_t i = 0; i < N(prefixes); i++)
	{
		if (begins_with(line, prefixes[i].prefix))
			return prefixes[i].kind;
	}
	for (size_t i = 0; i < N(tags); i++)
	{
		if (begins_with(line, tags[i].name) && line[4 + strspn(line + 4, " ")] == '=')
			return tags[i].kind;
	}
	return MB_AT_TEXT;
}

/* A line has ended; false when there was nothing on it. */
static bool
end_line(mb_at *at, mb_at_event *event)
{
	while (at->length > 0 && at->line[at->length - 1] == ' ')
		at->length--;
	at->line[at->length] = '\0';
	event->kind = kind_of(at);
	event->cut = at->cut;
	event->code = 0;
	event->text = at->line;
	event->length = at->length;
	if (event->kind <= MB_AT_VCON)
		at->sent[0] = '\0';
	at->length = 0;
	at->cut = false;
	return event->length > 0;
}

bool
mb_at_feed(mb_at *at, const uint8_t *bytes, size_t n, size_t *used, mb_at_event *event)
{
	for (size_t i = 0; i < n; i++)
	{
		uint8_t c = bytes[i];

		*used = i + 1;
		if (at->shielded)
		{
			at->shielded = false;
			event->kind = MB_AT_SHIELDED;
			event->cut = false;
			event->code = c;
			event->text = "";
			event->length = 0;
			return true;
		}
		if (c == DLE)
		{
			at->shielded = true;
			continue;
		}
		if (c == '\r' || c == '\n')
		{
			at->after_cr = c == '\r';
			if (end_line(at, event))
				return true;
			continue;
		}
		if ((at->length == 0 && c == ' ') || c == '\0')
			continue;
		if (at->length == MB_AT_LINE)
			at->cut = true;
		else
			at->line[at->length++] = c < ' ' || c == 0x7F ? '?' : (char) c;
	}
	*used = n;
	return false;
}

size_t
mb_at_data_begins(mb_at *at, const uint8_t *bytes, size_t n)
{
	size_t rest = at->after_cr && n > 0 && bytes[0] == '\n';

	mb_at_begin(at);
	return rest;
}
