/*
 * client_frames.c
 *	  What goes over the connection of a WebSocket to others: frames are wslay's, and those of a turn leave in one piece.
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
#define MAX_PONGS 64   /* wslay would queue them without limit */
#define RANDOM_BYTES 256

/* What wslay writes in one call, of the line that has its turn: it leaves in one piece. */
static char scratch[MAX_SENT];
static size_t n_scratch;

/* The other side has pings answered and does not read the answers. */
static bool
is_flooded(const http_line *line)
{
	return line->pongs > MAX_PONGS;
}

void
http_line_watch(http_line *line)
{
	bool writes = line->requested < line->request_length || line->rest != NULL ||
				  (line->wslay != NULL && wslay_event_want_write(line->wslay));

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

static ssize_t
take_bytes(wslay_event_context_ptr wslay, uint8_t *buffer, size_t room, int flags, void *arg)
{
	http_line *line = arg;
	size_t early = line->head_length - line->head_used;
	ssize_t n;

	(void) flags;
	if (early == 0)
	{
		free(line->head);
		line->head = NULL;
	}
	room = room < line->room ? room : line->room;
	if (line->lost)
		n = 0;
	else if (room == 0 || is_flooded(line))
		n = -1;
	else if (early > 0)
	{
		n = (ssize_t) (early < room ? early : room);
		memcpy(buffer, line->head + line->head_used, (size_t) n);
		line->head_used += (size_t) n;
	}
	else if (line->drained)
		n = -1;
	else
		n = http_line_receive(line, buffer, room);
	if (n > 0)
	{
		line->room -= (size_t) n;
		return n;
	}
	line->lost = line->lost || n == 0;
	wslay_event_set_error(wslay, n < 0 ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static ssize_t
give_bytes(wslay_event_context_ptr wslay, const uint8_t *bytes, size_t length, int flags, void *arg)
{
	size_t n = MAX_SENT - n_scratch < length ? MAX_SENT - n_scratch : length;

	(void) flags;
	(void) arg;
	if (n == 0)
	{
		wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(scratch + n_scratch, bytes, n);
	n_scratch += n;
	return (ssize_t) n;
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

static void
take_message(wslay_event_context_ptr wslay, const struct wslay_event_on_msg_recv_arg *message,
			 void *arg)
{
	http_line *line = arg;

	(void) wslay;
	line->pongs += message->opcode == WSLAY_PING;
	if (line->state == HTTP_LINE_OPEN &&
		(message->opcode == WSLAY_TEXT_FRAME || message->opcode == WSLAY_BINARY_FRAME))
		line->dial.message(line->dial.arg, message->opcode == WSLAY_TEXT_FRAME,
						   (const char *) message->msg, message->msg_length);
}

const struct wslay_event_callbacks http_line_callbacks = { .recv_callback = take_bytes,
														   .send_callback = give_bytes,
														   .genmask_callback = make_mask,
														   .on_msg_recv_callback = take_message };

/* What it closed with, or that it is gone without a word. */
static void
close_of_theirs(http_line *line)
{
	int code = wslay_event_get_close_received(line->wslay)
				   ? (int) wslay_event_get_status_code_received(line->wslay)
				   : ABNORMAL;

	http_line_fail(line, code, code == ABNORMAL ? "the connection was lost" : "it was closed");
}

/* Sends what was left over; false when some still is, or the connection is lost. */
static bool
send_rest(http_line *line)
{
	ssize_t n;

	if (line->rest == NULL)
		return !line->lost;
	n = http_line_transmit(line, line->rest + line->rest_sent, line->rest_length - line->rest_sent);
	line->lost = line->lost || n < 0;
	line->rest_sent += n > 0 ? (size_t) n : 0;
	if (line->rest_sent < line->rest_length)
		return false;
	free(line->rest);
	line->rest = NULL;
	return !line->lost;
}

/* Sends what wslay has just written, and keeps what is not taken. */
static void
send_scratch(http_line *line)
{
	ssize_t n = n_scratch == 0 ? 0 : http_line_transmit(line, scratch, n_scratch);

	if (n < 0)
		line->lost = true;
	else if ((size_t) n < n_scratch)
	{
		line->rest_length = n_scratch - (size_t) n;
		line->rest_sent = 0;
		line->rest = malloc(line->rest_length);
		if (line->rest == NULL)
			line->lost = true;
		else
			memcpy(line->rest, scratch + n, line->rest_length);
	}
}

void
http_line_write(void *arg)
{
	http_line *line = arg;

	if (line->wslay == NULL || line->state == HTTP_LINE_OVER)
		return;
	while (send_rest(line) && wslay_event_want_write(line->wslay))
	{
		n_scratch = 0;
		if (wslay_event_send(line->wslay) != 0)
			line->lost = true;
		else
			send_scratch(line);
	}
	if (line->lost)
	{
		close_of_theirs(line);
		return;
	}
	if (line->rest == NULL && !wslay_event_want_write(line->wslay))
	{
		/* what has come meanwhile may be in the hands of TLS: nobody tells of it */
		if (is_flooded(line))
			http_loop_set_timer(line->handle.client->loop, &line->more, http_clock());
		line->pongs = 0;
	}
	http_line_watch(line);
}

void
http_line_read(void *arg)
{
	http_line *line = arg;

	if (line->wslay == NULL || line->state == HTTP_LINE_OVER)
		return;
	line->drained = false;
	line->room = MAX_READ;
	if (wslay_event_recv(line->wslay) != 0)
		line->lost = true;
	if (line->state == HTTP_LINE_OVER)
		return;
	if (!line->lost)
		http_line_write(line);
	if (line->state == HTTP_LINE_OVER)
		return;
	if (line->lost || wslay_event_get_close_received(line->wslay))
		close_of_theirs(line);
	else if (line->room == 0)
		http_loop_set_timer(line->handle.client->loop, &line->more, http_clock());
}
