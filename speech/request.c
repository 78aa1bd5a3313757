/*
 * request.c
 *	  One HTTP request from its headers to its answer; see request.h.
 *
 * A request that is refused while its body is still coming is answered only when the body has
 * been read and thrown away: a client that is still sending would see its connection
 * reset instead of the answer.  Exceptions are clients that wait for "100 Continue",
 * which are answered at once, and bodies that are far too large.
 */
#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "auth.h"
#include "log.h"
#include "loop.h"
#include "server.h"

/* A refused body is read to its end up to this many times the limit. */
#define DRAIN_FACTOR 4

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

static const char *
header(const speech_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static bool
has_body(const speech_request *request)
{
	const char *length = header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return header(request, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL ||
		   (length != NULL && strtoull(length, NULL, 10) > 0);
}

/* The announced length of the body, 0 when none is. */
static unsigned long long
announced_length(const speech_request *request)
{
	const char *length = header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return length != NULL ? strtoull(length, NULL, 10) : 0;
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
check_headers(speech_request *request, const char *url)
{
	const speech_endpoint *endpoint = find_route(url, &request->object);

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
	if (!endpoint->open && !speech_auth_check(header(request, MHD_HTTP_HEADER_AUTHORIZATION)))
	{
		speech_reply_error(&request->reply, 401, NULL, "invalid_api_key",
						   "this server asks for an API key as \"Authorization: Bearer …\"");
		return;
	}
	if (endpoint->max_body == NULL)
		return;
	if (announced_length(request) > endpoint->max_body(settings))
		refuse_too_large(request, endpoint->max_body(settings));
	else if (reserve(request, (size_t) announced_length(request)))
		endpoint->begin(request);
}

static speech_request *
new_request(struct MHD_Connection *connection, const char *url, const char *method)
{
	speech_request *request = calloc(1, sizeof(*request));
	unsigned char random[8];

	if (request == NULL)
		return NULL;
	request->connection = connection;
	request->options = settings;
	request->started = speech_now();
	snprintf(request->method, sizeof(request->method), "%s", method);
	snprintf(request->url, sizeof(request->url), "%s", url);
	if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random))
		memset(random, 0, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(request->id + 2 * i, 3, "%02x", random[i]);
	return request;
}

/* Takes a piece of the body, or throws it away when the request is refused. */
static void
take_body(speech_request *request, const char *data, size_t n)
{
	const speech_endpoint *endpoint = request->endpoint;

	request->body_size += n;
	if (request->reply.status != 0)
		return;
	if (endpoint->max_body == NULL)
	{
		if (request->body_size > 0)
			speech_reply_error(&request->reply, 400, NULL, "unexpected_body", "%s takes no body",
							   endpoint->path);
		return;
	}
	if (request->body_size > endpoint->max_body(settings))
	{
		refuse_too_large(request, endpoint->max_body(settings));
		return;
	}
	/* a body without an announced length is accounted for as it comes */
	if (request->body_size > request->reserved &&
		!reserve(request, request->body_size - request->reserved))
		return;
	endpoint->take(request, data, n);
}

/* Stops watching for the client to go away. */
static void
forget_hangup(speech_request *request)
{
	if (request->hangup == NULL)
		return;
	speech_loop_remove(request->hangup);
	free(request->hangup);
	request->hangup = NULL;
}

/* Lets libmicrohttpd call speech_request_handle() again, for the answer. */
static void
resume(speech_request *request)
{
	forget_hangup(request);
	request->job = NULL;
	request->suspended = false;
	MHD_resume_connection(request->connection);
}

/* The job's answer is here. */
static void
job_done(void *owner, speech_reply *reply)
{
	speech_request *request = owner;

	request->reply = *reply;
	*reply = (speech_reply){ 0 };
	release_reserved(request);
	/* an answer is sent in any case; while too many are, new requests are refused */
	request->reserved = request->reply.body.size;
	buffered += request->reserved;
	resume(request);
}

/* The client went away, so nobody needs the answer. */
static void
client_gone(void *arg, uint32_t events)
{
	speech_request *request = arg;

	(void) events;
	speech_job_cancel(request->job);
	speech_reply_error(&request->reply, STATUS_CLIENT_GONE, NULL, "client_gone",
					   "the client closed the connection");
	release_reserved(request);
	resume(request);
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
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

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
		return;
	}
	request->hangup = calloc(1, sizeof(*request->hangup));
	if (request->hangup == NULL || info == NULL)
		return; /* then the answer is made for nobody if the client goes */
	*request->hangup =
		(speech_watch){ .fd = info->connect_fd, .ready = client_gone, .arg = request };
	if (!speech_loop_add(request->hangup, EPOLLRDHUP))
		forget_hangup(request);
}

/* From now on the server owes an answer, and does not end before it has left. */
static void
count(speech_request *request)
{
	pending += request->counted ? 0 : 1;
	request->counted = true;
}

/* Hands the answer to libmicrohttpd. */
static enum MHD_Result
send_reply(speech_request *request)
{
	speech_reply *reply = &request->reply;
	struct MHD_Response *response;
	enum MHD_Result result;
	char number[16];

	response =
		MHD_create_response_from_buffer(reply->body.size, reply->body.data, MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		return MHD_NO;
	reply->body = (speech_buffer){ 0 };
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
	MHD_add_response_header(response, "X-Request-Id", request->id);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (reply->retry_after > 0)
	{
		snprintf(number, sizeof(number), "%d", reply->retry_after);
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, number);
	}
	if (reply->allow != NULL)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow);
	if (reply->status == 401)
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
	result = MHD_queue_response(request->connection, reply->status, response);
	MHD_destroy_response(response);
	if (result == MHD_YES)
		count(request);
	speech_server_set_working(request->connection, false); /* the clock begins anew */
	return result;
}

