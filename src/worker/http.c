/*
 * http.c
 *	  Outgoing HTTP of a worker on one curl multi handle; see http.h.
 *
 * curl allocates with malloc; so do we for everything that a callback touches,
 * because palloc may raise an error and an error must not jump through curl.
 */
#include "compat.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "portability/instr_time.h"
#include "storage/fd.h"

#include "core/address.h"
#include "worker/http.h"

/* PREREQFUNCTION, which looks at the peer of a reused connection. */
#if LIBCURL_VERSION_NUM < 0x075000
#error "Mulberry needs libcurl 7.80 or later"
#endif

#define CONNECT_TIMEOUT_MS 10000
#define EVENTS_AT_ONCE 64

struct mulberry_transfer
{
	mulberry_http *http;
	CURL *easy;
	struct curl_slist *headers;
	curl_mime *mime;
	void *owner;
	size_t max_response;
	bool allow_private;
	bool address_refused;
	bool too_large;
	bool out_of_memory;
	char *body;
	size_t body_size;
	size_t body_capacity;
	char request_id[128];
	char refused_address[INET6_ADDRSTRLEN];
	char error[CURL_ERROR_SIZE];
	mulberry_transfer *next; /* in the list of all, or of unused ones */
	mulberry_transfer *previous;
	bool in_multi;
};

/* Reads one part of a multipart body. */
typedef struct part_reader
{
	const char *data;
	size_t size;
	size_t position;
} part_reader;

struct mulberry_http
{
	CURLM *multi;
	int epoll;
	int capacity; /* descriptors reserved for transfers */
	int in_flight;
	bool has_deadline;
	instr_time deadline_base; /* when curl set the timer */
	long deadline_ms;		  /* from then */
	mulberry_transfer *active;
	mulberry_transfer *unused; /* easy handles kept for reuse */
};

/*
 * curl's resolver makes threads, which inherit the signal mask: a signal meant
 * for this process must never be delivered to one of them.
 */
static sigset_t saved_mask;

static void
enter_curl(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved_mask);
}

static void
leave_curl(void)
{
	pthread_sigmask(SIG_SETMASK, &saved_mask, NULL);
}

/*
 * Callbacks: they run inside curl, with signals blocked.  They may set fields
 * and use malloc; they never raise.
 */

static int
on_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *known)
{
	mulberry_http *http = arg;
	struct epoll_event event = { 0 };

	event.data.fd = socket;
	switch (what)
	{
		case CURL_POLL_REMOVE:
			epoll_ctl(http->epoll, EPOLL_CTL_DEL, socket, NULL);
			return 0;
		case CURL_POLL_IN:
			event.events = EPOLLIN;
			break;
		case CURL_POLL_OUT:
			event.events = EPOLLOUT;
			break;
		case CURL_POLL_INOUT:
			event.events = EPOLLIN | EPOLLOUT;
			break;
		default:
			return 0;
	}
	/* A number may come back while the kernel still knows its predecessor. */
	if (epoll_ctl(http->epoll, EPOLL_CTL_ADD, socket, &event) != 0 && errno == EEXIST)
		epoll_ctl(http->epoll, EPOLL_CTL_MOD, socket, &event);
	return 0;
}

static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	mulberry_http *http = arg;

	http->has_deadline = timeout_ms >= 0;
	http->deadline_ms = timeout_ms;
	INSTR_TIME_SET_CURRENT(http->deadline_base);
	return 0;
}

/* Collects the body, up to its limit. */
static size_t
on_body(char *data, size_t one, size_t size, void *arg)
{
	mulberry_transfer *transfer = arg;

	if (transfer->body_size + size > transfer->max_response)
	{
		transfer->too_large = true;
		return 0;
	}
	if (transfer->body_size + size > transfer->body_capacity)
	{
		size_t capacity = Max(transfer->body_capacity * 2, transfer->body_size + size);
		char *body;

		capacity = Max(capacity, 4096);
		capacity = Min(capacity, transfer->max_response);
		body = realloc(transfer->body, capacity);
		if (body == NULL)
		{
			transfer->out_of_memory = true;
			return 0;
		}
		transfer->body = body;
		transfer->body_capacity = capacity;
	}
	memcpy(transfer->body + transfer->body_size, data, size);
	transfer->body_size += size;
	return size;
}

/* Keeps the one header that curl does not keep for us. */
static size_t
on_header(char *data, size_t one, size_t size, void *arg)
{
	static const char name[] = "x-request-id:";
	mulberry_transfer *transfer = arg;
	size_t length = 0;

	if (size <= sizeof name - 1 || pg_strncasecmp(data, name, sizeof name - 1) != 0)
		return size;
	for (size_t i = sizeof name - 1; i < size && length < sizeof transfer->request_id - 1; i++)
	{
		if (data[i] > ' ' && data[i] < 0x7f)
			transfer->request_id[length++] = data[i];
	}
	transfer->request_id[length] = '\0';
	return size;
}

