/*
 * answer.c
 *	  Answers: their heads, what the library refuses by itself, and where that leaves the connection.
 */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define MAX_CONTENT_TYPE 200

typedef struct status_row
{
	int status;
	const char *reason;
} status_row;

static const status_row reasons[] = {
	{ 101, "Switching Protocols" },
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 206, "Partial Content" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 303, "See Other" },
	{ 304, "Not Modified" },
	{ 307, "Temporary Redirect" },
	{ 308, "Permanent Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 411, "Length Required" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 416, "Range Not Satisfiable" },
	{ 417, "Expectation Failed" },
	{ 422, "Unprocessable Content" },
	{ 426, "Upgrade Required" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
};

/* May be empty: clients go by the number. */
static const char *
reason_of(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}

bool
http_headers_add(http_headers *headers, const char *name, const char *format, ...)
{
	char line[HTTP_HEADERS_SIZE];
	size_t name_length = strlen(name);
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n < 0 || (size_t) n >= sizeof(line) || !mb_http_is_token(name, name_length) ||
		!mb_http_is_field_value(line, (size_t) n) ||
		name_length + (size_t) n + 4 > sizeof(headers->text) - headers->length)
	{
		headers->overflowed = true;
		return false;
	}
	memcpy(headers->text + headers->length, name, name_length);
	headers->length += name_length;
	memcpy(headers->text + headers->length, ": ", 2);
	memcpy(headers->text + headers->length + 2, line, (size_t) n);
	headers->length += 2 + (size_t) n;
	memcpy(headers->text + headers->length, "\r\n", 2);
	headers->length += 2;
	return true;
}

/* The time of now as RFC 9110, section 5.6.7, wants it, in no locale; made once a second. */
static const char *
date_of(http_server *server)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
										  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t now = time(NULL);
	struct tm tm;

	if (now != server->date_second && gmtime_r(&now, &tm) != NULL)
	{
		server->date_second = now;
		snprintf(server->date, sizeof(server->date), "%s, %02d %s %d %02d:%02d:%02d GMT",
				 days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
				 tm.tm_min, tm.tm_sec);
	}
	return server->date;
}

bool
http_enqueue(http_request *request, const void *bytes, size_t n)
{
	if (!http_queue_add(&request->out, bytes, n))
	{
		http_connection_doom(request);
		return false;
	}
	request->server->counters.queued += n;
	return true;
}

/* A head is written without printf(), which costs more than all the rest of it. */
static char *
put(char *at, const char *string)
{
	size_t n = strlen(string);

	memcpy(at, string, n);
	return at + n;
}

static char *
put_number(char *at, size_t number)
{
	char digits[20];
	size_t n = 0;

	do
		digits[n++] = (char) ('0' + number % 10);
	while ((number /= 10) > 0);
	while (n > 0)
		*at++ = digits[--n];
	return at;
}

bool
http_enqueue_head(http_request *request, int status)
{
	http_server *server = request->server;
	http_headers extra;
	char text[200];
	char *at = text;

	at = put(at, "HTTP/1.1 ");
	at = put_number(at, (size_t) status);
	at = put(at, " ");
	at = put(at, reason_of(status));
	at = put(at, "\r\nDate: ");
	at = put(at, date_of(server));
	at = put(at, "\r\n");
	if (!http_enqueue(request, text, (size_t) (at - text)))
		return false;
	if (server->handlers.headers == NULL)
		return true;
	extra.length = 0;
	extra.overflowed = false;
	server->handlers.headers(server->context, request, status, &extra);
	return http_enqueue(request, extra.text, extra.length);
}

