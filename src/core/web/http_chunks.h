/*
 * http_chunks.h
 *	  Takes the body out of "Transfer-Encoding: chunked" (RFC 9112, section 7.1) as it comes.
 *
 * As strict as http_head.h: a size is hexadecimal digits and nothing else, lines end in CR LF,
 * exactly the announced bytes stand before the next CR LF.  Extensions and trailer fields are passed
 * over once they are known to be such; of both together there may be MB_HTTP_MAX_CHUNK_EXTRAS bytes.
 * A trailer that would change where the body ends is refused.
 */
#ifndef MB_HTTP_CHUNKS_H
#define MB_HTTP_CHUNKS_H

#include "core/web/http_head.h"

#define MB_HTTP_MAX_CHUNK_EXTRAS 8192

/* Owned by the caller; what is in it is this module's. */
typedef struct mb_http_chunks
{
	int state;
	int digits;		 /* of the size under way */
	uint64_t left;	 /* bytes of the chunk under way */
	uint64_t total;	 /* bytes of the body so far, those still announced included */
	uint64_t limit;	 /* of total */
	uint32_t extras; /* bytes of extensions and trailers so far */
	uint32_t name_length;
	char name[17]; /* of a trailer, as much as has to be known of it */
	mb_http_violation violation;
} mb_http_chunks;

typedef enum mb_http_chunks_outcome
{
	MB_HTTP_CHUNKS_MORE,   /* all n bytes are used, and the body goes on */
	MB_HTTP_CHUNKS_DATA,   /* a piece of the body; call again with what was not used */
	MB_HTTP_CHUNKS_END,	   /* the body has ended; what was not used is the next request's */
	MB_HTTP_CHUNKS_REFUSED /* violation is set */
} mb_http_chunks_outcome;

/* A body of more than limit bytes is refused, as soon as a chunk announces it. */
extern void mb_http_chunks_begin(mb_http_chunks *chunks, uint64_t limit);

/*
 * Looks at n bytes.  *used says how many of them are done with; with MB_HTTP_CHUNKS_DATA the last
 * *length of those, from bytes + *at on, are a piece of the body.
 */
extern mb_http_chunks_outcome
mb_http_chunks_feed(mb_http_chunks *chunks, const char *bytes, size_t n, size_t *used, size_t *at,
					size_t *length);

#endif /* MB_HTTP_CHUNKS_H */
