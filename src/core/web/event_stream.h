/*
 * event_stream.h
 *	  Reads a stream of server-sent events (text/event-stream, the HTML standard's section 9.2), in pieces of any size.
 *
 * Of an event only its data is told, lines joined by a line feed.  An event whose data is longer than the room that
 * is given is not told, and counted.
 */
#ifndef MB_EVENT_STREAM_H
#define MB_EVENT_STREAM_H

#include "core/mb.h"

typedef void (*mb_event_callback)(void *arg, const char *data, size_t n);

typedef struct mb_event_stream
{
	char *room; /* of the caller */
	size_t size;
	size_t length;	  /* of the data of this event */
	size_t line;	  /* bytes of the line that were kept */
	uint32_t skipped; /* events that were too long */
	bool too_long;	  /* this one is */
	bool has_data;
	bool after_cr; /* a line feed now belongs to it */
	char name[8];  /* of the field, as far as it matters */
	uint8_t name_length;
	uint8_t state;
} mb_event_stream;

extern void mb_event_stream_init(mb_event_stream *stream, char *room, size_t size);

/* Gives it more room, in which what is in the other one has been put. */
extern void mb_event_stream_room(mb_event_stream *stream, char *room, size_t size);

/* The callback may not call this. */
extern void mb_event_stream_feed(mb_event_stream *stream, const char *bytes, size_t n,
								 mb_event_callback event, void *arg);

#endif /* MB_EVENT_STREAM_H */
