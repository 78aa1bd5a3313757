/*
 * client.c
 *	  libcurl on the loop, and requests with it; see client.h.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "client_internal.h"
#include "core/web/address.h"

#define CONNECT_MS 2000
#define FIRST_MS 5000
#define IDLE_MS 10000
#define WHOLE_MS 60000
#define MAX_ANSWER (64 * 1024 * 1024)
#define KEPT_CONNECTIONS 64
#define BUFFER 8192L		 /* of an answer that comes, each request its own */
#define UPLOAD_BUFFER 16384L /* the least */

struct http_transfer
{
	http_handle handle;
	http_ask ask;		 /* its texts are gone */
	http_timer patience; /* for the next of the answer */
	http_task task;
	size_t received;
	bool cancelled;
	bool too_long;
	bool late;
	CURLcode result;
	http_transfer *next;
};

/* ---------------------------------------------------------------------------
 * Sockets and time
 * ---------------------------------------------------------------------------
 */

/* Hands out what has come to its end.  Functions that are told may begin and end others. */
static void
tell_ends(http_client *client)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left)) != NULL)
	{
		http_handle *handle = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &handle);
		handle->over(handle, message->data.result);
	}
}

static void
act(http_client *client, curl_socket_t fd, int what)
{
	int running;

	client->calling = true;
	(void) curl_multi_socket_action(client->multi, fd, what, &running);
	client->calling = false;
	tell_ends(client);
}

typedef struct watched
{
	http_watch watch;
	http_client *client;
} watched;

static void
is_ready(void *arg, uint32_t events)
{
	const watched *w = arg;

	act(w->client, w->watch.fd,
		((events & (EPOLLIN | EPOLLHUP)) != 0 ? CURL_CSELECT_IN : 0) |
			((events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
			((events & EPOLLERR) != 0 ? CURL_CSELECT_ERR : 0));
}

static void
time_has_come(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl wants to know of a socket, or no longer. */
static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	http_client *client = arg;
	watched *w = of_socket;
	uint32_t events = ((what & CURL_POLL_IN) != 0 ? (uint32_t) EPOLLIN : 0) |
					  ((what & CURL_POLL_OUT) != 0 ? (uint32_t) EPOLLOUT : 0);

	(void) easy;
	if (what == CURL_POLL_REMOVE)
	{
		if (w != NULL)
		{
			http_loop_remove(&w->watch);
			curl_multi_assign(client->multi, fd, NULL);
			free(w);
		}
		return 0;
	}
	if (w != NULL)
		return http_loop_change(&w->watch, events) ? 0 : -1;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -1;
	w->client = client;
	w->watch = (http_watch){ .fd = fd, .ready = is_ready, .arg = w };
	if (!http_loop_add(client->loop, &w->watch, events))
	{
		free(w);
		return -1;
	}
	curl_multi_assign(client->multi, fd, w);
	return 0;
}

static int
on_time(CURLM *multi, long ms, void *arg)
{
	http_client *client = arg;

	(void) multi;
	if (ms < 0)
		http_loop_clear_timer(client->loop, &client->timer);
	else
		http_loop_set_timer(client->loop, &client->timer, http_clock() + ms * HTTP_MILLISECOND);
	return 0;
}

/* ---------------------------------------------------------------------------
 * A handle
 * ---------------------------------------------------------------------------
 */

/* Opens a socket, unless the name resolved to an address that is not allowed. */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	http_handle *handle = arg;
	bool is_public = false;

	(void) purpose;
	if (address->family == AF_INET)
		is_public =
			mb_ipv4_is_public((const void *) &((struct sockaddr_in *) &address->addr)->sin_addr);
	else if (address->family == AF_INET6)
		is_public =
			mb_ipv6_is_public((const void *) &((struct sockaddr_in6 *) &address->addr)->sin6_addr);
	if (!is_public && !handle->reach.allow_private)
	{
		handle->refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Once more before a request is sent: its connection may have been opened for one that is allowed more. */
static int
on_before_request(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	http_handle *handle = arg;

	(void) local;
	(void) peer_port;
	(void) local_port;
	if (handle->reach.allow_private || !mb_address_is_literal_private(peer))
		return CURL_PREREQFUNC_OK;
	handle->refused = true;
	return CURL_PREREQFUNC_ABORT;
}

/* A line end in a key would begin another header. */
bool
http_is_header_line(const char *line)
{
	for (; *line != '\0'; line++)
	{
		if ((unsigned char) *line < ' ' || *line == 0x7F)
			return false;
	}
	return true;
}

bool
http_handle_init(http_handle *handle, http_client *client, const char *url,
				 const char *const *headers, const http_reach *reach)
{
	bool ok = true;

	handle->client = client;
	handle->reach = *reach;
	handle->reach.connect_ms = reach->connect_ms > 0 ? reach->connect_ms : CONNECT_MS;
	handle->reach.first_ms = reach->first_ms > 0 ? reach->first_ms : FIRST_MS;
	handle->reach.idle_ms = reach->idle_ms > 0 ? reach->idle_ms : IDLE_MS;
	handle->reach.whole_ms = reach->whole_ms > 0 ? reach->whole_ms : WHOLE_MS;
	handle->easy = curl_easy_init();
	if (handle->easy == NULL)
		return false;
	for (; headers != NULL && *headers != NULL && ok; headers++)
	{
		struct curl_slist *list = NULL;

		if (http_is_header_line(*headers))
			list = curl_slist_append(handle->headers, *headers);
		ok = list != NULL;
		if (ok)
			handle->headers = list;
	}
#define SET(option, value) (ok = ok && curl_easy_setopt(handle->easy, option, value) == CURLE_OK)
	SET(CURLOPT_PRIVATE, handle);
	SET(CURLOPT_ERRORBUFFER, handle->error);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, reach->allow_http ? "http,https" : "https");
#else
	SET(CURLOPT_PROTOCOLS,
		reach->allow_http ? (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS) : (long) CURLPROTO_HTTPS);
#endif
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_USERAGENT, "mulberry/1.0");
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long) handle->reach.connect_ms);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SET(CURLOPT_OPENSOCKETDATA, handle);
	SET(CURLOPT_PREREQFUNCTION, on_before_request);
	SET(CURLOPT_PREREQDATA, handle);
	SET(CURLOPT_HTTPHEADER, handle->headers);
