/*
 * echo.c
 *	  A program for the tests of http/: answers with what it was sent, at once or later, and echoes what
 *	  comes over a WebSocket.
 *
 *	POST /echo			the body
 *	POST /stream		the number of bytes and of pieces of a body that is streamed, and a sum of it
 *	GET /delay			answers when GET /release is asked for, on any connection
 *	GET /raw…			the target as it came
 *	GET /segments/{a}/{b}	what they are decoded
 *	GET /large?N		N bytes
 *	GET /gone			closes without an answer
 *	GET /early			with a body: 401 before it is read
 *	GET /headers		the number of headers
 *	GET /counters		those of the server, as "name value" lines
 *	GET /ws				an echo; "push N" sends N messages until the queue is full, then waits;
 *						"close CODE" closes, "last CODE" sends a message and closes
 *	GET /answers		every request that is over, a line each: status, target, delivered or not
 *
 * usage: http-echo [name=value …]; prints its port.  Names are those of http_options, and address, cert, key.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/web/url_path.h"
#include "http/http.h"
#include "http/route.h"

#define MAX_WAITING 10000

static http_loop *loop;
static http_server *server;
static http_id waiting[MAX_WAITING];
static int n_waiting;
static char *journal;
static size_t journal_length;
static volatile sig_atomic_t stop_signals;

typedef struct state
{
	size_t bytes;
	size_t pieces;
	unsigned sum;
	bool pushes;
	long left;
	char target[100];
} state;

static void
answer_text(http_request *request, int status, const char *format, ...)
{
	char text[4096];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	http_respond(
		server, http_request_id(request),
		&(http_answer){
			.status = status, .content_type = "text/plain", .body = text, .length = (size_t) n });
}

static bool
path_is(const http_request *request, const char *path)
{
	http_text text = http_request_path(request);

	return text.length == strlen(path) && memcmp(text.data, path, text.length) == 0;
}

static void
take_head(void *context, http_request *request)
{
	state *own = calloc(1, sizeof(*own));
	http_text target = http_request_target(request);

	(void) context;
	if (own == NULL)
		exit(1);
	snprintf(own->target, sizeof(own->target), "%.*s", (int) target.length, target.data);
	http_request_set_user(request, own);
	if (path_is(request, "/stream"))
	{
		http_request_stream(request);
		http_request_limit(request, 64 * 1024 * 1024);
	}
	else if (path_is(request, "/early"))
		answer_text(request, 401, "no");
}

static void
take_piece(void *context, http_request *request, const char *bytes, size_t n)
{
	state *own = http_request_user(request);

	(void) context;
	own->pieces++;
	own->bytes += n;
	for (size_t i = 0; i < n; i++)
		own->sum = own->sum * 31 + (unsigned char) bytes[i];
}

static void
release_waiting(void)
{
	for (int i = 0; i < n_waiting; i++)
		http_respond(server, waiting[i],
					 &(http_answer){ .status = 200, .body = "late", .length = 4 });
	n_waiting = 0;
}

static void
answer_segments(http_request *request, const http_match *match)
{
	char decoded[2][200];
	size_t lengths[2];

	for (int i = 0; i < 2; i++)
	{
		http_text text = match->parameters[i];

		if (text.length >= sizeof(decoded[i]) ||
			mb_percent_decode(text.data, text.length, decoded[i], &lengths[i]) != MB_OK)
		{
			answer_text(request, 400, "no text");
			return;
		}
	}
	answer_text(request, 200, "%.*s|%.*s", (int) lengths[0], decoded[0], (int) lengths[1],
				decoded[1]);
}

static void
answer_large(http_request *request)
{
	http_text query = http_request_query(request);
	size_t n = strtoul(query.data, NULL, 10);
	char *bytes = malloc(n);

	memset(bytes, 'x', n);
	http_respond(server, http_request_id(request),
				 &(http_answer){ .status = 200, .blob = http_blob_take(bytes, n) });
}

static void
answer_counters(http_request *request)
{
	const http_counters *counters = http_server_counters(server);

	answer_text(request, 200,
				"connections %d\nsockets %d\nrequests %d\nbuffered %zu\nqueued %zu\nrefused %llu\n"
				"timed_out %llu\nturned_away %llu\nturned_away_address %llu\n",
				counters->connections, counters->sockets, counters->requests, counters->buffered,
				counters->queued, (unsigned long long) counters->refused,
				(unsigned long long) counters->timed_out,
				(unsigned long long) counters->turned_away,
				(unsigned long long) counters->turned_away_address);
}

enum
{
	ECHO,
	STREAM,
	DELAY,
	RELEASE,
	SEGMENTS,
	LARGE,
	GONE,
	HEADERS,
	COUNTERS,
	SOCKET,
	ANSWERS
};

static const int targets[] = { ECHO, STREAM,  DELAY,	RELEASE, SEGMENTS, LARGE,
							   GONE, HEADERS, COUNTERS, SOCKET,	 ANSWERS };

static const http_route routes[] = {
	{ "POST", "/echo", &targets[ECHO] },	  { "PUT", "/echo", &targets[ECHO] },
	{ "GET", "/echo", &targets[ECHO] },		  { "POST", "/stream", &targets[STREAM] },
	{ "GET", "/delay", &targets[DELAY] },	  { "POST", "/delay", &targets[DELAY] },
	{ "GET", "/release", &targets[RELEASE] }, { "GET", "/segments/{}/{}", &targets[SEGMENTS] },
	{ "GET", "/large", &targets[LARGE] },	  { "GET", "/gone", &targets[GONE] },
	{ "GET", "/headers", &targets[HEADERS] }, { "GET", "/counters", &targets[COUNTERS] },
	{ "GET", "/ws", &targets[SOCKET] },		  { "GET", "/answers", &targets[ANSWERS] },
};

static void
take_request(void *context, http_request *request)
{
	state *own = http_request_user(request);
	http_text method = http_request_method(request);
	http_text path = http_request_path(request);
	http_text body = http_request_body(request);
	http_headers headers = { .length = 0 };
	http_match match;

	(void) context;
	if (path.length >= 4 && memcmp(path.data, "/raw", 4) == 0)
	{
		answer_text(request, 200, "%.*s", (int) http_request_target(request).length,
					http_request_target(request).data);
		return;
	}
	switch (http_route_find(routes, sizeof(routes) / sizeof(routes[0]), method, path, &match))
	{
		case HTTP_ROUTE_NO_PATH:
			answer_text(request, 404, "nothing here");
			return;
		case HTTP_ROUTE_OTHER_METHOD:
			http_headers_add(&headers, "Allow", "%s", match.allow);
			http_respond(
				server, http_request_id(request),
				&(http_answer){ .status = method.length == 7 ? 204 : 405, .headers = &headers });
			return;
		case HTTP_ROUTE_FOUND:
			break;
	}
	switch (*(const int *) match.route->target)
	{
		case ECHO:
			http_respond(server, http_request_id(request),
						 &(http_answer){ .status = 200,
										 .content_type = "application/octet-stream",
										 .body = body.data,
										 .length = body.length });
			break;
		case STREAM:
			answer_text(request, 200, "%zu %u %zu", own->bytes, own->sum, own->pieces);
			break;
		case DELAY:
			if (n_waiting == MAX_WAITING)
				exit(1);
			waiting[n_waiting++] = http_request_id(request);
			break;
		case RELEASE:
			release_waiting();
			answer_text(request, 200, "released");
			break;
		case SEGMENTS:
			answer_segments(request, &match);
			break;
		case LARGE:
			answer_large(request);
			break;
		case GONE:
			http_abort(server, http_request_id(request));
			break;
		case HEADERS:
			answer_text(request, 200, "%d", http_request_head(request)->n_fields);
			break;
		case COUNTERS:
			answer_counters(request);
			break;
		case SOCKET:
			if (mb_websocket_offers(http_request_head(request), http_request_bytes(request),
									"echo.v1"))
				http_upgrade(server, http_request_id(request),
							 &(http_socket_options){ .subprotocol = "echo.v1", .ping_ms = 500 });
			else
				http_upgrade(server, http_request_id(request),
							 &(http_socket_options){
								 .max_queued = 100000, .stall_ms = 60000, .ping_ms = 60000 });
			break;
		case ANSWERS:
			http_respond(
				server, http_request_id(request),
				&(http_answer){ .status = 200, .body = journal, .length = journal_length });
			break;
	}
}

static void
request_done(void *context, http_request *request, bool delivered)
{
	state *own = http_request_user(request);
	char line[200];
	int n = snprintf(line, sizeof(line), "%d %s %s\n", http_request_status(request), own->target,
					 delivered ? "delivered" : "not delivered");

	(void) context;
	journal = realloc(journal, journal_length + (size_t) n);
	memcpy(journal + journal_length, line, (size_t) n);
	journal_length += (size_t) n;
	free(own);
}

static void
push(http_request *request)
{
	state *own = http_request_user(request);
	http_blob *frame = http_frame_new(true, "0123456789012345678901234567890123456789", 40);

	while (own->left > 0 &&
		   http_socket_send_frame(server, http_request_id(request), frame) == HTTP_SENT)
		own->left--;
	http_blob_release(frame);
}

static void
take_message(void *context, http_request *request, bool text, const char *bytes, size_t n)
{
	state *own = http_request_user(request);
	http_id id = http_request_id(request);
	char command[32];

	(void) context;
	snprintf(command, sizeof(command), "%.*s", n < 31 ? (int) n : 31, bytes);
	if (strncmp(command, "push ", 5) == 0)
	{
		own->left = atol(command + 5);
		push(request);
	}
	else if (strcmp(command, "drop") == 0)
	{
		own->left = 0;
		http_socket_drop_queue(server, id);
		own->pushes = true;
	}
	else if (strncmp(command, "close ", 6) == 0)
		http_socket_close(server, id, atoi(command + 6), "as you wish");
	else if (strncmp(command, "last ", 5) == 0)
	{
		http_socket_send(server, id, true, "the last", 8);
		http_socket_close(server, id, atoi(command + 5), "");
	}
	else
		http_socket_send(server, id, text, bytes, n);
}

static void
socket_writable(void *context, http_request *request)
{
	state *own = http_request_user(request);

	(void) context;
	if (own->pushes)
		http_socket_send(server, http_request_id(request), true, "resync", 6);
	own->pushes = false;
	push(request);
}

static void
socket_stopping(void *context, http_request *request)
{
	(void) context;
	http_socket_send(server, http_request_id(request), true, "stopping", 8);
}

static void
every_answer(void *context, const http_request *request, int status, http_headers *headers)
{
	char address[HTTP_ADDRESS_SIZE];

	(void) context;
	(void) status;
	http_headers_add(headers, "X-Client", "%s", http_request_address(request, address));
	/* cannot be said, and is left out */
	http_headers_add(headers, "X-Bad", "a\r\nb: %d", 1);
}

