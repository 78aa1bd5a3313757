/*
 * http_head.h
 *	  Reads the head of an HTTP/1.1 request (RFC 9110, RFC 9112): bytes in, offsets out.
 *
 * Strict, because what two programs read differently is how requests are smuggled past one of
 * them: what the standards let a server repair is refused.  In particular the target begins with a
 * slash, lines end in CR LF, a field's name ends at its colon, no field is folded, there is one
 * Content-Length or one "Transfer-Encoding: chunked" and never both.
 *
 * Nothing here points into the bytes, so the caller may move them between calls.  Target, path
 * and query stay as they came: signatures are over them.
 */
#ifndef MB_HTTP_HEAD_H
#define MB_HTTP_HEAD_H

#include "core/mb.h"

/* A longer head is refused; so is one with more fields. */
#define MB_HTTP_MAX_HEAD 16384
#define MB_HTTP_MAX_FIELDS 100

/* What is wrong with a request.  mb_http_violation_status() says how it is answered. */
typedef enum mb_http_violation
{
	MB_HTTP_FINE = 0,
	MB_HTTP_BAD_REQUEST_LINE,
	MB_HTTP_BAD_TARGET,
	MB_HTTP_BAD_VERSION,
	MB_HTTP_OTHER_VERSION,
	MB_HTTP_BARE_LINE_FEED,
	MB_HTTP_FOLDED_FIELD,
	MB_HTTP_BAD_FIELD_NAME,
	MB_HTTP_BAD_FIELD_VALUE,
	MB_HTTP_TARGET_TOO_LONG,
	MB_HTTP_HEAD_TOO_LARGE,
	MB_HTTP_TOO_MANY_FIELDS,
	MB_HTTP_NO_HOST,
	MB_HTTP_SEVERAL_HOSTS,
	MB_HTTP_BAD_HOST,
	MB_HTTP_BAD_LENGTH,
	MB_HTTP_SEVERAL_LENGTHS,
	MB_HTTP_LENGTH_AND_CODING,
	MB_HTTP_SEVERAL_CODINGS,
	MB_HTTP_OTHER_CODING,
	MB_HTTP_CODING_IN_1_0,
	MB_HTTP_LENGTH_REQUIRED,
	MB_HTTP_OTHER_EXPECTATION,
	MB_HTTP_BODY_TOO_LARGE,
	MB_HTTP_BAD_CHUNK,
	MB_HTTP_BAD_TRAILER,
	MB_HTTP_VIOLATIONS /* how many there are */
} mb_http_violation;

/* The status of HTTP that answers it (400 … 505; 0 for MB_HTTP_FINE), and one sentence for people. */
extern int mb_http_violation_status(mb_http_violation violation);
extern const char *mb_http_violation_message(mb_http_violation violation);

/* A stretch of the bytes. */
typedef struct mb_http_span
{
	uint16_t at;
	uint16_t length;
} mb_http_span;

typedef struct mb_http_field
{
	mb_http_span name;
	mb_http_span value; /* without spaces and tabs around it */
} mb_http_field;

typedef enum mb_http_framing
{
	MB_HTTP_NO_BODY = 0, /* nothing announces one */
	MB_HTTP_LENGTH,		 /* content_length bytes, maybe none */
	MB_HTTP_CHUNKED		 /* see http_chunks.h */
} mb_http_framing;

typedef struct mb_http_head
{
	/* while it comes */
	uint16_t scanned; /* bytes already looked at */
	uint16_t line;	  /* where the line under way begins */

	/* once mb_http_head_feed() has said MB_HTTP_HEAD_COMPLETE */
	uint16_t size; /* bytes of the head with its empty line: what follows is the body */
	mb_http_span method;
	mb_http_span target;
	mb_http_span path;
	mb_http_span query; /* behind the question mark; length 0 without one */
	bool has_query;
	int minor_version; /* 0 or 1 */
	uint16_t n_fields;
	mb_http_field fields[MB_HTTP_MAX_FIELDS];

	mb_http_framing framing;
	uint64_t content_length;
	bool keep_alive;	  /* the client lets the connection live on */
	bool upgrade;		  /* Connection names Upgrade; see websocket.h */
	bool expect_continue; /* waits for "100 Continue" before it sends the body */

	/* once it has said MB_HTTP_HEAD_REFUSED */
	mb_http_violation violation;
} mb_http_head;

typedef enum mb_http_head_outcome
{
	MB_HTTP_HEAD_MORE,	   /* call again with more bytes behind the same ones */
	MB_HTTP_HEAD_COMPLETE, /* size and everything below it is set */
	MB_HTTP_HEAD_REFUSED   /* violation is set; nothing behind it can be trusted */
} mb_http_head_outcome;

/* Before the first byte of each head. */
extern void mb_http_head_begin(mb_http_head *head);

/*
 * bytes are all n that came since the head began, those of earlier calls included; what was looked
 * at before is not looked at again.  A violation is told as soon as its line has ended, even when
 * the head has not.
 */
extern mb_http_head_outcome mb_http_head_feed(mb_http_head *head, const char *bytes, size_t n);

/* The index of the first field of that name from index "from" on, in any case; -1 for none. */
extern int
mb_http_head_find(const mb_http_head *head, const char *bytes, const char *name, int from);

/* True when the span holds exactly this text; the other does not mind case (ASCII). */
extern bool mb_http_span_is(mb_http_span span, const char *bytes, const char *text);
extern bool mb_http_span_is_like(mb_http_span span, const char *bytes, const char *text);

/*
 * Walks the comma-separated tokens of all fields of a name, as of Connection or
 * Sec-WebSocket-Protocol.  Begin with a walk of all zeroes.  False when there is no further one;
 * elements that are no tokens come as they are, empty ones do not.
 */
typedef struct mb_http_walk
{
	int field; /* 1 more than the field under way; 0 before the first */
	uint16_t at;
} mb_http_walk;

extern bool mb_http_head_next_token(const mb_http_head *head, const char *bytes, const char *name,
									mb_http_walk *walk, mb_http_span *token);

/* True for the characters of a token (RFC 9110, section 5.6.2). */
extern bool mb_http_is_token(const char *text, size_t n);

/* True when a field may have this value: no control character but the tab. */
extern bool mb_http_is_field_value(const char *text, size_t n);

#endif /* MB_HTTP_HEAD_H */
