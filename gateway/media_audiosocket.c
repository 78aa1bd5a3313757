/*
 * media_audiosocket.c
 *	  Asterisk's AudioSocket: a TCP connection that says a UUID and then carries 16-bit linear audio, 8000 samples a second, both ways.
 *
 * The UUID is the token of the call, asked for beforehand; nothing else says who comes, so the listener belongs on a network of one's own.
 * Asterisk waits 5 ms for the rest of a message that has begun and then drops the call: each of ours leaves in one write.  It plays
 * what comes when it comes, and ends a call that is silent for two seconds: once something was said, silence is sent between.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway.h"
#include "log.h"
#include "media_audiosocket.h"

#define UUID_WITHIN (2 * HTTP_SECOND)
#define MAX_UNKNOWN 64 /* connections without a token that is known to be one; others wait */
#define LISTEN_AGAIN (HTTP_SECOND / 10)
#define HEAD 3
#define MAX_PAYLOAD 4096 /* Asterisk sends 320 bytes */
#define RECEIVE_BUFFER 65536
#define LEAD_MS 60
#define STEP_MS 20
#define FRAME 320

enum
{
	KIND_HANGUP = 0x00,
	KIND_UUID = 0x01,
	KIND_DIGIT = 0x03,
	KIND_AUDIO = 0x10,
	KIND_ERROR = 0xff
};

typedef struct listener
{
	http_watch watch;
	http_timer again;
	gw_gateway *gateway;
} listener;

typedef struct line
{
	gw_gateway *gateway;
	http_watch watch;
	http_timer uuid;
	http_task broken; /* something could not be sent: at the end of the turn */
	gw_media_session *session;
	bool known;
	size_t n;
	uint8_t in[HEAD + MAX_PAYLOAD];
} line;

static int n_unknown;

static void
free_line(line *l)
{
	n_unknown -= !l->known;
	http_loop_clear_timer(l->gateway->loop, &l->uuid);
	http_loop_cancel(l->gateway->loop, &l->broken);
	http_loop_remove(&l->watch);
	close(l->watch.fd);
	free(l);
}

static void
give_up(line *l, const char *why)
{
	gw_media_session *session = l->session;

	free_line(l);
	if (session != NULL)
		gw_media_over(session, why);
	else
		gw_log(GW_WARNING, "an audio socket was closed", "%s", why);
}

static void
is_broken(void *arg)
{
	give_up(arg, "the connection was lost");
}

static void
is_late(void *arg)
{
	give_up(arg, "it has not said whose it is");
}

/* ---------------------------------------------------------------------------
 * What is sent
 * ---------------------------------------------------------------------------
 */

static void
send_audio(void *link, const uint8_t *audio, size_t n)
{
	line *l = link;
	uint8_t message[HEAD + FRAME];

	for (size_t at = 0; at < n; at += FRAME)
	{
		size_t part = n - at < FRAME ? n - at : FRAME;
		ssize_t sent;

		message[0] = KIND_AUDIO;
		message[1] = (uint8_t) (part >> 8);
		message[2] = (uint8_t) part;
		memcpy(message + HEAD, audio + at, part);
		sent = send(l->watch.fd, message, HEAD + part, MSG_NOSIGNAL | MSG_DONTWAIT);
		/* what does not fit would be late: only half a message cannot be left out */
		if (sent != (ssize_t) (HEAD + part) && !(sent < 0 && errno == EAGAIN))
			http_loop_defer(l->gateway->loop, &l->broken);
	}
}

static void
close_line(void *link, int code, const char *reason)
{
	static const uint8_t hangup[HEAD] = { KIND_HANGUP, 0, 0 };
	line *l = link;

	(void) send(l->watch.fd, hangup, sizeof(hangup), MSG_NOSIGNAL | MSG_DONTWAIT);
	l->session = NULL;
	/* it may be in the middle of reading what came */
	http_loop_defer(l->gateway->loop, &l->broken);
}

static const gw_media_peer peer = { .name = "audiosocket",
									.lead_ms = LEAD_MS,
									.step_ms = STEP_MS,
									.keeps_no_time = true,
									.send = send_audio,
									.close = close_line };

/* ---------------------------------------------------------------------------
 * What comes
 * ---------------------------------------------------------------------------
 */

static bool
take_uuid(line *l, const uint8_t *u, size_t n)
{
	char token[37];

	if (l->known || n != 16)
		return false;
	snprintf(token, sizeof(token),
			 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
			 u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
			 u[15]);
	l->known = true;
	n_unknown--;
	http_loop_clear_timer(l->gateway->loop, &l->uuid);
	l->session =
		gw_media_open(l->gateway->media, &peer, l, MB_S16LE, &(gw_media_proof){ .token = token });
	return l->session != NULL;
}

