/*
 * request.c
 *	  One HTTP request from its headers to its answer; see request.h.
 *
 * A request that is refused while its body is still coming is answered at once; what is left of the body
 * is the HTTP server's to read and forget.
 */
#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "auth.h"
#include "clock.h"
#include "log.h"
#include "server.h"

/* What the log says of a client that went away while its request was worked on; never sent. */
#define STATUS_CLIENT_GONE 499

static const speech_options *settings;
static const speech_endpoint *const *routes;
static time_t since;
static size_t buffered;
static int pending;

void
speech_requests_init(const speech_options *options, const speech_endpoint *const *endpoints)
{
	settings = options;
	routes = endpoints;
	since = time(NULL);
}

time_t
speech_requests_since(void)
{
	return since;
}

int
speech_requests_pending(void)
{
	return pending;
}

size_t
speech_requests_buffered(void)
{
	return buffered;
}

/* Accounts for n bytes more; refuses the request and returns false when they are too many. */
static bool
reserve(speech_request *request, size_t n)
{
	if (buffered > settings->max_buffered || n > settings->max_buffered - buffered)
	{
		speech_reply_error(&request->reply, 503, NULL, "server_busy",
						   "the server holds as many bytes of requests as it may; try again later");
		request->reply.retry_after = 1;
		return false;
	}
	buffered += n;
	request->reserved += n;
	return true;
}

static void
release_reserved(speech_request *request)
{
	buffered -= request->reserved;
	request->reserved = 0;
}

static void
release_state(speech_request *request)
{
	if (request->state != NULL)
		request->endpoint->release(request->state);
	request->state = NULL;
}

/* Whether method stands in a list as of an Allow header. */
static bool
method_allowed(const char *methods, const char *method)
{
	size_t length = strlen(method);

	for (const char *at = methods; (at = strstr(at, method)) != NULL; at += length)
		if ((at == methods || at[-1] == ' ') && (at[length] == ',' || at[length] == '\0'))
			return true;
	return false;
}

static const speech_endpoint *
find_route(const char *url, const char **object)
{
	for (const speech_endpoint *const *route = routes; *route != NULL; route++)
	{
		const char *path = (*route)->path;
		size_t length = strlen(path);

		if (path[length - 1] == '/' ? strncmp(url, path, length) == 0 && url[length] != '\0'
									: strcmp(url, path) == 0)
		{
			*object = url + length;
			return *route;
		}
	}
	return NULL;
}

static void
refuse_too_large(speech_request *request, size_t limit)
{
	speech_reply_error(&request->reply, 413, NULL, "request_too_large",
					   "the body of this request may have %zu bytes at most", limit);
}

/* Looks at everything the headers tell; refuses the request, or begins it. */
static void
check_headers(speech_request *request, const http_request *http)
{
	const char *url = request->url;
	const speech_endpoint *endpoint = find_route(url, &request->object);
	uint64_t announced = http_request_head(http)->content_length;
	http_text key = http_request_header(http, "Authorization");

	if (endpoint == NULL)
	{
		speech_reply_error(&request->reply, 404, NULL, "unknown_url", "there is no route %s %s",
						   request->method, request->url);
		return;
	}
	request->endpoint = endpoint;
	if (!method_allowed(endpoint->methods, request->method))
	{
		speech_reply_error(&request->reply, 405, NULL, "method_not_allowed",
						   "%s does not take %s, only %s", endpoint->path, request->method,
						   endpoint->methods);
		request->reply.allow = endpoint->methods;
		return;
	}
	if (!endpoint->open && !speech_auth_check(key.data, key.length))
	{
		speech_reply_error(&request->reply, 401, NULL, "invalid_api_key",
						   "this server asks for an API key as \"Authorization: Bearer …\"");
		return;
	}
	if (endpoint->max_body == NULL)
		return;
	if (announced > endpoint->max_body(settings))
		refuse_too_large(request, endpoint->max_body(settings));
	else if (reserve(request, (size_t) announced))
		endpoint->begin(request, http_request_header(http, "Content-Type"));
}

