/*
 * server.c
 *	  The HTTP server; see server.h.
 */
#include "server.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "request.h"

static http_server *server;
static http_loop *loop;

int
speech_server_start(http_loop *with_loop, const speech_options *options)
{
	int timeout = options->receive_timeout * 1000;
	http_options limits = { .max_connections = options->max_connections,
							.max_buffered = options->max_buffered,
							.head_ms = timeout,
							.body_ms = timeout,
							.send_ms = timeout,
							.idle_ms = timeout };
	http_listener_options where = { .address = options->listen, .port = options->port };
	int port;

	loop = with_loop;
	server = http_server_new(loop, &limits, speech_request_handlers(), NULL);
	if (server == NULL)
	{
		speech_log_error("could not start the HTTP server: out of memory");
		return -1;
	}
	port = http_listen(server, &where);
	if (port < 0)
		speech_log_error("could not listen on %s port %d: %s", options->listen, options->port,
						 strerror(errno));
	return port;
}

http_server *
speech_server(void)
{
	return server;
}

http_loop *
speech_server_loop(void)
{
	return loop;
}

void
speech_server_quiesce(void)
{
	http_server_stop(server);
}

void
speech_server_stop(void)
{
	http_server_free(server);
	server = NULL;
}

int
speech_server_connections(void)
{
	return http_server_counters(server)->connections;
}