/* A message; NULL, or why the call ends. */
static const char *
take_message(line *l, int kind, const uint8_t *payload, size_t n)
{
	if (kind == KIND_UUID)
		return take_uuid(l, payload, n) ? NULL : "its UUID is none, or the second one";
	if (!l->known)
		return "it has not said whose it is";
	if (l->session == NULL)
		return NULL;
	switch (kind)
	{
		case KIND_AUDIO:
			if (n % 2 != 0)
				return "its audio has half a sample";
			if (n > 0)
				gw_media_heard(l->session, payload, n, -1, 0);
			return NULL;
		case KIND_DIGIT:
			if (n != 1 || !gw_media_is_key((const char[]){ (char) payload[0], '\0' }))
				return "a key is none";
			gw_media_digit(l->session, (char) payload[0]);
			return NULL;
		case KIND_HANGUP:
			return "the other side hung up";
		case KIND_ERROR:
			return "the other side told of an error";
		default:
			return kind > KIND_AUDIO && kind <= KIND_AUDIO + 8
					   ? "its audio has not 8000 samples a second"
					   : "a message is of no known kind";
	}
}

static void
is_readable(void *arg, uint32_t events)
{
	line *l = arg;
	const char *why = NULL;
	size_t at = 0;
	ssize_t got = recv(l->watch.fd, l->in + l->n, sizeof(l->in) - l->n, MSG_DONTWAIT);

	if (got <= 0)
	{
		if (got == 0 || (errno != EAGAIN && errno != EINTR))
			give_up(l, "the connection was lost");
		return;
	}
	l->n += (size_t) got;
	while (l->n - at >= HEAD && why == NULL)
	{
		size_t length = (size_t) l->in[at + 1] << 8 | l->in[at + 2];

		if (length > MAX_PAYLOAD)
			why = "a message is too long";
		if (why != NULL || l->n - at < HEAD + length)
			break;
		why = take_message(l, l->in[at], l->in + at + HEAD, length);
		at += HEAD + length;
	}
	if (why != NULL)
	{
		give_up(l, why);
		return;
	}
	memmove(l->in, l->in + at, l->n - at);
	l->n -= at;
}

static void
listen_again(void *arg)
{
	listener *from = arg;

	(void) http_loop_change(&from->watch, EPOLLIN);
}

/* Whoever comes waits in the kernel; the socket, which stays readable, does not keep the loop busy. */
static void
pause_listening(listener *from)
{
	(void) http_loop_change(&from->watch, 0);
	http_loop_set_timer(from->gateway->loop, &from->again, http_clock() + LISTEN_AGAIN);
}

static void
is_connected(void *arg, uint32_t events)
{
	listener *from = arg;
	line *l;
	int fd;

	if (n_unknown + gw_media_beginning(from->gateway->media) >= MAX_UNKNOWN &&
		!from->gateway->stopping)
	{
		pause_listening(from);
		return;
	}
	fd = accept4(from->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
	{
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			pause_listening(from); /* without descriptors, say */
		return;
	}
	l = from->gateway->stopping ? NULL : calloc(1, sizeof(*l));
	if (l == NULL)
	{
		close(fd);
		return;
	}
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	(void) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){ RECEIVE_BUFFER }, sizeof(int));
	l->gateway = from->gateway;
	l->watch = (http_watch){ .fd = fd, .ready = is_readable, .arg = l };
	l->uuid = (http_timer){ .due = is_late, .arg = l };
	l->broken = (http_task){ .run = is_broken, .arg = l };
	n_unknown++;
	if (!http_loop_add(l->gateway->loop, &l->watch, EPOLLIN) ||
		!http_loop_set_timer(l->gateway->loop, &l->uuid, http_clock() + UUID_WITHIN))
		free_line(l);
}

int
gw_audiosocket_listen(gw_gateway *gateway, const char *text)
{
	const char *colon = strrchr(text, ':');
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	listener *from = calloc(1, sizeof(*from));
	char host[64];
	char *end;
	long port = colon == NULL ? -1 : strtol(colon + 1, &end, 10);
	int fd;

	if (port < 0 || port > 65535 || *end != '\0' || end == colon + 1 ||
		(size_t) (colon - text) >= sizeof(host))
		port = -1;
	else
	{
		memcpy(host, text, (size_t) (colon - text));
		host[colon - text] = '\0';
		address.sin_port = htons((uint16_t) port);
	}
	if (from == NULL || port < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1)
	{
		fprintf(stderr, "mulberry-gateway: audiosocket: \"%s\" is no IPv4 address:port\n", text);
		free(from);
		return -1;
	}
	if (gateway->options->check)
	{
		free(from);
		return 0;
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	(void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	from->gateway = gateway;
	from->watch = (http_watch){ .fd = fd, .ready = is_connected, .arg = from };
	from->again = (http_timer){ .due = listen_again, .arg = from };
	if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		listen(fd, SOMAXCONN) != 0 || getsockname(fd, (struct sockaddr *) &address, &length) != 0 ||
		!http_loop_add(gateway->loop, &from->watch, EPOLLIN))
	{
		fprintf(stderr, "mulberry-gateway: audiosocket: cannot listen on %s: %s\n", text,
				strerror(errno));
		return -1;
	}
	/* it lasts as long as the program */
	gateway->audiosocket = &from->watch;
	gw_log(GW_INFO, "listening for audio sockets", "%s, port %d", text, ntohs(address.sin_port));
	return 0;
}
