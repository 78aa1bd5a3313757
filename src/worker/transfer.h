/*
 * transfer.h
 *	  One HTTP transfer on a curl easy handle, for http.c alone: what it sends, what
 *	  it may do, and what came of it.
 */
#ifndef MULBERRY_WORKER_TRANSFER_H
#define MULBERRY_WORKER_TRANSFER_H

#include "postgres.h"

#include <curl/curl.h>

#include "worker/http.h"

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
	int64 reset_delay; /* s until the quota begins anew, as a header says; 0: none does */
	char *secret;	   /* which was sent and is blotted out of the answer; NULL: none */
	bool bytes;		   /* a successful answer is no text */
	char error[CURL_ERROR_SIZE];
	mulberry_transfer *next; /* in the list of all, or of unused ones */
	mulberry_transfer *previous;
	bool in_multi;
};

/*
 * Sets everything that the transfer needs; false when curl or malloc refuses
 * something.  Runs with signals blocked, so it does not raise.
 */
extern bool
mulberry_transfer_set_up(mulberry_transfer *transfer, const mulberry_http_request *request);

/* Frees what the request needed, and overwrites its secret; the handle is kept. */
extern void mulberry_transfer_clear(mulberry_transfer *transfer);

/* What became of it.  The answer points into the transfer. */
extern void
mulberry_transfer_answer(mulberry_transfer *transfer, CURLcode code, mulberry_http_answer *answer);

#endif /* MULBERRY_WORKER_TRANSFER_H */