static speech_request *
new_request(const http_request *http)
{
	speech_request *request = calloc(1, sizeof(*request));
	http_text method = http_request_method(http);
	http_text path = http_request_path(http);
	unsigned char random[8];

	if (request == NULL)
		return NULL;
	request->http = http_request_id(http);
	request->options = settings;
	request->started = speech_now();
	snprintf(request->method, sizeof(request->method), "%.*s", (int) method.length, method.data);
	snprintf(request->url, sizeof(request->url), "%.*s", (int) path.length, path.data);
	if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random))
		memset(random, 0, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(request->id + 2 * i, 3, "%02x", random[i]);
	return request;
}

/* From now on the server owes an answer, and does not end before it has left. */
static void
count(speech_request *request)
{
	pending += request->counted ? 0 : 1;
	request->counted = true;
}

/* Hands the answer to the HTTP server. */
static void
send_reply(speech_request *request)
{
	speech_reply *reply = &request->reply;
	http_headers headers = { .length = 0 };
	http_answer answer = { .status = (int) reply->status,
						   .content_type = reply->content_type,
						   .headers = &headers };

	http_headers_add(&headers, "X-Request-Id", "%s", request->id);
	http_headers_add(&headers, "Cache-Control", "no-store");
	if (reply->retry_after > 0)
		http_headers_add(&headers, "Retry-After", "%d", reply->retry_after);
	if (reply->allow != NULL)
		http_headers_add(&headers, "Allow", "%s", reply->allow);
	if (reply->status == 401)
		http_headers_add(&headers, "WWW-Authenticate", "Bearer");
	if (reply->body.data != NULL)
	{
		answer.blob = http_blob_take(reply->body.data, reply->body.size);
		reply->body = (speech_buffer){ 0 };
		if (answer.blob == NULL)
		{
			http_abort(speech_server(), request->http);
			return;
		}
	}
	count(request);
	http_respond(speech_server(), request->http, &answer);
}

static void
take_head(void *context, http_request *http)
{
	speech_request *request = new_request(http);

	(void) context;
	if (request == NULL)
	{
		http_abort(speech_server(), http_request_id(http));
		return;
	}
	http_request_set_user(http, request);
	/* limits are the endpoints', in their own words */
	http_request_stream(http);
	http_request_limit(http, SIZE_MAX);
	check_headers(request, http);
	if (request->reply.status != 0)
		send_reply(request);
}

/* Takes a piece of the body; what comes once the request is refused is not heard of. */
static void
take_piece(void *context, http_request *http, const char *data, size_t n)
{
	speech_request *request = http_request_user(http);
	const speech_endpoint *endpoint = request->endpoint;

	(void) context;
	request->body_size += n;
	if (endpoint->max_body == NULL)
		speech_reply_error(&request->reply, 400, NULL, "unexpected_body", "%s takes no body",
						   endpoint->path);
	else if (request->body_size > endpoint->max_body(settings))
		refuse_too_large(request, endpoint->max_body(settings));
	/* a body without an announced length is accounted for as it comes */
	else if (request->body_size <= request->reserved ||
			 reserve(request, request->body_size - request->reserved))
		endpoint->take(request, data, n);
	if (request->reply.status != 0)
	{
		release_state(request);
		send_reply(request);
	}
}

/* All of it is here. */
static void
take_request(void *context, http_request *http)
{
	speech_request *request = http_request_user(http);

	(void) context;
	request->endpoint->finish(request);
	if (request->handed)
		return;
	release_state(request);
	if (request->job != NULL)
		count(request);
	else
		send_reply(request);
}

