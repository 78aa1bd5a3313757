/*
 * test_http_frames.c
 *	  Frames of WebSockets that are whole messages, and which ones are left to wslay.
 *
 * Link with: -I../http
 */
#include "check.h"
#include "../../http/frames.c"

#include <stdlib.h>

static const unsigned char mask[HTTP_FRAME_MASK] = { 0x12, 0xF0, 0x00, 0x7E };

/* A frame for free(); the first byte is what it is. */
static char *
frame_of(int first, const char *bytes, size_t n, bool masked, size_t *size)
{
	char *frame = malloc(HTTP_FRAME_HEAD + n);
	size_t head = http_frame_head(frame, first & OPCODE, n, masked ? mask : NULL);

	frame[0] = (char) first;
	if (n > 0)
		memcpy(frame + head, bytes, n);
	if (masked)
		http_frame_mask(frame + head, n, mask);
	*size = head + n;
	return frame;
}

static http_frame_outcome
read_frame(int first, const char *bytes, size_t n, bool masked, size_t most, http_frame *frame)
{
	size_t size;
	char *whole = frame_of(first, bytes, n, masked, &size);
	http_frame_outcome outcome = http_frame_read(whole, size, masked, most, frame);

	if (outcome == HTTP_FRAME_WHOLE)
	{
		check_int(frame->size, size);
		check_int(frame->length, n);
		check(n == 0 || memcmp(frame->bytes, bytes, n) == 0);
	}
	free(whole);
	return outcome;
}

static void
whole_messages(void)
{
	static char bytes[USUAL + 1];
	static const size_t sizes[] = { 0, 1, 7, 8, 9, 125, 126, 127, 255, 256, 4000, USUAL };
	http_frame frame;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char) ('a' + i % 26);
	for (int masked = 0; masked < 2; masked++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		{
			check_int(read_frame(0x81, bytes, sizes[i], masked, 65536, &frame), HTTP_FRAME_WHOLE);
			check(frame.text);
			check_int(read_frame(0x82, bytes, sizes[i], masked, 65536, &frame), HTTP_FRAME_WHOLE);
			check(!frame.text);
		}
	/* a large one, and one that is larger than it may be */
	check_int(read_frame(0x81, bytes, USUAL + 1, true, 65536, &frame), HTTP_FRAME_OTHER);
	check_int(read_frame(0x81, bytes, 100, true, 100, &frame), HTTP_FRAME_WHOLE);
	check_int(read_frame(0x81, bytes, 101, true, 100, &frame), HTTP_FRAME_OTHER);
}

/* Whatever is missing, nothing is changed until it is there. */
static void
messages_that_come_in_pieces(void)
{
	static char bytes[300];
	http_frame frame;

	memset(bytes, 'x', sizeof(bytes));
	for (int masked = 0; masked < 2; masked++)
		for (size_t n = 0; n <= sizeof(bytes); n += 100)
		{
			size_t size;
			char *whole = frame_of(0x81, bytes, n, masked, &size);

			for (size_t come = 0; come < size; come++)
			{
				/* where nothing lies behind it that could be read */
				char *part = malloc(come + 1);

				memcpy(part, whole, come);
				check_int(http_frame_read(part, come, masked, 65536, &frame), HTTP_FRAME_MORE);
				check(memcmp(part, whole, come) == 0);
				free(part);
			}
			check_int(http_frame_read(whole, size, masked, 65536, &frame), HTTP_FRAME_WHOLE);
			free(whole);
		}
}

