/*
 * client_socket.c
 *	  WebSockets to others: libcurl opens the connection, the handshake of RFC 6455 is ours, frames are in client_frames.c.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "client_internal.h"

#define MAX_HEAD 8192
#define MAX_MESSAGE (1024 * 1024)
#define MAX_QUEUED (1024 * 1024)
#define KEY_SIZE 16
#define CLOSE_WITHIN (2 * HTTP_SECOND)
#define CURL_BUFFER 1024L /* the least: nothing is read by libcurl */

/* A key is in it. */
static void
forget_request(http_line *line)
{
	if (line->request != NULL)
		explicit_bzero(line->request, line->request_length);
	free(line->request);
	line->request = NULL;
	line->request_length = line->requested = 0;
}

void
http_line_drop(http_line *line)
{
	http_client *client = line->handle.client;
	http_line **place = &client->lines;

	while (*place != NULL && *place != line)
		place = &(*place)->next;
	if (*place != NULL)
		*place = line->next;
	http_loop_clear_timer(client->loop, &line->patience);
	http_loop_clear_timer(client->loop, &line->more);
	http_loop_cancel(client->loop, &line->task);
	http_loop_remove(&line->watch);
	if (line->fd >= 0)
		close(line->fd);
	http_handle_end(&line->handle);
	if (line->wslay != NULL)
		wslay_event_context_free(line->wslay);
	forget_request(line);
	free(line->head);
	free(line->in);
	free(line->out);
	free(line);
}

static void
drop_later(void *arg)
{
	http_line_drop(arg);
}

void
http_line_fail(http_line *line, int code, const char *why)
{
	bool told = line->state != HTTP_LINE_CLOSING && line->state != HTTP_LINE_OVER;

	line->state = HTTP_LINE_OVER;
	line->lost = true;
	http_loop_remove(&line->watch);
	http_loop_clear_timer(line->handle.client->loop, &line->patience);
	http_loop_clear_timer(line->handle.client->loop, &line->more);
	http_loop_cancel(line->handle.client->loop, &line->task);
	/* somebody may be in the midst of it */
	line->task = (http_task){ .run = drop_later, .arg = line };
	http_loop_defer(line->handle.client->loop, &line->task);
	if (told)
		line->dial.closed(line->dial.arg, code, why);
}

static void
is_late(void *arg)
{
	http_line *line = arg;

	http_line_fail(line, 0, line->state == HTTP_LINE_CLOSING ? "" : "it took too long");
}

/* ---------------------------------------------------------------------------
 * The handshake
 * ---------------------------------------------------------------------------
 */

/* The value of a header of the answer, of which there must be one; NULL: there is none. */
static const char *
header_of(const char *head, const char *name, size_t *length)
{
	size_t n = strlen(name);

	for (const char *at = strstr(head, "\r\n"); at != NULL; at = strstr(at + 2, "\r\n"))
	{
		const char *end;

		if (strncasecmp(at + 2, name, n) != 0 || at[2 + n] != ':')
			continue;
		at += 3 + n;
		at += strspn(at, " \t");
		end = strstr(at, "\r\n");
		*length = end == NULL ? strlen(at) : (size_t) (end - at);
		while (*length > 0 && (at[*length - 1] == ' ' || at[*length - 1] == '\t'))
			(*length)--;
		return at;
	}
	return NULL;
}

static bool
has_agreed(http_line *line, int *status)
{
	char accept[MB_WEBSOCKET_ACCEPT_LENGTH + 1];
	size_t length = 0;
	const char *value;

	*status = 0;
	if (sscanf(line->head, "HTTP/1.1 %3d", status) != 1 || *status != 101)
		return false;
	value = header_of(line->head, "Sec-WebSocket-Accept", &length);
	return value != NULL && mb_websocket_accept(line->key, strlen(line->key), accept) == MB_OK &&
		   length == MB_WEBSOCKET_ACCEPT_LENGTH && memcmp(value, accept, length) == 0;
}

