/*
 * media_quick.c
 *	  See media_quick.h.
 */
#include "media_quick.h"

#include <string.h>

/* The text behind a name, in a message without escapes: what stands in quotes cannot be mistaken for it. */
static const char *
member(const char *text, size_t n, const char *name, size_t *length)
{
	const char *at = memmem(text, n, name, strlen(name));
	const char *end;

	if (at == NULL)
		return NULL;
	at += strlen(name);
	end = memchr(at, '"', (size_t) (text + n - at));
	*length = end == NULL ? 0 : (size_t) (end - at);
	return end == NULL ? NULL : at;
}

static int64_t
number(const char *text, size_t n, const char *name)
{
	size_t length;
	const char *digits = member(text, n, name, &length);
	int64_t value = 0;

	if (digits == NULL || length == 0 || length > GW_MEDIA_MAX_DIGITS)
		return -1;
	for (size_t i = 0; i < length; i++)
	{
		if (digits[i] < '0' || digits[i] > '9')
			return -1;
		value = value * 10 + (digits[i] - '0');
	}
	return value;
}

bool
gw_quick_media_read(const char *text, size_t n, gw_quick_media *media)
{
	static const char head[] = "{\"event\":\"media\",";
	static const char inbound[] = "inbound";
	size_t track_length;
	const char *track;

	if (n < sizeof(head) || memcmp(text, head, sizeof(head) - 1) != 0 || text[n - 1] != '}' ||
		memchr(text, '\\', n) != NULL)
		return false;
	track = member(text, n, "\"track\":\"", &track_length);
	media->sid = member(text, n, "\"streamSid\":\"", &media->sid_length);
	media->payload = member(text, n, "\"payload\":\"", &media->payload_length);
	media->sequence = number(text, n, "\"sequenceNumber\":\"");
	media->chunk = number(text, n, "\"chunk\":\"");
	media->timestamp = number(text, n, "\"timestamp\":\"");
	return track != NULL && track_length == sizeof(inbound) - 1 &&
		   memcmp(track, inbound, sizeof(inbound) - 1) == 0 && media->sid != NULL &&
		   media->payload != NULL && media->sequence >= 0 && media->chunk >= 0;
}
