/*
 * server.c
 *	  A server as a whole: its listening sockets, who may connect, and the table of connections.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define BACKLOG 1024

/* Connections accepted at a time, so that those that are there have their turn. */
#define ACCEPTED_AT_A_TIME 64

/* A pause when the system has no descriptors left. */
#define LISTEN_AGAIN (100 * HTTP_MILLISECOND)

static int
or_default(int value, int otherwise)
{
	return value > 0 ? value : otherwise;
}

static void
set_defaults(http_options *options)
{
	options->max_connections = or_default(options->max_connections, 10000);
	options->head_ms = or_default(options->head_ms, 10000);
	options->body_ms = or_default(options->body_ms, 60000);
	options->send_ms = or_default(options->send_ms, 60000);
	options->idle_ms = or_default(options->idle_ms, 60000);
	options->linger_ms = or_default(options->linger_ms, 5000);
	options->close_ms = or_default(options->close_ms, 5000);
	options->max_fields = or_default(options->max_fields, MB_HTTP_MAX_FIELDS);
	if (options->max_head == 0)
		options->max_head = MB_HTTP_MAX_HEAD;
	if (options->max_body == 0)
		options->max_body = 1024 * 1024;
	if (options->max_buffered == 0)
		options->max_buffered = (size_t) 256 * 1024 * 1024;
}

static void
watch_listeners(http_server *server, bool on)
{
	for (http_listener *listener = server->listeners; listener != NULL; listener = listener->next)
		if (on && listener->watch.loop == NULL)
			http_loop_add(server->loop, &listener->watch, EPOLLIN);
		else if (!on)
			http_loop_remove(&listener->watch);
}

static void
listen_again(void *arg)
{
	watch_listeners(arg, true);
}

http_server *
http_server_new(http_loop *loop, const http_options *options, const http_handlers *handlers,
				void *context)
{
	http_server *server = calloc(1, sizeof(*server));

	if (server == NULL)
		return NULL;
	server->loop = loop;
	server->options = *options;
	set_defaults(&server->options);
	server->handlers = *handlers;
	server->context = context;
	server->task = (http_task){ .run = http_serve_dirty, .arg = server };
	server->listen_again = (http_timer){ .due = listen_again, .arg = server };
	server->addresses = http_addresses_new();
	if (server->addresses != NULL)
		return server;
	free(server);
	return NULL;
}

static void
close_listeners(http_server *server)
{
	http_loop_clear_timer(server->loop, &server->listen_again);
	for (http_listener *listener = server->listeners, *next; listener != NULL; listener = next)
	{
		next = listener->next;
		http_loop_remove(&listener->watch);
		close(listener->watch.fd);
		listener->watch.fd = -1;
	}
}

void
http_server_free(http_server *server)
{
	if (server == NULL)
		return;
	close_listeners(server);
	for (size_t slot = 0; slot < server->n_slots; slot++)
		if (server->slots[slot] != NULL)
			http_connection_end(server->slots[slot]);
	http_loop_cancel(server->loop, &server->task);
	for (http_listener *listener = server->listeners, *next; listener != NULL; listener = next)
	{
		next = listener->next;
		free(listener);
	}
	http_addresses_free(server->addresses);
	free(server->slots);
	free(server->free_slots);
	free(server);
}

void
http_server_stop(http_server *server)
{
	if (server->stopping)
		return;
	server->stopping = true;
	close_listeners(server);
	for (size_t slot = 0; slot < server->n_slots; slot++)
	{
		http_request *request = server->slots[slot];

		if (request == NULL)
			continue;
		if (request->phase == PHASE_SOCKET)
			http_socket_stop(request);
		else if (request->phase == PHASE_HEAD && request->in_size == 0)
			http_connection_doom(request);
	}
}

const http_counters *
http_server_counters(const http_server *server)
{
	return &server->counters;
}

/* --- the table --------------------------------------------------------------------- */

static bool
grow_slots(http_server *server)
{
	size_t n = server->n_slots > 0 ? 2 * server->n_slots : 64;
	http_request **slots = realloc(server->slots, n * sizeof(http_request *));
	uint32_t *free_slots;

	if (slots == NULL)
		return false;
	server->slots = slots;
	free_slots = realloc(server->free_slots, n * sizeof(*free_slots));
	if (free_slots == NULL)
		return false;
	server->free_slots = free_slots;
	/* the lowest first */
	for (size_t slot = n; slot-- > server->n_slots;)
	{
		slots[slot] = NULL;
		free_slots[server->n_free++] = (uint32_t) slot;
	}
	server->n_slots = n;
	return true;
}

void
http_slot_renew(http_request *request)
{
	http_server *server = request->server;

	if (++server->generation == 0)
		server->generation = 1;
	request->generation = server->generation;
}

bool
http_slot_take(http_request *request)
{
	http_server *server = request->server;

	if (server->n_free == 0 && !grow_slots(server))
		return false;
	request->slot = server->free_slots[--server->n_free];
	server->slots[request->slot] = request;
	http_slot_renew(request);
	return true;
}

void
http_slot_free(http_request *request)
{
	http_server *server = request->server;

	server->slots[request->slot] = NULL;
	server->free_slots[server->n_free++] = request->slot;
}

http_id
http_request_id(const http_request *request)
{
	return (http_id) request->generation << 32 | request->slot;
}

http_request *
http_request_find(http_server *server, http_id id)
{
	uint32_t slot = (uint32_t) id;
	http_request *request = id != 0 && slot < server->n_slots ? server->slots[slot] : NULL;

	/* one that is doomed is over, and so is one that only waits for its end */
	return request != NULL && request->generation == id >> 32 && !request->doomed && request->active
			   ? request
			   : NULL;
}

/* --- who comes ---------------------------------------------------------------------- */

