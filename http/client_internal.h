/*
 * client_internal.h
 *	  What the files of the client share.
 */
#ifndef HTTP_CLIENT_INTERNAL_H
#define HTTP_CLIENT_INTERNAL_H

#include <curl/curl.h>

#include "client.h"

struct http_client
{
	http_loop *loop;
	CURLM *multi;
	http_timer timer;
	struct http_transfer *transfers;
	struct http_line *lines;
	bool calling; /* libcurl is: nothing may be taken from it */
};

/* What a handle of libcurl belongs to; first in those who have one. */
typedef struct http_handle
{
	http_client *client;
	CURL *easy;
	struct curl_slist *headers;
	http_reach reach;
	bool refused; /* its address */
	char error[CURL_ERROR_SIZE];

	/* libcurl has no more to do. */
	void (*over)(struct http_handle *handle, CURLcode result);
} http_handle;

/* Whether a header is one line and no more. */
extern bool http_is_header_line(const char *line);

/* A handle with all that every one of ours has; false without memory.  Is to be begun then. */
extern bool http_handle_init(http_handle *handle, http_client *client, const char *url,
							 const char *const *headers, const http_reach *reach);
extern bool http_handle_begin(http_handle *handle);

/* Not from within a function that libcurl calls. */
extern void http_handle_end(http_handle *handle);

/* Why it failed, in words without an address that nobody asked for. */
extern const char *http_handle_problem(const http_handle *handle, CURLcode result);

/* client_socket.c */
extern void http_line_drop(http_line *line);

#endif /* HTTP_CLIENT_INTERNAL_H */