#undef SET
	return ok;
}

bool
http_handle_begin(http_handle *handle)
{
	return curl_multi_add_handle(handle->client->multi, handle->easy) == CURLM_OK;
}

void
http_handle_end(http_handle *handle)
{
	if (handle->easy != NULL)
	{
		(void) curl_multi_remove_handle(handle->client->multi, handle->easy);
		curl_easy_cleanup(handle->easy);
		handle->easy = NULL;
	}
	/* one of them is a key */
	for (struct curl_slist *h = handle->headers; h != NULL; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(handle->headers);
	handle->headers = NULL;
}

const char *
http_handle_problem(const http_handle *handle, CURLcode result)
{
	if (handle->refused)
		return "its address is not public, which the endpoint does not allow";
	switch (result)
	{
		case CURLE_UNSUPPORTED_PROTOCOL:
			return "HTTP without TLS, which the endpoint does not allow";
		case CURLE_COULDNT_RESOLVE_HOST:
			return "its name has no address";
		case CURLE_COULDNT_CONNECT:
			return "nobody listens there";
		case CURLE_OPERATION_TIMEDOUT:
			return "it took too long";
		case CURLE_PEER_FAILED_VERIFICATION:
			return "its certificate is not valid";
		case CURLE_GOT_NOTHING:
		case CURLE_RECV_ERROR:
		case CURLE_SEND_ERROR:
		case CURLE_PARTIAL_FILE:
			return "the connection was lost";
		default:
			return curl_easy_strerror(result);
	}
}

/* ---------------------------------------------------------------------------
 * Requests
 * ---------------------------------------------------------------------------
 */

static void
free_transfer(http_transfer *transfer)
{
	http_client *client = transfer->handle.client;
	http_transfer **place = &client->transfers;

	while (*place != NULL && *place != transfer)
		place = &(*place)->next;
	if (*place != NULL)
		*place = transfer->next;
	http_loop_clear_timer(client->loop, &transfer->patience);
	http_loop_cancel(client->loop, &transfer->task);
	http_handle_end(&transfer->handle);
	free(transfer);
}

/* Outside of libcurl, and of the function that gave it up. */
static void
clean_up(void *arg)
{
	free_transfer(arg);
}

static int
status_of(const http_transfer *transfer)
{
	long status = 0;

	(void) curl_easy_getinfo(transfer->handle.easy, CURLINFO_RESPONSE_CODE, &status);
	return (int) status;
}

static size_t
on_body(char *bytes, size_t one, size_t n, void *arg)
{
	http_transfer *transfer = arg;

	n *= one;
	if (transfer->cancelled)
		return 0;
	transfer->received += n;
	if (transfer->received > transfer->ask.max_answer)
	{
		transfer->too_long = true;
		return 0;
	}
	(void) http_loop_set_timer(transfer->handle.client->loop, &transfer->patience,
							   http_clock() + transfer->handle.reach.idle_ms * HTTP_MILLISECOND);
	if (transfer->ask.piece != NULL)
		transfer->ask.piece(transfer->ask.arg, status_of(transfer), bytes, n);
	return transfer->cancelled ? 0 : n;
}

static void
finish(http_transfer *transfer, const char *why)
{
	void (*done)(void *, int, const char *) = transfer->ask.done;
	void *arg = transfer->ask.arg;
	int status = status_of(transfer);

	free_transfer(transfer);
	done(arg, status, why);
}

static void
is_over(http_handle *handle, CURLcode result)
{
	http_transfer *transfer = (http_transfer *) handle;

	if (transfer->cancelled)
		return; /* its task follows */
	finish(transfer, transfer->too_long	  ? "its answer is too long"
					 : result == CURLE_OK ? NULL
										  : http_handle_problem(handle, result));
}

static void
nothing_came(void *arg)
{
	finish(arg, "it took too long");
}

http_transfer *
http_client_ask(http_client *client, const http_ask *ask)
{
	http_transfer *transfer = calloc(1, sizeof(*transfer));
	bool ok;

	if (transfer == NULL)
		return NULL;
	transfer->ask = *ask;
	transfer->ask.max_answer = ask->max_answer > 0 ? ask->max_answer : MAX_ANSWER;
	transfer->handle.over = is_over;
	ok = http_handle_init(&transfer->handle, client, ask->url, ask->headers, &ask->reach);
#define SET(option, value)                                                                         \
	(ok = ok && curl_easy_setopt(transfer->handle.easy, option, value) == CURLE_OK)
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, transfer);
	SET(CURLOPT_BUFFERSIZE, BUFFER);
	SET(CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
	SET(CURLOPT_TIMEOUT_MS, (long) transfer->handle.reach.whole_ms);
	if (ask->body != NULL)
	{
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) ask->length);
		SET(CURLOPT_COPYPOSTFIELDS, (const char *) ask->body);
	}