static void
take_signal(int number)
{
	(void) number;
	stop_signals++;
}

int
main(int argc, char **argv)
{
	http_options options = { 0 };
	http_listener_options listener = { .address = "127.0.0.1" };
	const char *certificate = NULL;
	const char *key = NULL;
	http_handlers handlers = { .head = take_head,
							   .piece = take_piece,
							   .request = take_request,
							   .done = request_done,
							   .headers = every_answer,
							   .message = take_message,
							   .writable = socket_writable,
							   .stopping = socket_stopping };
	struct
	{
		const char *name;
		int *place;
	} names[] = {
		{ "max_connections", &options.max_connections },
		{ "max_per_address", &options.max_per_address },
		{ "head_ms", &options.head_ms },
		{ "body_ms", &options.body_ms },
		{ "send_ms", &options.send_ms },
		{ "idle_ms", &options.idle_ms },
		{ "linger_ms", &options.linger_ms },
		{ "close_ms", &options.close_ms },
	};
	char error[300];
	int port;

	for (int i = 1; i < argc; i++)
	{
		char *value = strchr(argv[i], '=');

		if (value == NULL)
			return 2;
		*value++ = '\0';
		for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++)
			if (strcmp(argv[i], names[j].name) == 0)
				*names[j].place = atoi(value);
		if (strcmp(argv[i], "max_body") == 0)
			options.max_body = strtoul(value, NULL, 10);
		else if (strcmp(argv[i], "max_buffered") == 0)
			options.max_buffered = strtoul(value, NULL, 10);
		else if (strcmp(argv[i], "address") == 0)
			listener.address = value;
		else if (strcmp(argv[i], "cert") == 0)
			certificate = value;
		else if (strcmp(argv[i], "key") == 0)
			key = value;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, take_signal);
	if (certificate != NULL)
	{
		listener.tls = http_tls_new(certificate, key, error, sizeof(error));
		if (listener.tls == NULL)
		{
			fprintf(stderr, "%s\n", error);
			return 1;
		}
	}
	loop = http_loop_new();
	server = http_server_new(loop, &options, &handlers, NULL);
	port = http_listen(server, &listener);
	if (port < 0)
	{
		perror("http-echo");
		return 1;
	}
	printf("%d\n", port);
	fflush(stdout);
	while (stop_signals == 0)
		http_loop_turn(loop, 100);
	http_server_stop(server);
	while (stop_signals == 1 && http_server_counters(server)->connections > 0)
		http_loop_turn(loop, 100);
	http_server_free(server);
	http_loop_free(loop);
	http_tls_free(listener.tls);
	free(journal);
	return 0;
}
