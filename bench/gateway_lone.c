/*
 * gateway_lone.c
 *	  One packet on an idle connection: through the gateway, and by the SQL call itself, in turn.
 *
 * usage: gateway_lone PORT PACKETS [TOKEN]	with the database as libpq's environment has it
 * Prints the medians of both and of their difference within a pair, in microseconds.
 */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void
die(const char *what)
{
	fprintf(stderr, "gateway_lone: %s\n", what);
	exit(1);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

static int
ascending(const void *a, const void *b)
{
	double difference = *(const double *) a - *(const double *) b;

	return difference < 0 ? -1 : difference > 0;
}

/* Of n, at this share of them. */
static double
quantile(double *values, int n, double share)
{
	qsort(values, (size_t) n, sizeof(*values), ascending);
	return values[(int) ((n - 1) * share)];
}

int
main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int n = argc > 2 ? atoi(argv[2]) : 0;
	double *http = calloc((size_t) n + 1, sizeof(double));
	double *sql = calloc((size_t) n + 1, sizeof(double));
	double *more = calloc((size_t) n + 1, sizeof(double));
	PGconn *pg = PQconnectdb("");
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int on = 1;
	char data[352];

	if (n < 1 || http == NULL || sql == NULL || more == NULL)
		die("usage: gateway_lone PORT PACKETS [TOKEN]");
	memset(data, 'x', sizeof(data) - 1);
	data[sizeof(data) - 1] = '\0';
	address.sin_port = htons((unsigned short) atoi(argv[1]));
	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	if (connect(fd, (struct sockaddr *) &address, sizeof(address)) != 0)
		die("cannot connect to the gateway");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	PQclear(PQprepare(pg, "ingest",
					  "SELECT * FROM mulberry.ingest_packet($1, $2::bigint, convert_to($3, "
					  "'UTF8'), to_timestamp(1234567890.5), 'text')",
					  0, NULL));
	for (int i = 0; i < n; i++)
	{
		for (int turn = 0; turn < 2; turn++)
		{
			double begin = now();

			if (turn == i % 2)
			{
				char request[1200];
				char answer[4096];
				char body[500];
				int length = snprintf(
					body, sizeof(body),
					"{\"sequence\":%d,\"timestamp\":1234567890.5,\"data\":\"%s\"}", i, data);
				int size =
					snprintf(request, sizeof(request),
							 "POST /v1/call/stream/lone-http-%d HTTP/1.1\r\nHost: bench\r\n%s%s%s"
							 "Content-Length: %d\r\n\r\n%s",
							 (int) getpid(), argc > 3 ? "Authorization: Bearer " : "",
							 argc > 3 ? argv[3] : "", argc > 3 ? "\r\n" : "", length, body);
				ssize_t got;

				if (send(fd, request, (size_t) size, 0) != size)
					die("cannot send");
				got = recv(fd, answer, sizeof(answer) - 1, 0);
				if (got <= 0 || memcmp(answer, "HTTP/1.1 202", 12) != 0)
					die("the gateway did not accept a packet");
				http[i] = now() - begin;
			}
			else
			{
				char call_id[40];
				char sequence[12];
				const char *values[] = { call_id, sequence, data };
				PGresult *result;

				snprintf(call_id, sizeof(call_id), "lone-sql-%d", (int) getpid());
				snprintf(sequence, sizeof(sequence), "%d", i);
				result = PQexecPrepared(pg, "ingest", 3, values, NULL, NULL, 0);
				if (PQresultStatus(result) != PGRES_TUPLES_OK)
					die(PQerrorMessage(pg));
				PQclear(result);
				sql[i] = now() - begin;
			}
		}
		more[i] = http[i] - sql[i];
	}
	printf("lone %.0f %.0f %.0f %.0f %.0f\n", quantile(http, n, 0.5), quantile(sql, n, 0.5),
		   quantile(more, n, 0.5), quantile(http, n, 0.95), quantile(sql, n, 0.95));
	return 0;
}
