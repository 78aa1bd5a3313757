/*
 * media_dialect.h
 *	  Media Streams as Twilio speaks them, and those who speak nearly the same: by which names they call things.
 *
 * What comes is read by any of the names; what is sent is what the other side documents, and nothing beside it.
 */
#ifndef GATEWAY_MEDIA_DIALECT_H
#define GATEWAY_MEDIA_DIALECT_H

#include <jansson.h>
#include <stdbool.h>

typedef struct gw_dialect
{
	const char *stream; /* what it calls the stream's id: by which it is known */
	bool ordered;		/* it promises that audio comes in order */

	/* What is sent: %s is the stream's id, %.*s the audio in base64, %u the number of a mark.  NULL: it has none. */
	const char *media;
	const char *mark;
	const char *clear;
} gw_dialect;

/* Things that messages have. */
typedef enum gw_word
{
	GW_WORD_EVENT,
	GW_WORD_START,
	GW_WORD_MEDIA,
	GW_WORD_CALL,
	GW_WORD_ACCOUNT,
	GW_WORD_PARAMETERS,
	GW_WORD_FORMAT,
	GW_WORD_ENCODING,
	GW_WORD_RATE,
	GW_WORD_TRACK,
	GW_WORD_CHUNK,
	GW_WORD_TIMESTAMP,
	GW_WORD_PAYLOAD,
	GW_WORD_DIGIT,
	GW_WORD_DTMF,
	GW_WORD_MARK,
	GW_WORD_NAME,
	GW_WORD_SEQUENCE,
	GW_WORDS
} gw_word;

/* The member of an object, by whichever of its names is there; NULL: none is. */
extern json_t *gw_dialect_member(const json_t *object, gw_word word);

/* The dialect of a message by the name that its stream's id has, and that id; NULL: it has none. */
extern const gw_dialect *gw_dialect_of(const json_t *message, const char **stream);

#endif /* GATEWAY_MEDIA_DIALECT_H */
