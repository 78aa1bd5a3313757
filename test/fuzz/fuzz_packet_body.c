/*
 * fuzz_packet_body.c
 *	  What is read as the plain body of a packet is JSON, and jansson reads the same of it; with little room for what is
 *	  decoded it is the same or nothing.
 *
 * Link with: -ljansson
 * Fuzz with: -max_len=1024
 */
#include "fuzz.h"
#include "core/web/packet_body.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void
require_string(const mb_packet_string *ours, const json_t *theirs)
{
	require((ours->text != NULL) == (theirs != NULL));
	if (ours->text == NULL)
		return;
	require(json_is_string(theirs) && json_string_length(theirs) == ours->length);
	require(memcmp(json_string_value(theirs), ours->text, ours->length) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *storage = malloc(size + 1);
	const char *text = (const char *) data;
	mb_packet_body body;
	json_t *object;

	require(storage != NULL);
	if (mb_packet_body_read(text, size, storage, size, &body))
	{
		object = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
		require(json_is_object(object));
		require(json_is_integer(json_object_get(object, "sequence")));
		require(json_integer_value(json_object_get(object, "sequence")) == body.sequence);
		require(body.sequence >= 0 && body.sequence <= MB_PACKET_BODY_MAX_SEQUENCE);
		require(json_is_number(json_object_get(object, "timestamp")));
		require(json_number_value(json_object_get(object, "timestamp")) == body.timestamp);
		require(body.timestamp > 0 && body.timestamp < 1e12 && body.data.length > 0);
		require_string(&body.data, json_object_get(object, "data"));
		require_string(&body.encoding, json_object_get(object, "encoding"));
		require_string(&body.track, json_object_get(object, "track"));
		if (mb_packet_body_read(text, size, storage, size / 16, &body))
			require_string(&body.data, json_object_get(object, "data"));
		json_decref(object);
	}
	else
		require(!mb_packet_body_read(text, size, storage, size / 16, &body));
	free(storage);
	return 0;
}