/* Whether a refusal is better sent before the body than after it. */
static bool
refuse_at_once(const speech_request *request)
{
	const char *expect = header(request, MHD_HTTP_HEADER_EXPECT);
	size_t limit = settings->max_body;

	return request->reply.status != 0 && has_body(request) &&
		   ((expect != NULL && strcasecmp(expect, "100-continue") == 0) ||
			announced_length(request) / DRAIN_FACTOR > limit);
}

enum MHD_Result
speech_request_handle(void *cls, struct MHD_Connection *connection, const char *url,
					  const char *method, const char *version, const char *upload_data,
					  size_t *upload_data_size, void **con_cls)
{
	speech_request *request = *con_cls;

	(void) cls;
	(void) version;
	if (request == NULL)
	{
		request = new_request(connection, url, method);
		if (request == NULL)
			return MHD_NO;
		*con_cls = request;
		speech_server_set_working(connection, false); /* the body has its own time */
		check_headers(request, url);
		return refuse_at_once(request) ? send_reply(request) : MHD_YES;
	}
	if (*upload_data_size > 0)
	{
		take_body(request, upload_data, *upload_data_size);
		*upload_data_size = 0;
		return MHD_YES;
	}
	if (request->reply.status == 0 && request->job == NULL)
		request->endpoint->finish(request);
	release_state(request);
	if (request->job != NULL)
	{
		if (!request->suspended)
		{
			request->suspended = true;
			count(request);
			speech_server_set_working(connection, true);
			MHD_suspend_connection(connection);
		}
		return MHD_YES;
	}
	return send_reply(request);
}

void
speech_request_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
						 enum MHD_RequestTerminationCode code)
{
	speech_request *request = *con_cls;
	char audio[40] = "";

	(void) cls;
	if (request == NULL)
		return;
	*con_cls = NULL;
	if (request->job != NULL)
	{
		forget_hangup(request);
		speech_job_cancel(request->job);
	}
	speech_server_set_working(connection, false);
	if (request->reply.audio_seconds > 0)
		snprintf(audio, sizeof(audio), " for %.1f s of audio", request->reply.audio_seconds);
	speech_log_info("%s %s %u in %.3f s%s%s id=%s", request->method, request->url,
					request->reply.status, speech_now() - request->started, audio,
					code == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "" : ", not delivered",
					request->id);
	pending -= request->counted ? 1 : 0;
	release_reserved(request);
	if (request->endpoint != NULL)
		release_state(request);
	speech_reply_free(&request->reply);
	free(request);
}
