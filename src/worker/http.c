/*
 * http.c
 *	  Outgoing HTTP of a worker on one curl multi handle; see http.h.  A single
 *	  transfer, and what it may do, is in transfer.c.
 */
#include "server/compat.h"

#include <curl/curl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "portability/instr_time.h"
#include "storage/fd.h"

#include "worker/http.h"
#include "worker/transfer.h"

#define EVENTS_AT_ONCE 64

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

/* Callbacks: they run inside curl, with signals blocked, and never raise. */

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
	mulberry_transfer_clear(transfer);
	leave_curl();

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

const char *
mulberry_http_start(mulberry_http *http, const mulberry_http_request *request)
{
	mulberry_transfer *transfer;
	bool ok;

	/* A line break in it would be a header of somebody's choice. */
	if (request->secret && strpbrk(request->secret, "\r\n") != NULL)
		return "the secret of the endpoint contains a line break";

	transfer = get_transfer(http);
	if (transfer == NULL)
		return "out of memory";
	enter_curl();
	ok = mulberry_transfer_set_up(transfer, request);
	ok = ok && curl_multi_add_handle(http->multi, transfer->easy) == CURLM_OK;
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

bool
mulberry_http_next(mulberry_http *http, mulberry_http_answer *answer)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		mulberry_transfer *transfer = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		mulberry_transfer_answer(transfer, message->data.result, answer);
		return true;
	}
	return false;
}

void
mulberry_http_abandon(mulberry_http *http)
{
	/* release takes it off the list */
	while (http->active)
		mulberry_http_release(http, http->active); /* NOLINT(clang-analyzer-unix.Malloc) */
}

void
mulberry_http_destroy(mulberry_http *http)
{
	mulberry_http_abandon(http);
	enter_curl();
	while (http->unused)
	{
		mulberry_transfer *transfer = http->unused;

		http->unused = transfer->next; /* NOLINT(clang-analyzer-unix.Malloc): a list has no cycle */
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