static size_t
read_part(char *buffer, size_t one, size_t room, void *arg)
{
	part_reader *reader = arg;
	size_t size = Min(room * one, reader->size - reader->position);

	memcpy(buffer, reader->data + reader->position, size);
	reader->position += size;
	return size;
}

static int
seek_part(void *arg, curl_off_t offset, int origin)
{
	part_reader *reader = arg;

	if (origin != SEEK_SET || offset < 0 || (size_t) offset > reader->size)
		return CURL_SEEKFUNC_FAIL;
	reader->position = (size_t) offset;
	return CURL_SEEKFUNC_OK;
}

/*
 * Opens the socket unless the address that the name resolved to is private and
 * the endpoint does not allow that.
 */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	mulberry_transfer *transfer = arg;
	bool is_public = false;
	const void *bytes = NULL;

	if (address->family == AF_INET)
	{
		bytes = &((struct sockaddr_in *) &address->addr)->sin_addr;
		is_public = mb_ipv4_is_public(bytes);
	}
	else if (address->family == AF_INET6)
	{
		bytes = &((struct sockaddr_in6 *) &address->addr)->sin6_addr;
		is_public = mb_ipv6_is_public(bytes);
	}
	if (!is_public && !transfer->allow_private)
	{
		transfer->address_refused = true;
		if (bytes)
			inet_ntop(address->family, bytes, transfer->refused_address,
					  sizeof transfer->refused_address);
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/*
 * Looks at the peer once more before the request is sent: a reused connection
 * may have been opened for an endpoint that allows more.
 */
static int
on_before_request(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	mulberry_transfer *transfer = arg;

	if (!transfer->allow_private && mb_address_is_literal_private(peer))
	{
		transfer->address_refused = true;
		strlcpy(transfer->refused_address, peer, sizeof transfer->refused_address);
		return CURL_PREREQFUNC_ABORT;
	}
	return CURL_PREREQFUNC_OK;
}

/* Once a process, after the fork. */
static void
initialize_curl(void)
{
	static bool done = false;
	CURLcode code;

	if (done)
		return;
	enter_curl();
	code = curl_global_init(CURL_GLOBAL_DEFAULT);
	leave_curl();
	if (code != CURLE_OK)
		ereport(ERROR, errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				errmsg("could not initialize libcurl: %s", curl_easy_strerror(code)));
	done = true;
}

mulberry_http *
mulberry_http_create(int concurrency)
{
	mulberry_http *http;

	initialize_curl();
	http = palloc0(sizeof(mulberry_http));
	if (!AcquireExternalFD())
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				errmsg("no file descriptor left for outgoing HTTP"),
				errhint("Raise max_files_per_process."));
	http->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (http->epoll < 0)
		ereport(ERROR, errcode_for_socket_access(),
				errmsg("could not create an epoll descriptor: %m"));
	while (http->capacity < concurrency && AcquireExternalFD())
		http->capacity++;
	if (http->capacity < concurrency)
		ereport(
			LOG,
			errmsg("only %d of %d outgoing transfers can run at once", http->capacity, concurrency),
			errhint("Raise max_files_per_process, or lower mulberry.http_concurrency."));
	http->multi = curl_multi_init();
	if (http->multi == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long) http->capacity);
	return http;
}

/* An easy handle with its transfer: a used one, or new; NULL when memory is out. */
static mulberry_transfer *
get_transfer(mulberry_http *http)
{
	mulberry_transfer *transfer = http->unused;

	if (transfer != NULL)
		http->unused = transfer->next;
	else
	{
		transfer = calloc(1, sizeof(mulberry_transfer));
		if (transfer != NULL)
			transfer->easy = curl_easy_init();
		if (transfer == NULL || transfer->easy == NULL)
		{
			free(transfer);
			return NULL;
		}
	}
	transfer->http = http;
	transfer->previous = NULL;
	transfer->next = http->active;
	if (http->active)
		http->active->previous = transfer;
	http->active = transfer;
	return transfer;
}