/* The job's answer is here. */
static void
job_done(void *owner, speech_reply *reply)
{
	speech_request *request = owner;

	request->job = NULL;
	request->reply = *reply;
	*reply = (speech_reply){ 0 };
	release_reserved(request);
	/* an answer is sent in any case; while too many are, new requests are refused */
	request->reserved = request->reply.body.size;
	buffered += request->reserved;
	send_reply(request);
}

/* The client went away, or half of it did, so nobody needs the answer. */
static void
client_gone(void *context, http_request *http)
{
	speech_request *request = http_request_user(http);

	(void) context;
	if (request->job != NULL)
		speech_job_cancel(request->job);
	request->job = NULL;
	speech_reply_error(&request->reply, STATUS_CLIENT_GONE, NULL, "client_gone",
					   "the client closed the connection");
	release_reserved(request);
	http_abort(speech_server(), request->http);
}

bool
speech_request_admit(speech_request *request, speech_job_kind kind)
{
	if (speech_jobs_admit(kind))
		return true;
	speech_reply_error(&request->reply, 503, NULL, "server_busy",
					   "all engines are busy and the queue is full; try again later");
	request->reply.retry_after = speech_jobs_retry_after(kind);
	return false;
}

void
speech_request_submit(speech_request *request, speech_job_kind kind,
					  void (*work)(const void *input, speech_reply *reply), void *input,
					  void (*release)(void *input))
{
	speech_task task = {
		.work = work, .release = release, .input = input, .done = job_done, .owner = request
	};

	if (!speech_request_admit(request, kind))
	{
		release(input);
		return;
	}
	request->job = speech_job_submit(kind, &task);
	if (request->job == NULL)
	{
		release(input);
		speech_reply_out_of_memory(&request->reply);
	}
}

bool
speech_request_upgrade(speech_request *request, const http_socket_options *options)
{
	bool made = http_upgrade(speech_server(), request->http, options);

	request->handed = true;
	return made;
}

static void
take_message(void *context, http_request *socket, bool text, const char *bytes, size_t n)
{
	speech_request *request = http_request_user(socket);

	(void) context;
	request->endpoint->message(request, text, bytes, n);
}

/* The request is over, and with it everything that was made for it. */
static void
request_done(void *context, http_request *http, bool delivered)
{
	speech_request *request = http_request_user(http);
	char audio[40] = "";

	(void) context;
	if (request == NULL)
		return;
	if (request->job != NULL)
		speech_job_cancel(request->job);
	if (request->reply.audio_seconds > 0)
		snprintf(audio, sizeof(audio), " for %.1f s of audio", request->reply.audio_seconds);
	speech_log_info("%s %s %u in %.3f s%s%s id=%s", request->method, request->url,
					request->handed ? (unsigned) http_request_status(http) : request->reply.status,
					speech_now() - request->started, audio, delivered ? "" : ", not delivered",
					request->id);
	pending -= request->counted ? 1 : 0;
	release_reserved(request);
	if (request->endpoint != NULL)
		release_state(request);
	speech_reply_free(&request->reply);
	free(request);
}

/* What the HTTP server refuses by itself has the form of every other error. */
static void
refused(void *context, const http_request *http, const char *reason, http_answer *answer)
{
	const char *code = answer->status == 408   ? "request_timeout"
					   : answer->status == 503 ? "server_busy"
											   : "malformed_request";
	speech_reply reply = { 0 };

	(void) context;
	(void) http;
	speech_log_info("http: %d, %s", answer->status, reason);
	speech_reply_error(&reply, (unsigned) answer->status, NULL, code, "%s", reason);
	answer->content_type = "application/json";
	answer->blob = http_blob_take(reply.body.data, reply.body.size);
}

const http_handlers *
speech_request_handlers(void)
{
	static const http_handlers handlers = { .head = take_head,
											.piece = take_piece,
											.request = take_request,
											.half_closed = client_gone,
											.message = take_message,
											.done = request_done,
											.refused = refused };

	return &handlers;
}