/* Queues a whole answer; the blob is used up in any case. */
static void
enqueue_answer(http_request *request, const http_answer *answer)
{
	http_server *server = request->server;
	bool bodiless = answer->status == 204 || answer->status == 304;
	size_t length = answer->blob != NULL ? answer->blob->length : answer->length;
	char text[400];
	char *at = text;

	request->answered = true;
	request->status = answer->status;
	server->counters.answered++;
	if (!http_enqueue_head(request, answer->status))
	{
		http_blob_release(answer->blob);
		return;
	}
	if (answer->content_type != NULL && !bodiless)
	{
		size_t n = strnlen(answer->content_type, MAX_CONTENT_TYPE);

		at = put(at, "Content-Type: ");
		memcpy(at, answer->content_type, n);
		at = put(at + n, "\r\n");
	}
	if (answer->status != 204)
	{
		at = put(at, "Content-Length: ");
		at = put_number(at, length);
		at = put(at, "\r\n");
	}
	if (request->close_after)
		at = put(at, "Connection: close\r\n");
	else if (request->head.minor_version == 0)
		at = put(at, "Connection: keep-alive\r\n");
	http_enqueue(request, text, (size_t) (at - text));
	if (answer->headers != NULL)
		http_enqueue(request, answer->headers->text, answer->headers->length);
	http_enqueue(request, "\r\n", 2);
	if (!bodiless && length > 0 && !mb_http_span_is(request->head.method, request->in, "HEAD"))
	{
		request->answer_length = length;
		if (answer->in_pieces)
			request->left = length;
		else if (answer->blob == NULL)
			http_enqueue(request, answer->body, length);
		else if (http_queue_share(&request->out, answer->blob))
			server->counters.queued += length;
		else
			http_connection_doom(request);
	}
	http_blob_release(answer->blob);
}

/* Whether the rest of the body must not or need not be waited for. */
static bool
cuts_body(const http_request *request)
{
	if (request->phase != PHASE_BODY || request->body_done)
		return false;
	if (request->head.framing == MB_HTTP_CHUNKED)
		return true;
	/* a client that waits to be told to go on may send the body all the same, or may not */
	return request->body_left > MAX_SKIPPED ||
		   (request->body_left > 0 && request->head.expect_continue && !request->continued);
}

bool
http_respond(http_server *server, http_id id, const http_answer *answer)
{
	http_request *request = http_request_find(server, id);
	bool cut;

	if (request == NULL || request->answered || request->phase == PHASE_SOCKET)
	{
		http_blob_release(answer->blob);
		return false;
	}
	cut = cuts_body(request);
	request->close_after =
		answer->close || cut || !request->head.keep_alive || server->stopping || request->ended;
	request->refused = cut;
	enqueue_answer(request, answer);
	if (request->phase != PHASE_BODY || cut || request->body_done ||
		(request->head.framing != MB_HTTP_CHUNKED && request->body_left == 0))
		http_connection_phase(request, PHASE_SENDING);
	http_connection_wake(request);
	return !request->doomed;
}

bool
http_respond_more(http_server *server, http_id id, http_blob *blob)
{
	http_request *request = http_request_find(server, id);

	if (request == NULL || request->left == 0 || request->doomed)
	{
		http_blob_release(blob);
		return false;
	}
	if (blob->length == 0 || blob->length > request->left || !http_queue_share(&request->out, blob))
		http_connection_doom(request);
	else
	{
		request->left -= blob->length;
		request->more_asked = false;
		server->counters.queued += blob->length;
		/* its time begins anew */
		http_connection_phase(request, request->phase);
		http_connection_wake(request);
	}
	http_blob_release(blob);
	return !request->doomed;
}

void
http_refuse(http_request *request, int status, const char *reason)
{
	http_server *server = request->server;
	http_headers headers = { .length = 0 };
	http_answer answer = { .status = status,
						   .content_type = "text/plain; charset=utf-8",
						   .body = reason,
						   .length = strlen(reason) };

	if (request->answered)
	{
		http_connection_doom(request);
		return;
	}
	server->counters.refused++;
	if (status == 426)
	{
		http_headers_add(&headers, "Upgrade", "websocket");
		http_headers_add(&headers, "Sec-WebSocket-Version", "13");
		answer.headers = &headers;
	}
	if (server->handlers.refused != NULL)
		server->handlers.refused(server->context, request, reason, &answer);
	answer.status = status;
	request->close_after = true;
	request->refused = true;
	enqueue_answer(request, &answer);
	http_connection_phase(request, PHASE_SENDING);
	http_connection_wake(request);
}

void
http_abort(http_server *server, http_id id)
{
	http_request *request = http_request_find(server, id);

	if (request != NULL)
		http_connection_doom(request);
}