/* Frees what one request needed; the easy handle is kept. */
void
mulberry_http_release(mulberry_http *http, mulberry_transfer *transfer)
{
	CURL *easy = transfer->easy;

	enter_curl();
	if (transfer->in_multi)
	{
		curl_multi_remove_handle(http->multi, easy);
		http->in_flight--;
	}
	curl_easy_reset(easy);
	curl_mime_free(transfer->mime);
	for (struct curl_slist *header = transfer->headers; header; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(transfer->headers);
	leave_curl();
	free(transfer->body);

	if (transfer->previous)
		transfer->previous->next = transfer->next;
	else
		http->active = transfer->next;
	if (transfer->next)
		transfer->next->previous = transfer->previous;

	memset(transfer, 0, sizeof(mulberry_transfer));
	transfer->easy = easy;
	transfer->next = http->unused;
	http->unused = transfer;
}

/* Appends a header; false when memory is out. */
static bool
add_header(mulberry_transfer *transfer, const char *line)
{
	struct curl_slist *list = curl_slist_append(transfer->headers, line);

	if (list == NULL)
		return false;
	transfer->headers = list;
	return true;
}

static bool
add_bearer(mulberry_transfer *transfer, const char *token)
{
	static const char prefix[] = "Authorization: Bearer ";
	size_t size = sizeof prefix + strlen(token);
	char *line = malloc(size);
	bool ok;

	if (line == NULL)
		return false;
	snprintf(line, size, "%s%s", prefix, token);
	ok = add_header(transfer, line);
	explicit_bzero(line, size);
	free(line);
	return ok;
}

static bool
add_part(mulberry_transfer *transfer, const mulberry_http_part *part)
{
	curl_mimepart *mime_part = curl_mime_addpart(transfer->mime);
	part_reader *reader;

	if (mime_part == NULL || curl_mime_name(mime_part, part->name) != CURLE_OK)
		return false;
	if (part->filename && curl_mime_filename(mime_part, part->filename) != CURLE_OK)
		return false;
	if (part->content_type && curl_mime_type(mime_part, part->content_type) != CURLE_OK)
		return false;
	if (part->filename == NULL)
		return curl_mime_data(mime_part, part->data, part->size) == CURLE_OK;

	/* A file is read from the caller's memory, not copied. */
	reader = malloc(sizeof(part_reader));
	if (reader == NULL)
		return false;
	*reader = (part_reader){ part->data, part->size, 0 };
	if (curl_mime_data_cb(mime_part, (curl_off_t) part->size, read_part, seek_part, free, reader) ==
		CURLE_OK)
		return true;
	free(reader);
	return false;
}

/*
 * Sets everything that a transfer needs; false when curl refuses something.
 * Runs inside enter_curl(), so it must not raise.
 */
static bool
set_up(mulberry_transfer *transfer, const mulberry_http_request *request)
{
	CURL *easy = transfer->easy;
	bool ok = true;

#define SET(option, value) (ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK)
	SET(CURLOPT_PRIVATE, transfer);
	SET(CURLOPT_ERRORBUFFER, transfer->error);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_URL, request->url);
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, request->allow_http ? "http,https" : "https");
#else
	SET(CURLOPT_PROTOCOLS,
		request->allow_http ? (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS) : (long) CURLPROTO_HTTPS);
#endif
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_PROXY, ""); /* nor one from the environment */
	SET(CURLOPT_USERAGENT, "mulberry/1.0");
	SET(CURLOPT_TIMEOUT_MS, (long) request->timeout_ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long) Min(request->timeout_ms, CONNECT_TIMEOUT_MS));
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SET(CURLOPT_OPENSOCKETDATA, transfer);
	SET(CURLOPT_PREREQFUNCTION, on_before_request);
	SET(CURLOPT_PREREQDATA, transfer);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, transfer);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, transfer);

	/* Waiting for "100 Continue" costs a second with servers that never send it. */
	ok = ok && add_header(transfer, "Expect:");
	if (request->bearer)
		ok = ok && add_bearer(transfer, request->bearer);
	if (request->nparts > 0)
	{
		transfer->mime = curl_mime_init(easy);
		ok = ok && transfer->mime != NULL;
		for (int i = 0; ok && i < request->nparts; i++)
			ok = add_part(transfer, &request->parts[i]);
		SET(CURLOPT_MIMEPOST, transfer->mime);
	}
	else
	{
		char line[256];

		snprintf(line, sizeof line, "Content-Type: %s", request->content_type);
		ok = ok && add_header(transfer, line);
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS, request->body);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_size);
	}
	SET(CURLOPT_HTTPHEADER, transfer->headers);
#undef SET
	return ok;
}

const char *
mulberry_http_start(mulberry_http *http, const mulberry_http_request *request)
{
	mulberry_transfer *transfer;
	bool ok;

	/* A line break in it would be a header of somebody's choice. */
	if (request->bearer && strpbrk(request->bearer, "\r\n") != NULL)
		return "the secret of the endpoint contains a line break";

	transfer = get_transfer(http);
	if (transfer == NULL)
		return "out of memory";
	transfer->owner = request->owner;
	transfer->max_response = request->max_response;
	transfer->allow_private = request->allow_private;
	enter_curl();
	ok =
		set_up(transfer, request) && curl_multi_add_handle(http->multi, transfer->easy) == CURLM_OK;
	leave_curl();
	if (!ok)
	{
		mulberry_http_release(http, transfer);
		return "libcurl does not take the request";
	}
	transfer->in_multi = true;
	http->in_flight++;
	return NULL;
}

