/*
 * client_frames.c
 *	  What goes over the connection of a WebSocket to others: whole messages are read and written here (frames.h), all other frames by
 *	  wslay, and those of a turn leave in one piece.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "client_internal.h"

#define ABNORMAL 1006
#define MAX_SENT 16384 /* bytes at a time */
#define MAX_READ 65536 /* bytes in a turn */
#define READ 16384	   /* and at a time */
#define MAX_PONGS 64   /* wslay would queue them without limit */
#define RANDOM_BYTES 256
#define ROOM 512 /* for frames that wait, at first */

/* The other side has pings answered and does not read the answers. */
static bool
is_flooded(const http_line *line)
{
	return line->pongs > MAX_PONGS;
}

static bool
is_open(const http_line *line)
{
	return line->state == HTTP_LINE_OPEN || line->state == HTTP_LINE_CLOSING;
}

void
http_line_watch(http_line *line)
{
	bool writes = line->requested < line->request_length || (is_open(line) && line->out != NULL);

	if (line->state != HTTP_LINE_OVER)
		(void) http_loop_change(&line->watch, (is_flooded(line) ? 0 : (uint32_t) EPOLLIN) |
												  (writes ? (uint32_t) EPOLLOUT : 0));
}

ssize_t
http_line_receive(http_line *line, void *buffer, size_t room)
{
	size_t n = 0;
	CURLcode result;

	if (line->plain)
	{
		ssize_t got = recv(line->watch.fd, buffer, room, 0);

		if (got < 0)
			return errno == EAGAIN || errno == EINTR ? -1 : 0;
		/* the loop tells again of what is left */
		line->drained = (size_t) got < room;
		return got;
	}
	result = curl_easy_recv(line->handle.easy, buffer, room, &n);
	if (result == CURLE_AGAIN)
		return -1;
	return result == CURLE_OK ? (ssize_t) n : 0;
}

ssize_t
http_line_transmit(http_line *line, const char *bytes, size_t length)
{
	size_t n = 0;
	CURLcode result;

	if (line->plain)
	{
		ssize_t sent = send(line->watch.fd, bytes, length, MSG_NOSIGNAL);

		return sent >= 0 ? sent : errno == EAGAIN || errno == EINTR ? 0 : -1;
	}
	result = curl_easy_send(line->handle.easy, bytes, length, &n);
	return result == CURLE_OK || result == CURLE_AGAIN ? (ssize_t) n : -1;
}

/* Four bytes a frame: asking the kernel for each would cost as much as sending it. */
static int
make_mask(wslay_event_context_ptr wslay, uint8_t *bytes, size_t n, void *arg)
{
	static uint8_t pool[RANDOM_BYTES];
	static size_t left;

	(void) wslay;
	(void) arg;
	if (n > RANDOM_BYTES)
		return -1;
	if (left < n)
	{
		if (getrandom(pool, RANDOM_BYTES, 0) != RANDOM_BYTES)
			return -1;
		left = RANDOM_BYTES;
	}
	left -= n;
	memcpy(bytes, pool + left, n);
	return 0;
}

/* ---------------------------------------------------------------------------
 * To the other side
 * ---------------------------------------------------------------------------
 */

/* Room for n bytes more behind the frames that wait; NULL without memory. */
static char *
make_room(http_line *line, size_t n)
{
	size_t room = line->out_room == 0 ? ROOM : line->out_room;
	char *out;

	if (line->out_sent > line->n_out / 2)
	{
		memmove(line->out, line->out + line->out_sent, line->n_out - line->out_sent);
		line->n_out -= line->out_sent;
		line->out_sent = 0;
	}
	while (room - line->n_out < n)
		room *= 2;
	if (room > line->out_room)
	{
		out = realloc(line->out, room);
		if (out == NULL)
			return NULL;
		line->out = out;
		line->out_room = room;
	}
	return line->out + line->n_out;
}