static void
read_head(http_line *line)
{
	char *end;
	size_t length;
	ssize_t n;
	int status;

	while ((n = http_line_receive(line, line->head + line->head_length,
								  MAX_HEAD - line->head_length)) > 0)
	{
		line->head_length += (size_t) n;
		line->head[line->head_length] = '\0';
		end = strstr(line->head, "\r\n\r\n");
		if (end == NULL && line->head_length < MAX_HEAD)
			continue;
		if (end == NULL)
		{
			http_line_fail(line, 0, "its answer is no handshake");
			return;
		}
		/* the last line of the head stays one */
		end[2] = '\0';
		length = (size_t) (end + 4 - line->head);
		if (!has_agreed(line, &status))
		{
			http_line_fail(line, status, "it does not take a WebSocket");
			return;
		}
		http_loop_clear_timer(line->handle.client->loop, &line->patience);
		line->state = HTTP_LINE_OPEN;
		http_line_keep(line, line->head + length, line->head_length - length);
		free(line->head);
		line->head = NULL;
		if (line->dial.open != NULL)
			line->dial.open(line->dial.arg);
		if (line->state == HTTP_LINE_OPEN)
			http_line_read(line);
		else if (line->state == HTTP_LINE_CLOSING)
			http_line_write(line);
		return;
	}
	if (n == 0)
		http_line_fail(line, 0, "the connection was lost");
}

static void
write_request(http_line *line)
{
	ssize_t n = http_line_transmit(line, line->request + line->requested,
								   line->request_length - line->requested);

	if (n < 0)
	{
		http_line_fail(line, 0, "the connection was lost");
		return;
	}
	line->requested += (size_t) n;
	if (line->requested == line->request_length)
		forget_request(line);
	http_line_watch(line);
}

static void
is_ready(void *arg, uint32_t events)
{
	http_line *line = arg;

	if (line->state == HTTP_LINE_SHAKING)
	{
		if (line->requested < line->request_length)
			write_request(line);
		if (line->state == HTTP_LINE_SHAKING && (events & ~(uint32_t) EPOLLOUT) != 0)
			read_head(line);
		return;
	}
	if ((events & ~(uint32_t) EPOLLOUT) != 0)
		http_line_read(line);
	if (line->state == HTTP_LINE_OPEN || line->state == HTTP_LINE_CLOSING)
		http_line_write(line);
}

/* The connection is there, TLS and all; from now on it is ours. */
static void
is_connected(http_handle *handle, CURLcode result)
{
	http_line *line = (http_line *) handle;
	curl_socket_t fd = CURL_SOCKET_BAD;

	if (line->state == HTTP_LINE_OVER)
		return;
	if (result != CURLE_OK)
	{
		http_line_fail(line, 0, http_handle_problem(handle, result));
		return;
	}
	(void) curl_easy_getinfo(handle->easy, CURLINFO_ACTIVESOCKET, &fd);
	if (line->plain && fd != CURL_SOCKET_BAD)
	{
		fd = line->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		http_handle_end(handle);
	}
	line->watch = (http_watch){ .fd = fd, .ready = is_ready, .arg = line };
	if (fd == CURL_SOCKET_BAD ||
		!http_loop_add(handle->client->loop, &line->watch, EPOLLIN | EPOLLOUT))
	{
		http_line_fail(line, 0, "the connection was lost");
		return;
	}
	line->state = HTTP_LINE_SHAKING;
	write_request(line);
}

/* ---------------------------------------------------------------------------
 * What the owner does
 * ---------------------------------------------------------------------------
 */

/* Writes the request for a URL of libcurl's parts; false when it is none, or without memory. */
static bool
make_request(http_line *line, CURLU *url, const http_dial *dial)
{
	char *host = NULL;
	char *port = NULL;
	char *path = NULL;
	char *query = NULL;
	unsigned char key[KEY_SIZE];
	size_t room = 512;
	bool ok = getrandom(key, KEY_SIZE, 0) == KEY_SIZE &&
			  curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
			  curl_url_get(url, CURLUPART_PATH, &path, 0) == CURLUE_OK;

	(void) curl_url_get(url, CURLUPART_PORT, &port, 0);
	(void) curl_url_get(url, CURLUPART_QUERY, &query, 0);
	if (ok)
	{
		(void) EVP_EncodeBlock((unsigned char *) line->key, key, KEY_SIZE);
		room += strlen(host) + strlen(path) + (query == NULL ? 0 : strlen(query));
		for (const char *const *h = dial->headers; h != NULL && *h != NULL; h++)
		{
			room += strlen(*h) + 2;
			ok = ok && http_is_header_line(*h);
		}
		room += dial->subprotocol == NULL ? 0 : strlen(dial->subprotocol);
		line->request = ok ? malloc(room) : NULL;
		ok = line->request != NULL;
	}
	if (ok)
	{
		size_t n = (size_t) snprintf(
			line->request, room,
			"GET %s%s%s HTTP/1.1\r\nHost: %s%s%s\r\nUser-Agent: mulberry/1.0\r\nUpgrade: "
			"websocket\r\n"
			"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n",
			path, query == NULL ? "" : "?", query == NULL ? "" : query, host,
			port == NULL ? "" : ":", port == NULL ? "" : port, line->key);

		if (dial->subprotocol != NULL)
			n += (size_t) snprintf(line->request + n, room - n, "Sec-WebSocket-Protocol: %s\r\n",
								   dial->subprotocol);
		for (const char *const *h = dial->headers; h != NULL && *h != NULL; h++)
			n += (size_t) snprintf(line->request + n, room - n, "%s\r\n", *h);
		n += (size_t) snprintf(line->request + n, room - n, "\r\n");
		line->request_length = n;
	}
	curl_free(host);
	curl_free(port);
	curl_free(path);
	curl_free(query);
	return ok;
}

