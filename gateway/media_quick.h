/*
 * media_quick.h
 *	  The message of audio that Twilio sends, read without building a tree of it.
 */
#ifndef GATEWAY_MEDIA_QUICK_H
#define GATEWAY_MEDIA_QUICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GW_MEDIA_MAX_DIGITS 15 /* of a number */

/* The texts lie in the message. */
typedef struct gw_quick_media
{
	const char *sid;
	size_t sid_length;
	const char *payload; /* base64 */
	size_t payload_length;
	int64_t sequence;
	int64_t chunk;
	int64_t timestamp; /* milliseconds; -1: none that is one */
} gw_quick_media;

/* Reads {"event":"media",...} of the inbound track, without escapes, all of its members there.  False: it may be one all the same. */
extern bool gw_quick_media_read(const char *text, size_t n, gw_quick_media *media);

#endif /* GATEWAY_MEDIA_QUICK_H */