int
mulberry_http_capacity(mulberry_http *http)
{
	return http->capacity;
}

int
mulberry_http_descriptor(mulberry_http *http)
{
	return http->epoll;
}

int
mulberry_http_in_flight(mulberry_http *http)
{
	return http->in_flight;
}

long
mulberry_http_deadline(mulberry_http *http)
{
	instr_time elapsed;
	long left;

	if (!http->has_deadline)
		return -1;
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, http->deadline_base);
	left = http->deadline_ms - (long) INSTR_TIME_GET_MILLISEC(elapsed);
	return Max(left, 0);
}

void
mulberry_http_perform(mulberry_http *http)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int running;
	int n;

	enter_curl();
	n = epoll_wait(http->epoll, events, EVENTS_AT_ONCE, 0);
	for (int i = 0; i < n; i++)
	{
		int what = 0;

		if (events[i].events & EPOLLIN)
			what |= CURL_CSELECT_IN;
		if (events[i].events & EPOLLOUT)
			what |= CURL_CSELECT_OUT;
		if (events[i].events & (EPOLLERR | EPOLLHUP))
			what |= CURL_CSELECT_ERR | CURL_CSELECT_IN;
		curl_multi_socket_action(http->multi, events[i].data.fd, what, &running);
	}
	if (http->has_deadline && mulberry_http_deadline(http) == 0)
	{
		http->has_deadline = false;
		curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	leave_curl();
}

/* What a curl error means for the one who asked. */
static mulberry_http_outcome
classify(const mulberry_transfer *transfer, CURLcode code)
{
	curl_off_t sent = 0;

	if (transfer->too_large)
		return MULBERRY_HTTP_TOO_LARGE;
	if (transfer->address_refused)
		return MULBERRY_HTTP_UNREACHABLE;
	switch (code)
	{
		case CURLE_OK:
			return MULBERRY_HTTP_ANSWERED;
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_CONNECT:
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_UNSUPPORTED_PROTOCOL:
			return MULBERRY_HTTP_UNREACHABLE;
		case CURLE_OPERATION_TIMEDOUT:
			/* while connecting, or while waiting for the answer? */
			curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
			return sent == 0 ? MULBERRY_HTTP_UNREACHABLE : MULBERRY_HTTP_BROKEN;
		default:
			return MULBERRY_HTTP_BROKEN;
	}
}

bool
mulberry_http_next(mulberry_http *http, mulberry_http_answer *answer)
{
	CURLMsg *message;
	int left;

	memset(answer, 0, sizeof *answer);
	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		mulberry_transfer *transfer = NULL;
		CURLcode code = message->data.result;
		curl_off_t value = 0;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		answer->transfer = transfer;
		answer->owner = transfer->owner;
		answer->outcome = classify(transfer, code);
		curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &value);
		answer->duration_ms = (int) (value / 1000);
		if (answer->outcome == MULBERRY_HTTP_ANSWERED)
		{
			curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &answer->status);
			value = 0;
			curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &value);
			answer->retry_after = value;
			answer->body = transfer->body;
			answer->body_size = transfer->body_size;
			strlcpy(answer->request_id, transfer->request_id, sizeof answer->request_id);
		}
		else if (transfer->too_large)
			answer->error = "the answer is larger than mulberry.max_response_size";
		else if (transfer->address_refused)
		{
			snprintf(transfer->error, sizeof transfer->error,
					 "address %s is not public and the endpoint does not allow private addresses",
					 transfer->refused_address);
			answer->error = transfer->error;
		}
		else if (transfer->out_of_memory)
			answer->error = "out of memory while reading the answer";
		else
			answer->error = transfer->error[0] ? transfer->error : curl_easy_strerror(code);
		return true;
	}
	return false;
}

void
mulberry_http_abandon(mulberry_http *http)
{
	while (http->active)
		mulberry_http_release(http, http->active);
}

void
mulberry_http_destroy(mulberry_http *http)
{
	mulberry_http_abandon(http);
	enter_curl();
	while (http->unused)
	{
		mulberry_transfer *transfer = http->unused;

		http->unused = transfer->next;
		curl_easy_cleanup(transfer->easy);
		free(transfer);
	}
	curl_multi_cleanup(http->multi);
	leave_curl();
	close(http->epoll);
	for (int i = 0; i < http->capacity + 1; i++)
		ReleaseExternalFD();
	pfree(http);
}
