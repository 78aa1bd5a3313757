/*
 * frames.h
 *	  Frames of WebSockets (RFC 6455) that are whole messages of a size that is usual: nearly all are.  They are read and written without
 *	  wslay, whose context is 9 kB, most of it buffers.  Everything else is wslay's: it is asked when something else comes, and let go
 *	  when that is over.
 */
#ifndef HTTP_FRAMES_H
#define HTTP_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a server's frame, and of a client's, which has a mask. */
#define HTTP_FRAME_HEAD 14
#define HTTP_FRAME_MASK 4

typedef enum http_frame_outcome
{
	HTTP_FRAME_WHOLE, /* a message */
	HTTP_FRAME_MORE,  /* may be one when there are more bytes */
	HTTP_FRAME_OTHER  /* of the protocol, a part of a message, a large one, or wrong: for wslay */
} http_frame_outcome;

typedef struct http_frame
{
	bool text;
	char *bytes; /* of the message, without their mask */
	size_t length;
	size_t size; /* of the frame */
} http_frame;

/* Looks at a frame that begins these bytes, of a message of at most "most"; of a client's, which is masked, the mask is taken off. */
extern http_frame_outcome
http_frame_read(char *bytes, size_t n, bool masked, size_t most, http_frame *frame);

/* Writes the head of a frame with a whole message, and behind it the mask, if it is not NULL; how many bytes those are. */
extern size_t
http_frame_head(char head[HTTP_FRAME_HEAD], int opcode, size_t n, const unsigned char *mask);
extern void http_frame_mask(char *bytes, size_t n, const unsigned char mask[HTTP_FRAME_MASK]);

/* Follows the frames that wslay is given.  All zero is between two messages. */
typedef struct http_frame_walk
{
	uint64_t left; /* of a frame */
	bool inside;   /* a message that has come in part */
} http_frame_walk;

/*
 * How many of the next n bytes belong to the frame that begins or goes on with them, at most "room", which count as given; 0: there are
 * too few to tell.
 */
extern size_t http_frame_follow(http_frame_walk *walk, const char *bytes, size_t n, size_t room);
extern bool http_frame_is_between(const http_frame_walk *walk);

#endif /* HTTP_FRAMES_H */
