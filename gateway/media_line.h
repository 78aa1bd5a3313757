/*
 * media_line.h
 *	  Sockets of the gateway's own port that bring calls as a stream: what all of them have in common.
 *
 * Whoever comes has a token for the gateway, and in the query the token of a call that was asked for beforehand.  A form is what is said
 * over such a socket; its lines begin with a gw_media_line.
 */
#ifndef GATEWAY_MEDIA_LINE_H
#define GATEWAY_MEDIA_LINE_H

#include "gateway.h"

typedef struct gw_media_line gw_media_line;

typedef struct gw_media_line_form
{
	const gw_media_peer *peer;			/* whose link is the line */
	const char *subprotocol;			/* taken when it is offered */
	int ping_ms;						/* [the server's] */
	size_t size;						/* of a line */
	void (*begin)(gw_media_line *line); /* NULL: nothing is to be done */
	void (*end)(gw_media_line *line);	/* before it is freed; NULL: nothing */

	/* What came while it is not over. */
	void (*hear)(gw_media_line *line, const char *bytes, size_t n);
	void (*take)(gw_media_line *line, const json_t *message);
} gw_media_line_form;

struct gw_media_line
{
	gw_gateway *gateway;
	http_id id;
	const gw_media_line_form *form;
	http_timer start;		   /* until it has begun */
	gw_media_session *session; /* NULL: it has not begun, or is over */
	bool over;
	char token[64];
	char tenant[64];
	gw_media_line *next;
};

/* Answers a request for one: its query is uuid= and a token. */
extern void gw_media_line_request(gw_call *call, const gw_media_line_form *form);

/* It has begun; its audio is of that encoding. */
extern void gw_media_line_begin(gw_media_line *line, mb_encoding encoding);

/* It sent what it must not: the stream ends, and what was heard up to there is kept. */
extern void gw_media_line_refuse(gw_media_line *line, const char *why);

/* Audio for its session, whose samples have so many bytes. */
extern void gw_media_line_heard(gw_media_line *line, const char *bytes, size_t n, size_t width);

/* A key, which is refused when it is none. */
extern void gw_media_line_digit(gw_media_line *line, const char *digit);

extern void gw_media_line_send(gw_media_line *line, bool text, const void *bytes, size_t n);

/* Functions of peers; the first for gw_media_peer.send as it is. */
extern void gw_media_line_send_audio(void *link, const uint8_t *audio, size_t n);
extern void gw_media_line_close(void *link, int code, const char *reason);

#endif /* GATEWAY_MEDIA_LINE_H */