static void
what_is_for_others(void)
{
	static const char not_utf8[] = "abc\xC3(";
	http_frame frame;
	size_t size;
	char *whole;
	char *before;

	check_int(read_frame(0x89, "", 0, true, 65536, &frame), HTTP_FRAME_OTHER);
	check_int(read_frame(0x88, "", 0, true, 65536, &frame), HTTP_FRAME_OTHER);
	check_int(read_frame(0x01, "x", 1, true, 65536, &frame), HTTP_FRAME_OTHER);
	check_int(read_frame(0x80, "x", 1, true, 65536, &frame), HTTP_FRAME_OTHER);
	check_int(read_frame(0xC1, "x", 1, true, 65536, &frame), HTTP_FRAME_OTHER);
	check_int(read_frame(0x83, "x", 1, true, 65536, &frame), HTTP_FRAME_OTHER);
	/* a mask where there must be none, and none where there must be one */
	whole = frame_of(0x81, "x", 1, true, &size);
	check_int(http_frame_read(whole, size, false, 65536, &frame), HTTP_FRAME_OTHER);
	free(whole);
	whole = frame_of(0x81, "x", 1, false, &size);
	check_int(http_frame_read(whole, size, true, 65536, &frame), HTTP_FRAME_OTHER);
	free(whole);
	/* a length that is written longer than it has to be */
	check_int(http_frame_read((char[]){ (char) 0x82, 126, 0, 1, 'x' }, 5, false, 65536, &frame),
			  HTTP_FRAME_OTHER);
	check_int(http_frame_read((char[]){ (char) 0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1, 'x' }, 11, false,
							  65536, &frame),
			  HTTP_FRAME_OTHER);
	check_int(http_frame_read((char[]){ (char) 0x82, 127, -1, -1, -1, -1, -1, -1, -1, -1 }, 10,
							  false, SIZE_MAX, &frame),
			  HTTP_FRAME_OTHER);
	/* what is not UTF-8 is left as it came */
	whole = frame_of(0x81, not_utf8, sizeof(not_utf8) - 1, true, &size);
	before = malloc(size);
	memcpy(before, whole, size);
	check_int(http_frame_read(whole, size, true, 65536, &frame), HTTP_FRAME_OTHER);
	check(memcmp(before, whole, size) == 0);
	free(before);
	free(whole);
	check_int(read_frame(0x82, not_utf8, sizeof(not_utf8) - 1, true, 65536, &frame),
			  HTTP_FRAME_WHOLE);
}

/* However they are cut, it is known where frames and messages end. */
static void
frames_are_followed(void)
{
	check_random random = { .state = 7 };
	static char stream[200000];
	static bool ends[200001];	 /* frames */
	static bool between[200001]; /* and messages */
	size_t n = 0;
	bool inside = false;
	http_frame_walk walk = { 0 };

	while (n < sizeof(stream) - 70100)
	{
		static char bytes[70000];
		bool control = check_random_below(&random, 4) == 0;
		bool final = control || check_random_below(&random, 2) == 0;
		size_t length = check_random_below(&random, control								   ? 126
													: check_random_below(&random, 20) == 0 ? 70000
																						   : 400);
		int first = (final ? 0x80 : 0) | (control ? 0x9 : inside ? 0 : 1);
		size_t size;
		char *frame = frame_of(first, bytes, length, true, &size);

		memcpy(stream + n, frame, size);
		n += size;
		inside = control ? inside : !final;
		ends[n] = true;
		between[n] = !inside;
		free(frame);
	}
	for (size_t at = 0; at < n;)
	{
		size_t there = 1 + check_random_below(&random, 5000);
		size_t room = 1 + check_random_below(&random, 300);
		size_t given;

		there = there < n - at ? there : n - at;
		given = http_frame_follow(&walk, stream + at, there, room);
		check(given <= there && given <= room);
		check(given > 0 || there < HTTP_FRAME_HEAD);
		for (size_t i = at + 1; i < at + given; i++)
			check(!ends[i]);
		at += given;
		check_int(walk.left == 0, at == 0 || ends[at]);
		check_int(http_frame_is_between(&walk), at == 0 || between[at]);
	}
}

int
main(void)
{
	check_run("whole messages are read", whole_messages);
	check_run("and those that come in pieces", messages_that_come_in_pieces);
	check_run("everything else is left to others", what_is_for_others);
	check_run("frames are followed", frames_are_followed);
	return check_done();
}
