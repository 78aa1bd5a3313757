/*
 * fuzz_modem_at.c
 *	  Any bytes as what a modem says: the same events however they are cut, each line terminated and printable, and
 *	  whatever is taken from it within its bounds.
 *
 * Fuzz with: -max_len=1200
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "core/modem/at.h"
#include "core/modem/vsm.h"

static bool
of_number(const char *text)
{
	return text[strspn(text, "0123456789+*#")] == '\0';
}

static void
look_at(const mb_at_event *event)
{
	mb_at_caller_id caller = { 0 };
	mb_at_call call;
	int number;

	require(strlen(event->text) == event->length && event->length <= MB_AT_LINE);
	for (size_t i = 0; i < event->length; i++)
		require((unsigned char) event->text[i] >= ' ');
	require(!event->cut || event->kind == MB_AT_TEXT);
	require(event->kind == MB_AT_SHIELDED || event->length > 0);
	if (event->kind != MB_AT_SHIELDED)
		mb_vsm_read(event->text, &number);
	mb_at_caller(event, &caller);
	require(strnlen(caller.number, sizeof(caller.number)) <= MB_AT_NUMBER &&
			of_number(caller.number));
	require(strnlen(caller.name, sizeof(caller.name)) <= MB_AT_NAME);
	if (mb_at_call_of(event, &call))
		require(of_number(call.caller.number));
}

static uint64_t
hear(const uint8_t *data, size_t size, size_t step)
{
	mb_at at;
	uint64_t hash = 0;

	mb_at_begin(&at);
	mb_at_sent(&at, "ATA");
	for (size_t i = 0; i < size;)
	{
		size_t piece = size - i < step ? size - i : step;
		uint8_t *copy = malloc(piece);
		mb_at_event event;
		size_t used;

		memcpy(copy, data + i, piece);
		if (mb_at_feed(&at, copy, piece, &used, &event))
		{
			look_at(&event);
			hash = hash * 31 + event.kind * 7 + event.code + event.cut;
			for (size_t j = 0; j < event.length; j++)
				hash = hash * 0x9E3779B97F4A7C15u + (unsigned char) event.text[j];
		}
		require(used > 0 && used <= piece);
		free(copy);
		i += used;
	}
	return hash;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t hash = hear(data, size, size + 1);

	require(hear(data, size, 1) == hash);
	require(hear(data, size, 5) == hash);
	return 0;
}
