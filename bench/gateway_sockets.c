/*
 * gateway_sockets.c
 *	  Many clients of a gateway from one thread: supervisors, of whom some do not read; or connections that are kept.
 *
 * usage: gateway_sockets PORT supervisors SOCKETS SLOW SECONDS
 *		  gateway_sockets PORT idle CONNECTIONS SECONDS
 *
 * Of supervisors: how old what each message tells is when it comes, by the time in it, which this machine's clock
 * made, too; the slow ones do not read, then all of them do at the end and look for "resync".  Prints "ready" when all are
 * there, and a line of figures at the end.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (256 * 1024)
#define SLOW_BUFFER 16384 /* what a slow client has in its kernel */
#define MAX_AGES 2000000
#define READ_EVERY                                                                                 \
	20 /* sockets: of one of so many every message is read, of the others it is counted */

typedef struct client
{
	int fd;
	bool slow;
	bool resynced;
	bool closed;
	size_t n; /* bytes of a frame that is not whole yet */
	char *rest;
	size_t room;
} client;

static double *ages[2]; /* ms; of packets, of what is stored */
static size_t n_ages[2];
static uint64_t frames;

static void
die(const char *what)
{
	fprintf(stderr, "gateway_sockets: %s\n", what);
	exit(1);
}

static double
now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

/* Milliseconds since a time of today, 2026-07-14T09:30:05.123456Z; below 0 when it is none. */
static double
age_of(const char *time)
{
	int hour;
	int minute;
	double second;
	double age;

	if (sscanf(time, "%*d-%*d-%*dT%2d:%2d:%lf", &hour, &minute, &second) != 3)
		return -1;
	age = now(CLOCK_REALTIME);
	age -= (double) ((int64_t) age / 86400 * 86400);
	age -= hour * 3600 + minute * 60 + second;
	return (age < -43200 ? age + 86400 : age) * 1000;
}

static void
take_message(client *c, const char *text, size_t n)
{
	static const char key[] = "\"time\"";
	const char *time;
	bool stored;

	frames++;
	if (c->slow && !c->resynced)
		c->resynced = memmem(text, n, "\"resync\"", 8) != NULL;
	if (c->slow || c->fd % READ_EVERY != 0)
		return;
	time = memmem(text, n, key, sizeof(key) - 1);
	stored = memmem(text, n, "\"seq\"", 5) != NULL;
	if (time == NULL)
		return;
	time += sizeof(key) - 1;
	while (*time == ' ' || *time == ':' || *time == '"')
		time++;
	if (n_ages[stored] < MAX_AGES)
		ages[stored][n_ages[stored]++] = age_of(time);
}

/* Frames out of what has come; a server's are not masked. */
static void
take_bytes(client *c, char *bytes, size_t n)
{
	size_t at = 0;

	while (n - at >= 2)
	{
		unsigned char *head = (unsigned char *) bytes + at;
		size_t length = head[1];
		size_t begin = length < 126 ? 2 : length == 126 ? 4 : 10;

		if (n - at < begin)
			break;
		if (length == 126)
			length = (size_t) head[2] << 8 | head[3];
		else if (length == 127)
		{
			length = 0;
			for (int i = 2; i < 10; i++)
				length = length << 8 | head[i];
		}
		if (n - at < begin + length)
			break;
		if ((head[0] & 15) == 1)
			take_message(c, bytes + at + begin, length);
		else if ((head[0] & 15) == 8)
			c->closed = true;
		at += begin + length;
	}
	if (n - at > c->room)
	{
		c->room = n - at;
		c->rest = realloc(c->rest, c->room);
		if (c->rest == NULL)
			die("out of memory");
	}
	memcpy(c->rest, bytes + at, n - at);
	c->n = n - at;
}

/* Reads once; false at its end. */
static bool
read_some(client *c)
{
	static char buffer[BUFFER];
	ssize_t got;

	memcpy(buffer, c->rest, c->n);
	got = recv(c->fd, buffer + c->n, sizeof(buffer) - c->n, MSG_DONTWAIT);
	if (got == 0 || (got < 0 && errno != EAGAIN))
	{
		c->closed = true;
		return false;
	}
	if (got < 0)
		return false;
	take_bytes(c, buffer, c->n + (size_t) got);
	return true;
}

