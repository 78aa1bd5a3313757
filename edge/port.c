/*
 * port.c
 *	  The port on which a modem takes commands; see port.h.
 */
#include "port.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serial.h"

#define SEND_MS 1000
#define INPUT 4096

struct edge_port
{
	edge_port *next;
	char *name;
	int users;
	int fd;
	mb_at at;
	atomic_bool taken;
	atomic_bool restarted;
	size_t from; /* bytes in input that were looked at */
	size_t to;
	uint8_t input[INPUT];
};

/* Those that are open, by their names. */
static edge_port *ports;
static pthread_mutex_t ports_lock = PTHREAD_MUTEX_INITIALIZER;

edge_audio_status
edge_port_open(const char *name, edge_port **port, char *problem)
{
	edge_audio_status status = EDGE_AUDIO_OK;
	edge_port *found;

	pthread_mutex_lock(&ports_lock);
	for (found = ports; found != NULL && strcmp(found->name, name) != 0;)
		found = found->next;
	if (found == NULL)
	{
		found = calloc(1, sizeof(*found));
		if (found == NULL || (found->name = strdup(name)) == NULL)
		{
			free(found);
			snprintf(problem, 256, "out of memory");
			pthread_mutex_unlock(&ports_lock);
			return EDGE_AUDIO_BUSY;
		}
		status = edge_serial_open(name, true, &found->fd, problem);
		if (status != EDGE_AUDIO_OK)
		{
			free(found->name);
			free(found);
			found = NULL;
		}
		else
		{
			mb_at_begin(&found->at);
			found->next = ports;
			ports = found;
		}
	}
	if (found != NULL)
		found->users++;
	*port = found;
	pthread_mutex_unlock(&ports_lock);
	return status;
}

void
edge_port_close(edge_port *port)
{
	pthread_mutex_lock(&ports_lock);
	if (--port->users == 0)
	{
		edge_port **link = &ports;

		while (*link != port)
			link = &(*link)->next;
		*link = port->next;
		edge_serial_close(port->fd);
		free(port->name);
		free(port);
	}
	pthread_mutex_unlock(&ports_lock);
}

bool
edge_port_send(edge_port *port, const char *command)
{
	char line[MB_AT_LINE + 2];
	int n = snprintf(line, sizeof(line), "%s\r", command);

	mb_at_sent(&port->at, command);
	return edge_serial_write(port->fd, line,
							 (size_t) n < sizeof(line) ? (size_t) n : sizeof(line) - 1, SEND_MS);
}

/* Waits for bytes when there are none: 1, 0 or -1 as edge_port_hear(). */
static int
fill(edge_port *port, int timeout)
{
	struct pollfd wait = { .fd = port->fd, .events = POLLIN };
	ssize_t got;

	if (port->from < port->to)
		return 1;
	if (poll(&wait, 1, timeout) <= 0)
		return 0;
	got = read(port->fd, port->input, sizeof(port->input));
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got <= 0)
		return -1;
	port->from = 0;
	port->to = (size_t) got;
	return 1;
}

int
edge_port_hear(edge_port *port, mb_at_event *event, int timeout)
{
	int64_t until = edge_clock() + timeout * INT64_C(1000000);

	for (;;)
	{
		int64_t left = (until - edge_clock() + 999999) / 1000000;
		int state = fill(port, left > 0 ? (int) left : 0);
		size_t used;
		bool heard;

		if (state < 0)
			return -1;
		if (state > 0)
		{
			heard = mb_at_feed(&port->at, port->input + port->from, port->to - port->from, &used,
							   event);
			port->from += used;
			if (heard)
				return 1;
		}
		else if (left <= 0)
			return 0;
	}
}

void
edge_port_data_begin(edge_port *port, int timeout)
{
	if (fill(port, timeout) > 0)
		port->from += mb_at_data_begins(&port->at, port->input + port->from, port->to - port->from);
}

int
edge_port_read(edge_port *port, uint8_t *bytes, size_t n, int timeout)
{
	int state = fill(port, timeout);
	size_t left = port->to - port->from;

	if (state <= 0)
		return state;
	n = n < left ? n : left;
	memcpy(bytes, port->input + port->from, n);
	port->from += n;
	return (int) n;
}

void
edge_port_unread(edge_port *port, size_t n)
{
	port->from -= n;
}

bool
edge_port_write(edge_port *port, const void *bytes, size_t n, int timeout)
{
	return edge_serial_write(port->fd, bytes, n, timeout);
}

void
edge_port_take(edge_port *port)
{
	atomic_store(&port->taken, true);
}

void
edge_port_give_back(edge_port *port, bool restarted)
{
	if (restarted)
		atomic_store(&port->restarted, true);
	atomic_store(&port->taken, false);
}

bool
edge_port_taken(edge_port *port)
{
	return atomic_load(&port->taken);
}

bool
edge_port_restarted(edge_port *port)
{
	return atomic_exchange(&port->restarted, false);
}
