/*
 * test_http_parts.c
 *	  Parts of http/ that need no connection: the queue of what is to be sent, how many connections an
 *	  address has, routes.
 */
#include <sys/uio.h>

#include "check.h"
#include "../../http/addresses.c"
#include "../../http/queue.c"
#include "../../http/route.c"

/* Only named by what is tested here. */
int64_t
http_clock(void)
{
	return 1;
}

/* Everything in the queue, as text. */
static const char *
contents(const http_queue *queue)
{
	static char text[10000];
	struct iovec pieces[100];
	size_t n = 0;
	int count = http_queue_look(queue, pieces, 100);

	for (int i = 0; i < count; i++)
	{
		memcpy(text + n, pieces[i].iov_base, pieces[i].iov_len);
		n += pieces[i].iov_len;
	}
	text[n] = '\0';
	check_int(n, queue->bytes);
	return text;
}

static void
queues_keep_the_order(void)
{
	http_queue queue = { 0 };
	http_blob *shared = http_blob_new("shared,", 7);

	check(http_queue_add(&queue, "a,", 2));
	check(http_queue_add(&queue, "b,", 2));
	check_int(queue.n, 1);
	check(http_queue_share(&queue, shared));
	/* nobody writes behind what others use, too */
	check(http_queue_add(&queue, "c,", 2));
	check(http_queue_share(&queue, shared));
	check_string(contents(&queue), "a,b,shared,c,shared,");
	http_queue_sent(&queue, 3);
	check_string(contents(&queue), ",shared,c,shared,");
	http_queue_sent(&queue, 1);
	check_string(contents(&queue), "shared,c,shared,");
	http_queue_sent(&queue, 10);
	check_string(contents(&queue), "hared,");
	check(http_queue_add(&queue, "d", 1));
	http_queue_sent(&queue, 7);
	check_string(contents(&queue), "");
	check_string(http_blob_text(shared).data != NULL ? "kept" : "", "kept");
	http_blob_release(shared);
	http_queue_free(&queue);
}

/* Random additions and departures against a plain text. */
static void
queues_lose_nothing(void)
{
	static char model[400000];
	size_t begin = 0;
	size_t end = 0;
	http_queue queue = { 0 };
	check_random random = { 9 };

	for (int i = 0; i < 3000; i++)
	{
		size_t n = check_random_below(&random, 120);

		for (size_t j = 0; j < n; j++)
			model[end + j] = (char) ('a' + check_random_below(&random, 26));
		if (check_random_below(&random, 3) == 0)
		{
			http_blob *blob = http_blob_new(model + end, n);

			check(http_queue_share(&queue, blob));
			http_blob_release(blob);
		}
		else
			check(http_queue_add(&queue, model + end, n));
		end += n;
		while (queue.bytes > 4000 || (queue.bytes > 0 && check_random_below(&random, 3) == 0))
		{
			struct iovec pieces[3];
			int count = http_queue_look(&queue, pieces, 3);
			size_t part = 1 + check_random_below(&random, queue.bytes);
			size_t at = begin;

			for (int k = 0; k < count; k++)
			{
				check_bytes(pieces[k].iov_base, model + at, pieces[k].iov_len);
				at += pieces[k].iov_len;
			}
			http_queue_sent(&queue, part);
			begin += part;
		}
		check_int(queue.bytes, end - begin);
	}
	http_queue_free(&queue);
}

static void
queues_are_dropped_between_pieces(void)
{
	http_queue queue = { 0 };

	for (int i = 0; i < 5; i++)
	{
		http_blob *blob = http_blob_new("frame;", 6);

		check(http_queue_share(&queue, blob));
		http_blob_release(blob);
	}
	http_queue_sent(&queue, 8);
	http_queue_drop(&queue, 0);
	check_string(contents(&queue), "ame;");
	http_queue_drop(&queue, 0);
	check_string(contents(&queue), "ame;");
	http_queue_sent(&queue, 4);
	check(http_queue_add(&queue, "whole", 5));
	http_queue_drop(&queue, 1);
	check_string(contents(&queue), "whole");
	http_queue_drop(&queue, 0);
	check_string(contents(&queue), "");
	check_int(queue.bytes, 0);
}

