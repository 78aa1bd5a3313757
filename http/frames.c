/*
 * frames.c
 *	  See frames.h.
 */
#include "frames.h"

#include <string.h>
#include <wslay/wslay.h>

#include "core/text/utf8.h"

#define FINAL 0x80
#define RESERVED 0x70
#define OPCODE 0x0F
#define MASKED 0x80
#define SHORT 125
#define TWO_BYTES 126
#define EIGHT_BYTES 127
#define USUAL 16384 /* bytes of a message; a larger one is not waited for here */

typedef struct head
{
	size_t size; /* with the mask; 0: there is more of it to come */
	uint64_t length;
	bool least; /* its length is written as short as can be */
} head;

static head
read_head(const unsigned char *bytes, size_t n)
{
	int digits;
	head h = { 0 };

	if (n < 2)
		return h;
	h.length = bytes[1] & ~MASKED;
	digits = h.length == TWO_BYTES ? 2 : h.length == EIGHT_BYTES ? 8 : 0;
	h.least = digits == 0;
	if (digits > 0 && n >= 2 + (size_t) digits)
	{
		h.length = 0;
		for (int i = 0; i < digits; i++)
			h.length = h.length << 8 | bytes[2 + i];
		h.least = h.length > (digits == 2 ? SHORT : UINT16_MAX);
	}
	h.size = 2 + (size_t) digits + ((bytes[1] & MASKED) != 0 ? HTTP_FRAME_MASK : 0);
	h.size = n < h.size ? 0 : h.size;
	return h;
}

void
http_frame_mask(char *bytes, size_t n, const unsigned char mask[HTTP_FRAME_MASK])
{
	uint64_t eight;
	uint32_t four;
	size_t i = 0;

	memcpy(&four, mask, sizeof(four));
	eight = (uint64_t) four << 32 | four;
	for (; n - i >= sizeof(eight); i += sizeof(eight))
	{
		uint64_t word;

		memcpy(&word, bytes + i, sizeof(word));
		word ^= eight;
		memcpy(bytes + i, &word, sizeof(word));
	}
	for (; i < n; i++)
		bytes[i] = (char) (bytes[i] ^ mask[i % HTTP_FRAME_MASK]);
}

http_frame_outcome
http_frame_read(char *bytes, size_t n, bool masked, size_t most, http_frame *frame)
{
	const unsigned char *b = (const unsigned char *) bytes;
	head h = read_head(b, n);

	if (n < 2)
		return HTTP_FRAME_MORE;
	frame->text = (b[0] & OPCODE) == WSLAY_TEXT_FRAME;
	if ((b[0] & (FINAL | RESERVED)) != FINAL ||
		(!frame->text && (b[0] & OPCODE) != WSLAY_BINARY_FRAME) || ((b[1] & MASKED) != 0) != masked)
		return HTTP_FRAME_OTHER;
	if (h.size == 0)
		return HTTP_FRAME_MORE;
	if (!h.least || h.length > most || h.length > USUAL)
		return HTTP_FRAME_OTHER;
	frame->bytes = bytes + h.size;
	frame->length = (size_t) h.length;
	frame->size = h.size + frame->length;
	if (n < frame->size)
		return HTTP_FRAME_MORE;
	if (masked)
		http_frame_mask(frame->bytes, frame->length, b + h.size - HTTP_FRAME_MASK);
	if (!frame->text || mb_utf8_prefix(frame->bytes, frame->length) == frame->length)
		return HTTP_FRAME_WHOLE;
	/* wslay says what is wrong with it */
	if (masked)
		http_frame_mask(frame->bytes, frame->length, b + h.size - HTTP_FRAME_MASK);
	return HTTP_FRAME_OTHER;
}

size_t
http_frame_head(char head[HTTP_FRAME_HEAD], int opcode, size_t n, const unsigned char *mask)
{
	size_t length = 2;
	int bytes = n <= SHORT ? 0 : n <= UINT16_MAX ? 2 : 8;

	head[0] = (char) (FINAL | opcode);
	head[1] = (char) ((bytes == 0	? (int) n
					   : bytes == 2 ? TWO_BYTES
									: EIGHT_BYTES) |
					  (mask != NULL ? MASKED : 0));
	for (int i = bytes - 1; i >= 0; i--)
		head[length++] = (char) ((uint64_t) n >> (8 * i) & 0xff);
	if (mask != NULL)
	{
		memcpy(head + length, mask, HTTP_FRAME_MASK);
		length += HTTP_FRAME_MASK;
	}
	return length;
}

size_t
http_frame_follow(http_frame_walk *walk, const char *bytes, size_t n, size_t room)
{
	if (walk->left == 0)
	{
		const unsigned char *b = (const unsigned char *) bytes;
		head h = read_head(b, n);

		if (h.size == 0)
			return 0;
		walk->left = h.length <= UINT64_MAX - h.size ? h.size + h.length : UINT64_MAX;
		/* between the parts of a message come those of the protocol */
		if ((b[0] & OPCODE) <= WSLAY_BINARY_FRAME)
			walk->inside = (b[0] & FINAL) == 0;
	}
	n = n < room ? n : room;
	n = walk->left < n ? (size_t) walk->left : n;
	walk->left -= n;
	return n;
}

bool
http_frame_is_between(const http_frame_walk *walk)
{
	return walk->left == 0 && !walk->inside;
}