bool
http_line_queue(http_line *line, bool text, const char *bytes, size_t n)
{
	unsigned char mask[HTTP_FRAME_MASK];
	char *frame = make_room(line, HTTP_FRAME_HEAD + n);
	size_t head;

	if (frame == NULL || make_mask(NULL, mask, sizeof(mask), NULL) != 0)
		return false;
	head = http_frame_head(frame, text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, n, mask);
	if (n > 0)
		memcpy(frame + head, bytes, n);
	http_frame_mask(frame + head, n, mask);
	line->n_out += head + n;
	return true;
}

static ssize_t
give_bytes(wslay_event_context_ptr wslay, const uint8_t *bytes, size_t length, int flags, void *arg)
{
	http_line *line = arg;
	char *out = make_room(line, length);

	(void) flags;
	if (out == NULL)
	{
		wslay_event_set_error(wslay, WSLAY_ERR_CALLBACK_FAILURE);
		return -1;
	}
	memcpy(out, bytes, length);
	line->n_out += length;
	return (ssize_t) length;
}

/* What wslay has to say goes behind the frames that wait. */
static void
write_control(http_line *line)
{
	while (line->wslay != NULL && !line->lost && wslay_event_want_write(line->wslay))
		line->lost = wslay_event_send(line->wslay) != 0;
}

/* What it closed with, or that it is gone without a word. */
static void
close_of_theirs(http_line *line)
{
	int code = line->wslay != NULL && wslay_event_get_close_received(line->wslay)
				   ? (int) wslay_event_get_status_code_received(line->wslay)
				   : ABNORMAL;

	http_line_fail(line, code, code == ABNORMAL ? "the connection was lost" : "it was closed");
}

void
http_line_write(void *arg)
{
	http_line *line = arg;
	ssize_t n = 1;

	if (!is_open(line))
		return;
	write_control(line);
	while (n > 0 && line->out_sent < line->n_out && !line->lost)
	{
		size_t left = line->n_out - line->out_sent;

		n = http_line_transmit(line, line->out + line->out_sent, left < MAX_SENT ? left : MAX_SENT);
		line->lost = n < 0;
		line->out_sent += n > 0 ? (size_t) n : 0;
	}
	if (line->lost)
	{
		close_of_theirs(line);
		return;
	}
	if (line->out_sent == line->n_out)
	{
		free(line->out);
		line->out = NULL;
		line->n_out = line->out_room = line->out_sent = 0;
		/* what has come meanwhile may be in the hands of TLS: nobody tells of it */
		if (is_flooded(line))
			http_loop_set_timer(line->handle.client->loop, &line->more, http_clock());
		line->pongs = 0;
	}
	http_line_watch(line);
}

/* ---------------------------------------------------------------------------
 * From the other side
 * ---------------------------------------------------------------------------
 */

