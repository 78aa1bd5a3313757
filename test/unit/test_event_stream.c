/*
 * test_event_stream.c
 *	  Streams of events as the HTML standard has them, in pieces of any size.
 */
#include <string.h>

#include "check.h"
#include "core/web/event_stream.h"

typedef struct heard
{
	char text[1024];
	size_t length;
} heard;

static void
hear(void *arg, const char *data, size_t n)
{
	heard *h = arg;

	h->text[h->length++] = '[';
	memcpy(h->text + h->length, data, n);
	h->length += n;
	h->text[h->length++] = ']';
	h->text[h->length] = '\0';
}

static const struct
{
	const char *bytes;
	const char *events;
	uint32_t skipped;
} cases[] = {
	{ "", "", 0 },
	{ "data: a\n\n", "[a]", 0 },
	{ "data:a\r\n\r\ndata: b\r\r", "[a][b]", 0 },
	{ "data:  a\n\n", "[ a]", 0 },
	{ "data: a\ndata: b\n\n", "[a\nb]", 0 },
	{ "data\n\n", "[]", 0 },
	{ "data\ndata\n\n", "[\n]", 0 },
	{ ": a comment\nevent: x\nid: 1\ndata: a\nretry: 3\n\n", "[a]", 0 },
	{ "datas: a\n\ndat: b\n\n data: c\n\n", "", 0 },
	{ "data: {\"a\": \"b: c\"}\n\n", "[{\"a\": \"b: c\"}]", 0 },
	/* without its empty line an event has not come */
	{ "data: a\n\ndata: b\n", "[a]", 0 },
	{ "data: 123456789012345678901\n\ndata: b\n\n", "[b]", 1 },
};

static void
events_are_told_by_their_data(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		size_t n = strlen(cases[i].bytes);

		for (size_t step = 1; step <= n + 1; step++)
		{
			char room[20];
			mb_event_stream stream;
			heard h = { 0 };

			mb_event_stream_init(&stream, room, sizeof(room));
			for (size_t at = 0; at < n; at += step)
				mb_event_stream_feed(&stream, cases[i].bytes + at, n - at < step ? n - at : step,
									 hear, &h);
			check_string(h.text, cases[i].events);
			check_int(stream.skipped, cases[i].skipped);
		}
	}
}

int
main(void)
{
	check_run("events are told by their data", events_are_told_by_their_data);
	return check_done();
}