/* A connection that has had its answer to a request. */
static int
connect_to(int port, const char *request, const char *status, int buffer)
{
	/* one address has ports for so many connections only */
	static int n;
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port) };
	char answer[2048];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t got = 0;

	from.sin_addr.s_addr = htonl(0x7f000001u + (uint32_t) (n++ / 10000));
	to.sin_addr.s_addr = htonl(0x7f000001u);
	if (buffer > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	if (fd < 0 || bind(fd, (struct sockaddr *) &from, sizeof(from)) != 0 ||
		connect(fd, (struct sockaddr *) &to, sizeof(to)) != 0)
		die(strerror(errno));
	if (send(fd, request, strlen(request), 0) < 0)
		die(strerror(errno));
	do
	{
		ssize_t n = recv(fd, answer + got, 1, 0);

		if (n <= 0)
			die("a connection was refused");
		got += (size_t) n;
		answer[got] = '\0';
	} while (strstr(answer, "\r\n\r\n") == NULL && got < sizeof(answer) - 1);
	if (strncmp(answer, status, strlen(status)) != 0)
		die(answer);
	return fd;
}

static int
ascending(const void *a, const void *b)
{
	double difference = *(const double *) a - *(const double *) b;

	return difference < 0 ? -1 : difference > 0;
}

static double
quantile(int which, double share)
{
	if (n_ages[which] == 0)
		return -1;
	qsort(ages[which], n_ages[which], sizeof(double), ascending);
	return ages[which][(size_t) ((double) (n_ages[which] - 1) * share)];
}

static void
supervise(int port, int n, int n_slow, int seconds)
{
	static const char request[] =
		"GET /ws/supervisor HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: "
		"websocket\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	client *clients = calloc((size_t) n, sizeof(*clients));
	struct epoll_event events[256];
	int epoll = epoll_create1(0);
	int resynced = 0;
	int closed = 0;
	double end;

	ages[0] = malloc(MAX_AGES * sizeof(double));
	ages[1] = malloc(MAX_AGES * sizeof(double));
	if (clients == NULL || ages[0] == NULL || ages[1] == NULL)
		die("out of memory");
	for (int i = 0; i < n; i++)
	{
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &clients[i] };

		clients[i].slow = i < n_slow;
		clients[i].fd =
			connect_to(port, request, "HTTP/1.1 101", clients[i].slow ? SLOW_BUFFER : 0);
		if (!clients[i].slow && epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event) != 0)
			die(strerror(errno));
	}
	printf("ready\n");
	fflush(stdout);
	end = now(CLOCK_MONOTONIC) + seconds;
	while (now(CLOCK_MONOTONIC) < end)
	{
		int ready = epoll_wait(epoll, events, 256, 100);

		for (int i = 0; i < ready; i++)
		{
			client *c = events[i].data.ptr;

			(void) read_some(c);
			if (c->closed)
				epoll_ctl(epoll, EPOLL_CTL_DEL, c->fd, NULL);
		}
	}
	/* who was slow reads now: what was kept for him, and then that he has missed something */
	end = now(CLOCK_MONOTONIC) + 20;
	for (int i = 0; i < n_slow; i++)
	{
		client *c = &clients[i];

		while (!c->resynced && !c->closed && now(CLOCK_MONOTONIC) < end)
		{
			if (!read_some(c))
				usleep(1000);
		}
		resynced += c->resynced;
	}
	for (int i = n_slow; i < n; i++)
		closed += clients[i].closed;
	printf("supervisors %.0f %d %d %zu %.1f %.1f %.1f %zu %.1f %.1f %.1f\n",
		   (double) frames / seconds, resynced, closed, n_ages[0], quantile(0, 0.5),
		   quantile(0, 0.95), quantile(0, 1), n_ages[1], quantile(1, 0.5), quantile(1, 0.95),
		   quantile(1, 1));
}

static void
stay_idle(int port, int n, int seconds)
{
	for (int i = 0; i < n; i++)
		(void) connect_to(port, "GET / HTTP/1.1\r\nHost: bench\r\n\r\n", "HTTP/1.1 200", 0);
	printf("ready\n");
	fflush(stdout);
	sleep((unsigned) seconds);
}

int
main(int argc, char **argv)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (argc == 6 && strcmp(argv[2], "supervisors") == 0)
		supervise(atoi(argv[1]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
	else if (argc == 5 && strcmp(argv[2], "idle") == 0)
		stay_idle(atoi(argv[1]), atoi(argv[3]), atoi(argv[4]));
	else
		die("usage: gateway_sockets PORT supervisors SOCKETS SLOW SECONDS | PORT idle CONNECTIONS "
			"SECONDS");
	return 0;
}