/* The address in 16 bytes: IPv6, or IPv4 mapped into it; all zero for a socket with a path. */
static void
read_address(const struct sockaddr_storage *peer, unsigned char address[16])
{
	memset(address, 0, 16);
	if (peer->ss_family == AF_INET6)
		memcpy(address, &((const struct sockaddr_in6 *) peer)->sin6_addr, 16);
	else if (peer->ss_family == AF_INET)
	{
		memset(address + 10, 0xff, 2);
		memcpy(address + 12, &((const struct sockaddr_in *) peer)->sin_addr, 4);
	}
}

/* Says why by one send(); whether it arrives is not worth waiting for. */
static void
turn_away(const http_listener *listener, int fd)
{
	static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
								 "Content-Length: 0\r\nConnection: close\r\n\r\n";

	if (listener->tls == NULL)
		(void) !send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
	close(fd);
}

/* Takes one that has come, or turns it away; false when there is none. */
static bool
accept_one(http_listener *listener)
{
	http_server *server = listener->server;
	struct sockaddr_storage peer = { 0 };
	socklen_t length = sizeof(peer);
	unsigned char address[16];
	bool count = server->options.max_per_address > 0 && !listener->local;
	int on = 1;
	int fd = accept4(listener->watch.fd, (struct sockaddr *) &peer, &length,
					 SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
	{
		/* without descriptors or memory the socket would stay readable, and the loop busy */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		{
			watch_listeners(server, false);
			http_loop_set_timer(server->loop, &server->listen_again,
								http_loop_now(server->loop) + LISTEN_AGAIN);
			return false;
		}
		return errno == EINTR || errno == ECONNABORTED;
	}
	if (server->counters.connections >= server->options.max_connections)
	{
		server->counters.turned_away++;
		turn_away(listener, fd);
		return true;
	}
	read_address(&peer, address);
	if (count && server->handlers.unlimited != NULL)
		count = !server->handlers.unlimited(server->context, address);
	if (count && !http_addresses_add(server->addresses, address, server->options.max_per_address))
	{
		server->counters.turned_away_address++;
		turn_away(listener, fd);
		return true;
	}
	server->counters.accepted++;
	if (!listener->local)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	http_connection_begin(listener, fd, address, count);
	return true;
}

static void
accept_some(void *arg, uint32_t events)
{
	(void) events;
	for (int i = 0; i < ACCEPTED_AT_A_TIME && accept_one(arg); i++)
		continue;
}

/* --- listening ----------------------------------------------------------------------- */

typedef union any_address
{
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
	struct sockaddr_un path;
	struct sockaddr_storage space;
} any_address;

/* Fills in the address; its length, or 0 with errno. */
static socklen_t
form_address(const char *text, int port, any_address *address)
{
	memset(address, 0, sizeof(*address));
	if (strchr(text, '/') != NULL)
	{
		size_t size = strlen(text) + 1;

		address->path.sun_family = AF_UNIX;
		if (size > sizeof(address->path.sun_path))
		{
			errno = ENAMETOOLONG;
			return 0;
		}
		memcpy(address->path.sun_path, text, size);
		return sizeof(address->path);
	}
	if (inet_pton(AF_INET, text, &address->ipv4.sin_addr) == 1)
	{
		address->ipv4.sin_family = AF_INET;
		address->ipv4.sin_port = htons((uint16_t) port);
		return sizeof(address->ipv4);
	}
	if (inet_pton(AF_INET6, text, &address->ipv6.sin6_addr) == 1)
	{
		address->ipv6.sin6_family = AF_INET6;
		address->ipv6.sin6_port = htons((uint16_t) port);
		return sizeof(address->ipv6);
	}
	errno = EINVAL;
	return 0;
}

/* Takes away a socket with a path that nobody listens on any more; anything else stays. */
static void
remove_stale(const char *path, const any_address *address, socklen_t length)
{
	struct stat status;
	int fd;

	if (lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, &address->any, length) != 0 && errno == ECONNREFUSED)
		unlink(path);
	close(fd);
}

/* A socket that listens; -1 with errno. */
static int
open_listener(const http_listener_options *options)
{
	any_address address;
	socklen_t length = form_address(options->address, options->port, &address);
	bool local = address.any.sa_family == AF_UNIX;
	int on = 1;
	int fd;

	if (length == 0)
		return -1;
	fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (local)
		remove_stale(options->address, &address, length);
	if ((local || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0) &&
		(local || !options->shared ||
		 setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
		bind(fd, &address.any, length) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	on = errno;
	close(fd);
	errno = on;
	return -1;
}

int
http_listen(http_server *server, const http_listener_options *options)
{
	http_listener *listener = calloc(1, sizeof(*listener));
	any_address address = { 0 };
	socklen_t length = sizeof(address);
	int fd;

	if (listener == NULL)
		return -1;
	fd = options->fd > 0 ? options->fd : open_listener(options);
	listener->server = server;
	listener->tls = options->tls;
	listener->tag = options->tag;
	listener->watch = (http_watch){ .fd = fd, .ready = accept_some, .arg = listener };
	if (fd < 0 || getsockname(fd, &address.any, &length) != 0 ||
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0 ||
		fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
		!http_loop_add(server->loop, &listener->watch, EPOLLIN))
	{
		int error = errno;

		if (fd >= 0 && options->fd <= 0)
			close(fd);
		free(listener);
		errno = error;
		return -1;
	}
	listener->local = address.any.sa_family == AF_UNIX;
	listener->next = server->listeners;
	server->listeners = listener;
	if (address.any.sa_family == AF_INET6)
		return ntohs(address.ipv6.sin6_port);
	return address.any.sa_family == AF_INET ? ntohs(address.ipv4.sin_port) : 0;
}