#undef SET
	transfer->ask.url = NULL;
	transfer->ask.headers = NULL;
	transfer->ask.body = NULL;
	transfer->task = (http_task){ .run = clean_up, .arg = transfer };
	transfer->patience = (http_timer){ .due = nothing_came, .arg = transfer };
	transfer->next = client->transfers;
	client->transfers = transfer;
	if (!ok || !http_handle_begin(&transfer->handle) ||
		!http_loop_set_timer(client->loop, &transfer->patience,
							 http_clock() + transfer->handle.reach.first_ms * HTTP_MILLISECOND))
	{
		free_transfer(transfer);
		return NULL;
	}
	return transfer;
}

void
http_transfer_cancel(http_transfer *transfer)
{
	http_client *client = transfer->handle.client;

	if (!client->calling)
	{
		free_transfer(transfer);
		return;
	}
	transfer->cancelled = true;
	http_loop_clear_timer(client->loop, &transfer->patience);
	http_loop_defer(client->loop, &transfer->task);
}

/* ---------------------------------------------------------------------------
 * The client
 * ---------------------------------------------------------------------------
 */

http_client *
http_client_new(http_loop *loop)
{
	http_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->loop = loop;
	client->timer = (http_timer){ .due = time_has_come, .arg = client };
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		client->multi = curl_multi_init();
	if (client->multi == NULL)
	{
		free(client);
		return NULL;
	}
	(void) curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void) curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	(void) curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_time);
	(void) curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	(void) curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long) KEPT_CONNECTIONS);
	return client;
}

http_loop *
http_client_loop(const http_client *client)
{
	return client->loop;
}

void
http_client_free(http_client *client)
{
	while (client->transfers != NULL)
		free_transfer(client->transfers); /* NOLINT(clang-analyzer-unix.Malloc): it is taken out */
	while (client->lines != NULL)
		http_line_drop(client->lines);
	curl_multi_cleanup(client->multi);
	http_loop_clear_timer(client->loop, &client->timer);
	free(client);
}
