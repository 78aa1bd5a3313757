/*
 * server.c
 *	  The HTTP server; see server.h.
 *
 * libmicrohttpd closes connections that are silent; one that sends or reads
 * a byte now and then it keeps.  Therefore each connection has a
 * clock, too: headers, body and answer have receive_timeout seconds each.
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"
#include "request.h"

#define BACKLOG 128

/* Memory of a connection for its headers. */
#define CONNECTION_MEMORY 32768

typedef struct open_connection
{
	int fd;
	bool working;
	double since; /* when the client's turn began */
	struct open_connection *next;
	struct open_connection *previous;
} open_connection;

static const speech_options *settings;
static struct MHD_Daemon *http_daemon;
static speech_watch daemon_watch;
static open_connection *connections;
static int n_connections;

static open_connection *
context_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info != NULL ? info->socket_context : NULL;
}

void
speech_server_set_working(struct MHD_Connection *connection, bool working)
{
	open_connection *context = context_of(connection);

	if (context == NULL)
		return;
	context->working = working;
	context->since = speech_now();
}

/* A connection begins or ends. */
static void
notify_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
				  enum MHD_ConnectionNotificationCode code)
{
	open_connection *context = *socket_context;

	(void) cls;
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
	{
		const union MHD_ConnectionInfo *info =
			MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

		context = info != NULL ? calloc(1, sizeof(*context)) : NULL;
		*socket_context = context;
		if (context == NULL)
			return; /* it has no clock, then */
		context->fd = info->connect_fd;
		context->since = speech_now();
		context->next = connections;
		if (connections != NULL)
			connections->previous = context;
		connections = context;
		n_connections++;
		return;
	}
	if (context == NULL)
		return;
	if (context->next != NULL)
		context->next->previous = context->previous;
	if (context->previous != NULL)
		context->previous->next = context->next;
	else if (connections == context)
		connections = context->next;
	n_connections--;
	free(context);
	*socket_context = NULL;
}

/* Ends connections that have used up their time; libmicrohttpd then sees them closed. */
static void
end_slow_connections(double now)
{
	for (open_connection *context = connections; context != NULL; context = context->next)
		if (!context->working && now - context->since > settings->receive_timeout)
			shutdown(context->fd, SHUT_RDWR);
}

/* libmicrohttpd has something to do; speech_server_run() lets it. */
static void
daemon_ready(void *arg, uint32_t events)
{
	(void) arg;
	(void) events;
}

/* Messages of libmicrohttpd are about clients that went away or sent nonsense. */
static void
take_message(void *cls, const char *format, va_list args)
{
	char line[300];

	(void) cls;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = '\0';
	speech_log_info("http: %s", line);
}

/* A listening socket, and its port; -1 with a reason on standard error. */
static int
listen_on(const speech_options *options, int *port)
{
	union
	{
		struct sockaddr any;
		struct sockaddr_in ipv4;
		struct sockaddr_in6 ipv6;
	} address = { 0 };
	socklen_t length;
	int on = 1;
	int fd;

	if (inet_pton(AF_INET, options->listen, &address.ipv4.sin_addr) == 1)
	{
		address.ipv4.sin_family = AF_INET;
		address.ipv4.sin_port = htons((uint16_t) options->port);
		length = sizeof(address.ipv4);
	}
	else
	{
		inet_pton(AF_INET6, options->listen, &address.ipv6.sin6_addr);
		address.ipv6.sin6_family = AF_INET6;
		address.ipv6.sin6_port = htons((uint16_t) options->port);
		length = sizeof(address.ipv6);
	}
	fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(fd, &address.any, length) != 0 || listen(fd, BACKLOG) != 0 ||
		getsockname(fd, &address.any, &length) != 0)
	{
		speech_log_error("could not listen on %s port %d: %s", options->listen, options->port,
						 strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	*port =
		ntohs(address.any.sa_family == AF_INET ? address.ipv4.sin_port : address.ipv6.sin6_port);
	return fd;
}

int
speech_server_start(const speech_options *options)
{
	const union MHD_DaemonInfo *info;
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	int port;
	int fd = listen_on(options, &port);

	if (fd < 0)
		return -1;
	settings = options;
	if (strchr(options->listen, ':') != NULL)
		flags |= MHD_USE_IPv6;
	http_daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, speech_request_handle, NULL, MHD_OPTION_EXTERNAL_LOGGER, take_message,
		NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned) options->max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned) options->receive_timeout, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t) CONNECTION_MEMORY, MHD_OPTION_NOTIFY_CONNECTION, notify_connection, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, speech_request_completed, NULL, MHD_OPTION_STRICT_FOR_CLIENT,
		1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (http_daemon == NULL)
	{
		speech_log_error("could not start the HTTP server");
		close(fd);
		return -1;
	}
	info = MHD_get_daemon_info(http_daemon, MHD_DAEMON_INFO_EPOLL_FD);
	daemon_watch =
		(speech_watch){ .fd = info != NULL ? info->epoll_fd : -1, .ready = daemon_ready };
	if (info == NULL || !speech_loop_add(&daemon_watch, EPOLLIN))
	{
		speech_log_error("could not watch the HTTP server: %s", strerror(errno));
		speech_server_stop();
		return -1;
	}
	return port;
}

void
speech_server_run(void)
{
	MHD_run(http_daemon);
	end_slow_connections(speech_now());
}

int
speech_server_due(int timeout_ms)
{
	MHD_UNSIGNED_LONG_LONG due;

	if (MHD_get_timeout(http_daemon, &due) == MHD_YES && due < (unsigned) timeout_ms)
		return (int) due;
	return timeout_ms;
}

void
speech_server_quiesce(void)
{
	MHD_socket fd = MHD_quiesce_daemon(http_daemon);

	if (fd != MHD_INVALID_SOCKET)
		close(fd);
}

void
speech_server_stop(void)
{
	if (http_daemon == NULL)
		return;
	speech_loop_remove(&daemon_watch);
	MHD_stop_daemon(http_daemon);
	http_daemon = NULL;
}

int
speech_server_connections(void)
{
	return n_connections;
}
