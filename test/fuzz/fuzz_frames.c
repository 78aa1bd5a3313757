/*
 * fuzz_frames.c
 *	  Frames of a client's WebSocket: what is taken for a whole message without wslay is the message that wslay makes of the same bytes,
 *	  and who follows frames finds their ends.
 *
 * Link with: -I.. -I../http -lwslay
 * Fuzz with: -max_len=4096
 */
#define _GNU_SOURCE
#include "fuzz.h"
#include "../../http/frames.c"

#include <stdlib.h>
#include <sys/types.h>

#define MOST 1000
#define MESSAGES 64

typedef struct taken
{
	const char *next; /* bytes that wslay has not read yet */
	size_t left;
	bool text[MESSAGES]; /* of messages that we took */
	const char *bytes[MESSAGES];
	size_t length[MESSAGES];
	int n;
	int found; /* of them by wslay */
} taken;

static ssize_t
receive(wslay_event_context_ptr context, uint8_t *buffer, size_t room, int flags, void *arg)
{
	taken *t = arg;
	size_t n = room < t->left ? room : t->left;

	(void) flags;
	if (n == 0)
	{
		wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(buffer, t->next, n);
	t->next += n;
	t->left -= n;
	return (ssize_t) n;
}

static void
has_come(wslay_event_context_ptr context, const struct wslay_event_on_msg_recv_arg *message,
		 void *arg)
{
	taken *t = arg;
	int i = t->found++;

	(void) context;
	require(i < t->n && (message->opcode == WSLAY_TEXT_FRAME) == t->text[i]);
	require(message->opcode == WSLAY_TEXT_FRAME || message->opcode == WSLAY_BINARY_FRAME);
	require(message->msg_length == t->length[i]);
	require(t->length[i] == 0 || memcmp(message->msg, t->bytes[i], t->length[i]) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct wslay_event_callbacks callbacks = { .recv_callback = receive,
															.on_msg_recv_callback = has_come };
	taken t = { .next = (const char *) data };
	http_frame_walk walk = { 0 };
	wslay_event_context_ptr context;
	char *bytes = malloc(size + 1);
	http_frame frame;
	size_t at = 0;

	require(bytes != NULL);
	memcpy(bytes, data, size);
	while (t.n < MESSAGES &&
		   http_frame_read(bytes + at, size - at, true, MOST, &frame) == HTTP_FRAME_WHOLE)
	{
		require(frame.length <= MOST && frame.size <= size - at && frame.size > frame.length);
		require(frame.bytes + frame.length == bytes + at + frame.size);
		for (size_t step = 0, n; step < frame.size; step += n)
		{
			n = http_frame_follow(&walk, (const char *) data + at + step, size - at - step,
								  1 + data[at] % 7 + HTTP_FRAME_HEAD);
			require(n > 0 && n <= frame.size - step);
		}
		require(http_frame_is_between(&walk));
		t.text[t.n] = frame.text;
		t.bytes[t.n] = frame.bytes;
		t.length[t.n++] = frame.length;
		at += frame.size;
	}
	/* what was not taken is as it came */
	require(t.n == MESSAGES || memcmp(bytes + at, data + at, size - at) == 0);
	t.left = at;
	require(wslay_event_context_server_init(&context, &callbacks, &t) == 0);
	require(wslay_event_recv(context) == 0 && t.left == 0);
	require(t.found == t.n && wslay_event_want_read(context));
	wslay_event_context_free(context);
	free(bytes);
	return 0;
}