/* ws and wss are http and https to libcurl. */
static CURLU *
read_url(const char *text)
{
	CURLU *url = curl_url();
	const char *scheme = strncasecmp(text, "ws://", 5) == 0	   ? "http"
						 : strncasecmp(text, "wss://", 6) == 0 ? "https"
															   : NULL;

	if (url != NULL &&
		(curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
		 (scheme != NULL && curl_url_set(url, CURLUPART_SCHEME, scheme, 0) != CURLUE_OK)))
	{
		curl_url_cleanup(url);
		url = NULL;
	}
	return url;
}

http_line *
http_client_dial(http_client *client, const http_dial *dial)
{
	http_line *line = calloc(1, sizeof(*line));
	CURLU *url = line == NULL ? NULL : read_url(dial->url);
	char *whole = NULL;
	bool ok = url != NULL && curl_url_get(url, CURLUPART_URL, &whole, 0) == CURLUE_OK &&
			  make_request(line, url, dial);

	if (ok)
	{
		line->dial = *dial;
		line->dial.url = NULL;
		line->dial.headers = NULL;
		line->dial.max_queued = dial->max_queued > 0 ? dial->max_queued : MAX_QUEUED;
		line->dial.max_message = dial->max_message > 0 ? dial->max_message : MAX_MESSAGE;
		line->head = malloc(MAX_HEAD + 1);
		line->handle.over = is_connected;
		line->plain = strncasecmp(whole, "http://", 7) == 0;
		ok = line->head != NULL &&
			 http_handle_init(&line->handle, client, whole, NULL, &dial->reach) &&
			 curl_easy_setopt(line->handle.easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
			 curl_easy_setopt(line->handle.easy, CURLOPT_BUFFERSIZE, CURL_BUFFER) == CURLE_OK;
	}
	curl_free(whole);
	curl_url_cleanup(url);
	if (line == NULL)
		return NULL;
	line->handle.client = client;
	line->fd = -1;
	line->task = (http_task){ .run = http_line_write, .arg = line };
	line->patience = (http_timer){ .due = is_late, .arg = line };
	line->more = (http_timer){ .due = http_line_read, .arg = line };
	line->next = client->lines;
	client->lines = line;
	if (!ok || !http_handle_begin(&line->handle) ||
		!http_loop_set_timer(client->loop, &line->patience,
							 http_clock() + line->handle.reach.first_ms * HTTP_MILLISECOND))
	{
		http_line_drop(line);
		return NULL;
	}
	return line;
}

http_sent
http_line_send(http_line *line, bool text, const void *bytes, size_t n)
{
	if (line->state == HTTP_LINE_CLOSING || line->state == HTTP_LINE_OVER)
		return HTTP_GONE;
	if (line->n_out - line->out_sent + n > line->dial.max_queued)
		return HTTP_FULL;
	if (!http_line_queue(line, text, bytes, n))
		return HTTP_GONE;
	if (line->state == HTTP_LINE_OPEN)
		http_loop_defer(line->handle.client->loop, &line->task);
	return HTTP_SENT;
}

void
http_line_close(http_line *line)
{
	http_loop *loop = line->handle.client->loop;

	if (line->state == HTTP_LINE_OVER)
		return;
	if (line->state != HTTP_LINE_OPEN || !http_line_need_wslay(line))
	{
		line->state = HTTP_LINE_CLOSING;
		http_line_fail(line, 0, "");
		return;
	}
	(void) wslay_event_queue_close(line->wslay, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0);
	line->state = HTTP_LINE_CLOSING;
	http_loop_set_timer(loop, &line->patience, http_clock() + CLOSE_WITHIN);
	http_loop_defer(loop, &line->task);
}