static void
addresses_are_counted(void)
{
	http_addresses *addresses = http_addresses_new();
	unsigned char address[16] = { 0 };
	unsigned char neighbour[16] = { 0 };

	REQUIRE(addresses != NULL);
	memset(address + 10, 0xff, 2);
	memcpy(neighbour, address, 16);
	neighbour[15] = 1;
	check(http_addresses_add(addresses, address, 2));
	check(http_addresses_add(addresses, address, 2));
	check(!http_addresses_add(addresses, address, 2));
	check(http_addresses_add(addresses, neighbour, 2));
	http_addresses_remove(addresses, address);
	check(http_addresses_add(addresses, address, 2));

	/* of IPv6 a network of 64 bits is one */
	memset(address, 0x20, 16);
	memcpy(neighbour, address, 16);
	neighbour[15] = 1;
	check(http_addresses_add(addresses, address, 1));
	check(!http_addresses_add(addresses, neighbour, 1));
	neighbour[7] = 1;
	check(http_addresses_add(addresses, neighbour, 1));

	for (int i = 0; i < 5000; i++)
	{
		memcpy(address, &i, sizeof(i));
		check(http_addresses_add(addresses, address, 1));
	}
	for (int i = 0; i < 5000; i++)
	{
		memcpy(address, &i, sizeof(i));
		check(!http_addresses_add(addresses, address, 1));
		http_addresses_remove(addresses, address);
	}
	check_int(addresses->n_entries, 4);
	http_addresses_free(addresses);
}

static http_text
text_of(const char *text)
{
	return (http_text){ text, strlen(text) };
}

static void
routes_are_found(void)
{
	static const http_route routes[] = {
		{ "GET", "/", NULL },
		{ "POST", "/v1/call/{id}", NULL },
		{ "GET", "/v1/call/{id}/audio.wav", NULL },
		{ "GET", "/v1/call/{id}", NULL },
		{ "GET", "/v1/call/search", NULL },
		{ "PUT", "/a/{b}/{c}", NULL },
	};
	static const struct
	{
		const char *method;
		const char *path;
		http_route_outcome outcome;
		int route;
		const char *text; /* the parameters, or what is allowed */
	} cases[] = {
		{ "GET", "/", HTTP_ROUTE_FOUND, 0, "" },
		{ "HEAD", "/", HTTP_ROUTE_FOUND, 0, "" },
		{ "POST", "/", HTTP_ROUTE_OTHER_METHOD, 0, "GET, HEAD, OPTIONS" },
		{ "POST", "/v1/call/x%2Fy", HTTP_ROUTE_FOUND, 1, "x%2Fy;" },
		{ "GET", "/v1/call/search", HTTP_ROUTE_FOUND, 3, "search;" },
		{ "OPTIONS", "/v1/call/x", HTTP_ROUTE_OTHER_METHOD, 0, "POST, GET, HEAD, OPTIONS" },
		{ "get", "/", HTTP_ROUTE_OTHER_METHOD, 0, "GET, HEAD, OPTIONS" },
		{ "GET", "/v1/call/x/audio.wav", HTTP_ROUTE_FOUND, 2, "x;" },
		{ "GET", "/v1/call/x/", HTTP_ROUTE_NO_PATH, 0, "" },
		{ "GET", "/v1/call/", HTTP_ROUTE_NO_PATH, 0, "" },
		{ "GET", "/v1/call", HTTP_ROUTE_NO_PATH, 0, "" },
		{ "GET", "/V1/call/x", HTTP_ROUTE_NO_PATH, 0, "" },
		{ "GET", "//", HTTP_ROUTE_NO_PATH, 0, "" },
		{ "PUT", "/a/1/../", HTTP_ROUTE_NO_PATH, 0, "" },
		{ "PUT", "/a/1/..", HTTP_ROUTE_FOUND, 5, "1;..;" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		http_match match;
		char parameters[200] = "";

		check_int(
			http_route_find(routes, 6, text_of(cases[i].method), text_of(cases[i].path), &match),
			cases[i].outcome);
		if (cases[i].outcome != HTTP_ROUTE_FOUND)
		{
			check_string(match.allow, cases[i].text);
			check(match.route == NULL);
			continue;
		}
		check_int(match.route - routes, cases[i].route);
		for (int j = 0; j < match.n_parameters; j++)
			snprintf(parameters + strlen(parameters), sizeof(parameters) - strlen(parameters),
					 "%.*s;", (int) match.parameters[j].length, match.parameters[j].data);
		check_string(parameters, cases[i].text);
	}
}

int
main(void)
{
	check_run("a queue keeps the order of what is copied and what is shared",
			  queues_keep_the_order);
	check_run("a queue loses nothing", queues_lose_nothing);
	check_run("a queue is dropped between its pieces", queues_are_dropped_between_pieces);
	check_run("connections of addresses are counted", addresses_are_counted);
	check_run("routes are found by method and raw path", routes_are_found);
	return check_done();
}