static ssize_t
take_bytes(wslay_event_context_ptr wslay, uint8_t *buffer, size_t room, int flags, void *arg)
{
	http_line *line = arg;
	size_t n = 0;

	(void) flags;
	if (line->n_feed > 0 && !is_flooded(line) &&
		!(line->given && http_frame_is_between(&line->walk)))
	{
		n = http_frame_follow(&line->walk, line->feed, line->n_feed, room);
		line->waits = n == 0;
	}
	if (n == 0)
	{
		wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(buffer, line->feed, n);
	line->feed += n;
	line->n_feed -= n;
	line->given = true;
	return (ssize_t) n;
}

static void
tell_message(http_line *line, bool text, const char *bytes, size_t n)
{
	if (line->state == HTTP_LINE_OPEN)
		line->dial.message(line->dial.arg, text, bytes, n);
}

static void
take_message(wslay_event_context_ptr wslay, const struct wslay_event_on_msg_recv_arg *message,
			 void *arg)
{
	http_line *line = arg;

	(void) wslay;
	line->pongs += message->opcode == WSLAY_PING;
	if (message->opcode == WSLAY_TEXT_FRAME || message->opcode == WSLAY_BINARY_FRAME)
		tell_message(line, message->opcode == WSLAY_TEXT_FRAME, (const char *) message->msg,
					 message->msg_length);
}

static const struct wslay_event_callbacks callbacks = { .recv_callback = take_bytes,
														.send_callback = give_bytes,
														.genmask_callback = make_mask,
														.on_msg_recv_callback = take_message };

bool
http_line_need_wslay(http_line *line)
{
	if (line->wslay != NULL)
		return true;
	if (wslay_event_context_client_init(&line->wslay, &callbacks, line) != 0)
	{
		line->wslay = NULL;
		return false;
	}
	wslay_event_config_set_max_recv_msg_length(line->wslay, line->dial.max_message);
	return true;
}

/* Gives wslay the next frame, or what there is of it; how many bytes that was. */
static size_t
take_slowly(http_line *line, const char *bytes, size_t n)
{
	if (!http_line_need_wslay(line))
	{
		line->lost = true;
		return 0;
	}
	line->feed = bytes;
	line->n_feed = n;
	line->given = false;
	if (wslay_event_recv(line->wslay) != 0)
		line->lost = true;
	write_control(line);
	/* behind a close comes nothing that is read */
	if (!wslay_event_get_read_enabled(line->wslay))
		return n;
	n -= line->n_feed;
	if (http_frame_is_between(&line->walk) && line->state == HTTP_LINE_OPEN && !line->lost)
	{
		wslay_event_context_free(line->wslay);
		line->wslay = NULL;
		line->walk = (http_frame_walk){ 0 };
	}
	return n;
}

/* Reads frames as far as they go; how many bytes those were. */
static size_t
take_frames(http_line *line, char *bytes, size_t n)
{
	size_t used = 0;

	line->waits = false;
	while (used < n && !line->waits && !line->lost && !is_flooded(line) && is_open(line))
	{
		http_frame frame;
		http_frame_outcome outcome =
			line->wslay != NULL
				? HTTP_FRAME_OTHER
				: http_frame_read(bytes + used, n - used, false, line->dial.max_message, &frame);

		if (outcome == HTTP_FRAME_OTHER)
			used += take_slowly(line, bytes + used, n - used);
		else if (outcome == HTTP_FRAME_MORE)
			line->waits = true;
		else
		{
			used += frame.size;
			tell_message(line, frame.text, frame.bytes, frame.length);
		}
	}
	return used;
}

void
http_line_keep(http_line *line, const char *bytes, size_t n)
{
	char *in = n == 0 ? NULL : realloc(line->in, line->n_in + n);

	if (in == NULL)
	{
		line->lost = line->lost || n > 0;
		return;
	}
	memcpy(in + line->n_in, bytes, n);
	line->in = in;
	line->n_in += n;
}

/* What was kept goes first. */
static void
take_kept(http_line *line)
{
	size_t used = take_frames(line, line->in, line->n_in);

	line->n_in -= used;
	memmove(line->in, line->in + used, line->n_in);
	if (line->n_in > 0)
		return;
	free(line->in);
	line->in = NULL;
}

static void
take(http_line *line, char *bytes, size_t n)
{
	size_t used;

	if (line->in == NULL)
	{
		used = take_frames(line, bytes, n);
		http_line_keep(line, bytes + used, n - used);
		return;
	}
	http_line_keep(line, bytes, n);
	take_kept(line);
}

void
http_line_read(void *arg)
{
	static char scratch[READ];
	http_line *line = arg;

	if (!is_open(line))
		return;
	line->drained = false;
	line->room = MAX_READ;
	if (line->in != NULL)
		take_kept(line);
	while (line->room > 0 && !line->drained && !line->lost && !is_flooded(line) && is_open(line))
	{
		ssize_t n = http_line_receive(line, scratch, line->room < READ ? line->room : READ);

		line->lost = n == 0;
		if (n <= 0)
			break;
		line->room -= (size_t) n;
		take(line, scratch, (size_t) n);
	}
	if (line->state == HTTP_LINE_OVER)
		return;
	if (!line->lost)
		http_line_write(line);
	if (line->state == HTTP_LINE_OVER)
		return;
	if (line->lost || (line->wslay != NULL && wslay_event_get_close_received(line->wslay)))
		close_of_theirs(line);
	else if (line->room == 0)
		http_loop_set_timer(line->handle.client->loop, &line->more, http_clock());
}
