/*
 * media_dialect.c
 *	  Names of Media Streams and of those who speak nearly the same: the one table of them.
 */
#include "media_dialect.h"

#define MAX_NAMES 3

static const char *const words[GW_WORDS][MAX_NAMES] = {
	[GW_WORD_EVENT] = { "event" },
	[GW_WORD_START] = { "start" },
	[GW_WORD_MEDIA] = { "media" },
	[GW_WORD_CALL] = { "callSid", "call_sid", "callId" },
	[GW_WORD_ACCOUNT] = { "accountSid", "account_sid", "accountId" },
	[GW_WORD_PARAMETERS] = { "customParameters", "custom_parameters", "extra_headers" },
	[GW_WORD_FORMAT] = { "mediaFormat", "media_format" },
	[GW_WORD_ENCODING] = { "encoding" },
	[GW_WORD_RATE] = { "sampleRate", "sample_rate" },
	[GW_WORD_TRACK] = { "track" },
	[GW_WORD_CHUNK] = { "chunk" },
	[GW_WORD_TIMESTAMP] = { "timestamp" },
	[GW_WORD_PAYLOAD] = { "payload" },
	[GW_WORD_DIGIT] = { "digit" },
	[GW_WORD_DTMF] = { "dtmf" },
	[GW_WORD_MARK] = { "mark" },
	[GW_WORD_NAME] = { "name" },
	[GW_WORD_SEQUENCE] = { "sequenceNumber", "sequence_number" },
};

/* The first is Twilio's, and that of SignalWire, 2600hz and Somleng; then Exotel, Telnyx, Plivo. */
static const gw_dialect dialects[] = {
	{ "streamSid", true,
	  "{\"event\":\"media\",\"streamSid\":\"%s\",\"media\":{\"payload\":\"%.*s\"}}",
	  "{\"event\":\"mark\",\"streamSid\":\"%s\",\"mark\":{\"name\":\"%u\"}}",
	  "{\"event\":\"clear\",\"streamSid\":\"%s\"}" },
	{ "stream_sid", true,
	  "{\"event\":\"media\",\"stream_sid\":\"%s\",\"media\":{\"payload\":\"%.*s\"}}",
	  "{\"event\":\"mark\",\"stream_sid\":\"%s\",\"mark\":{\"name\":\"%u\"}}",
	  "{\"event\":\"clear\",\"stream_sid\":\"%s\"}" },
	{ "stream_id", false,
	  "{\"event\":\"media\",\"stream_id\":\"%s\",\"media\":{\"payload\":\"%.*s\"}}",
	  "{\"event\":\"mark\",\"stream_id\":\"%s\",\"mark\":{\"name\":\"%u\"}}",
	  "{\"event\":\"clear\",\"stream_id\":\"%s\"}" },
	{ "streamId", true,
	  "{\"event\":\"playAudio\",\"streamId\":\"%s\",\"media\":{\"contentType\":\"audio/x-mulaw\","
	  "\"sampleRate\":8000,\"payload\":\"%.*s\"}}",
	  "{\"event\":\"checkpoint\",\"streamId\":\"%s\",\"name\":\"%u\"}",
	  "{\"event\":\"clearAudio\",\"streamId\":\"%s\"}" },
};

json_t *
gw_dialect_member(const json_t *object, gw_word word)
{
	json_t *member = NULL;

	for (int i = 0; i < MAX_NAMES && words[word][i] != NULL && member == NULL; i++)
		member = json_object_get(object, words[word][i]);
	return member;
}

const gw_dialect *
gw_dialect_of(const json_t *message, const char **stream)
{
	const json_t *start = gw_dialect_member(message, GW_WORD_START);

	for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++)
	{
		*stream = json_string_value(json_object_get(message, dialects[i].stream));
		if (*stream == NULL)
			*stream = json_string_value(json_object_get(start, dialects[i].stream));
		if (*stream != NULL)
			return &dialects[i];
	}
	return NULL;
}
