/*
 * event_stream.c
 *	  See event_stream.h.
 */
#include "core/web/event_stream.h"

#include <string.h>

enum
{
	NAME,	/* of the field, or the beginning of an empty line */
	SPACE,	/* behind the colon: one may be left out */
	VALUE,	/* of data */
	NOTHING /* the rest of a line that does not matter */
};

void
mb_event_stream_init(mb_event_stream *stream, char *room, size_t size)
{
	memset(stream, 0, sizeof(*stream));
	stream->room = room;
	stream->size = size;
}

void
mb_event_stream_room(mb_event_stream *stream, char *room, size_t size)
{
	stream->room = room;
	stream->size = size;
}

static void
keep(mb_event_stream *stream, char byte)
{
	if (stream->length < stream->size)
		stream->room[stream->length++] = byte;
	else
		stream->too_long = true;
}

static bool
is_data(const mb_event_stream *stream)
{
	return stream->name_length == 4 && memcmp(stream->name, "data", 4) == 0;
}

/* A field begins its value; of data that is a line of its own. */
static void
begin_value(mb_event_stream *stream)
{
	if (stream->has_data)
		keep(stream, '\n');
	stream->has_data = true;
}

static void
end_line(mb_event_stream *stream, mb_event_callback event, void *arg)
{
	bool empty = stream->state == NAME && stream->name_length == 0;

	/* a name without a colon is a field without a value */
	if (stream->state == NAME && is_data(stream))
		begin_value(stream);
	stream->state = NAME;
	stream->name_length = 0;
	if (!empty)
		return;
	if (stream->too_long)
		stream->skipped++;
	else if (stream->has_data)
		event(arg, stream->room, stream->length);
	stream->length = 0;
	stream->too_long = false;
	stream->has_data = false;
}

static void
take(mb_event_stream *stream, char byte)
{
	switch (stream->state)
	{
		case NAME:
			if (byte != ':')
			{
				if (stream->name_length < sizeof(stream->name))
					stream->name[stream->name_length++] = byte;
				break;
			}
			if (is_data(stream))
			{
				begin_value(stream);
				stream->state = SPACE;
			}
			else
				stream->state = NOTHING;
			break;
		case SPACE:
			stream->state = VALUE;
			if (byte != ' ')
				keep(stream, byte);
			break;
		case VALUE:
			keep(stream, byte);
			break;
		default:
			break;
	}
}

void
mb_event_stream_feed(mb_event_stream *stream, const char *bytes, size_t n, mb_event_callback event,
					 void *arg)
{
	for (size_t i = 0; i < n; i++)
	{
		bool after_cr = stream->after_cr;

		stream->after_cr = bytes[i] == '\r';
		if (bytes[i] == '\n' && after_cr)
			continue;
		if (bytes[i] == '\n' || bytes[i] == '\r')
			end_line(stream, event, arg);
		else
			take(stream, bytes[i]);
	}
}
