/*
 * events_latency.c
 *	  Measures how long it takes from the commit of a packet until a subscriber's
 *	  socket has the message about it, with Mulberry and with its peer, a bare
 *	  INSERT that notifies in its own transaction.
 *
 * Senders are connections with a call each.  They send open loop: a packet has its time,
 * and is late when no connection is free.  One more connection listens.  A message
 * stands for all packets of its call up to its sequence.  Two latencies are kept
 * for each packet: since its acknowledgement reached the sender, and since its
 * statement was sent, which is more than since its commit.
 *
 * Runs of both go in turn; printed are the medians over the runs.
 *
 * usage: events_latency PACKETS_A_SECOND SECONDS PAIRS	(connects by PGHOST etc.)
 */
#define _GNU_SOURCE

#include <libpq-fe.h>

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SENDERS 64
#define PACKET_BYTES 320 /* 20 ms of 8 kHz s16le */
#define MAX_PAIRS 99

typedef struct sender
{
	PGconn *conn;
	bool busy;
	int sent;		  /* packets of its call, so far */
	int announced;	  /* of these, the first ones a message stood for */
	double *sent_at;  /* by sequence, seconds */
	double *acked_at; /* 0: not yet */
} sender;

typedef struct result
{
	double rate;							/* acknowledged packets a second */
	double messages;						/* a second */
	double acked_p50, acked_p99, acked_max; /* ms since the acknowledgement */
	double sent_p50, sent_p99;				/* ms since the statement was sent */
} result;

static const char *const packet_statement[] = {
	"SELECT mulberry.ingest_packet($1, $2::integer, $3::bytea, NULL, 's16le', 8000)",
	"WITH packet AS (INSERT INTO peer_packets VALUES ($1, $2::integer, clock_timestamp(), "
	"$3::bytea)"
	" ON CONFLICT DO NOTHING)"
	" SELECT pg_notify('peer', json_build_object('event', 'packet_received', 'call_id', $1::text, "
	"'sequence', $2::integer)::text)",
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void
fail(PGconn *conn, const char *what)
{
	fprintf(stderr, "%s: %s", what, PQerrorMessage(conn));
	exit(1);
}

static PGconn *
connect_database(void)
{
	PGconn *conn = PQconnectdb("");

	if (PQstatus(conn) != CONNECTION_OK)
		fail(conn, "cannot connect");
	return conn;
}

static void
execute(PGconn *conn, const char *sql)
{
	PGresult *res = PQexec(conn, sql);

	if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
		fail(conn, sql);
	PQclear(res);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
quantile(double *sorted, int count, double q)
{
	return count == 0 ? 0 : sorted[(int) (q * (count - 1))];
}

/* Number after a key of a message, -1 without one. */
static int
number_after(const char *text, const char *key)
{
	const char *found = strstr(text, key);

	return found == NULL ? -1 : atoi(found + strlen(key));
}

/* One run.  "run" makes the names of its calls its own. */
static result
measure(bool peer, int rate, int seconds, int run)
{
	sender senders[SENDERS];
	struct pollfd polls[SENDERS + 1];
	char prefix[32];
	char data[2 * PACKET_BYTES + 3] = "\\x";
	PGconn *listener = connect_database();
	int room = rate * (seconds + 60);
	double *since_ack = malloc(sizeof(double) * room);
	double *since_sent = malloc(sizeof(double) * room);
	int announced = 0;
	int acked = 0;
	int sent = 0;
	int messages = 0;
	double start;
	double end;
	double give_up;
	result r;

	memset(data + 2, '5', 2 * PACKET_BYTES);
	snprintf(prefix, sizeof(prefix), "run%d-", run);
	execute(listener, peer ? "LISTEN peer" : "SELECT mulberry.subscribe()");
	for (int i = 0; i < SENDERS; i++)
	{
		sender *s = &senders[i];
		PGresult *res;

		memset(s, 0, sizeof(*s));
		s->conn = connect_database();
		s->sent_at = calloc(room, sizeof(double));
		s->acked_at = calloc(room, sizeof(double));
		res = PQprepare(s->conn, "packet", packet_statement[peer], 0, NULL);
		if (PQresultStatus(res) != PGRES_COMMAND_OK)
			fail(s->conn, "cannot prepare");
		PQclear(res);
	}

	start = now();
	end = start + seconds;
	give_up = end + 20;
	while (now() < give_up && (now() < end || announced < sent))
	{
		double t = now();
		double next = start + (double) sent / rate;
		int wait_ms = 20;

		/* whatever is due goes to whoever is free */
		for (int i = 0; i < SENDERS && t < end && next <= t; i++)
		{
			sender *s = &senders[(sent + i) % SENDERS];
			char call[64];
			char sequence[16];
			const char *values[3] = { call, sequence, data };

			if (s->busy)
				continue;
			snprintf(call, sizeof(call), "%s%d", prefix, (int) (s - senders));
			snprintf(sequence, sizeof(sequence), "%d", s->sent);
			s->sent_at[s->sent++] = now();
			if (!PQsendQueryPrepared(s->conn, "packet", 3, values, NULL, NULL, 0))
				fail(s->conn, "cannot send");
			s->busy = true;
			sent++;
			next = start + (double) sent / rate;
		}
		if (t < end)
		{
			double until = (next - now()) * 1000;

			wait_ms = until < 0 ? 1 : (int) until + (until > (int) until);
		}

		for (int i = 0; i < SENDERS; i++)
		{
			polls[i].fd = PQsocket(senders[i].conn);
			polls[i].events = senders[i].busy ? POLLIN : 0;
		}
		polls[SENDERS].fd = PQsocket(listener);
		polls[SENDERS].events = POLLIN;
		if (poll(polls, SENDERS + 1, wait_ms) <= 0)
			continue;
		t = now();

		for (int i = 0; i < SENDERS; i++)
		{
			sender *s = &senders[i];
			PGresult *res;

			if (!s->busy || !(polls[i].revents & POLLIN))
				continue;
			if (!PQconsumeInput(s->conn))
				fail(s->conn, "cannot read");
			while (!PQisBusy(s->conn))
			{
				res = PQgetResult(s->conn);
				if (res == NULL)
				{
					s->busy = false;
					break;
				}
				if (PQresultStatus(res) != PGRES_TUPLES_OK)
					fail(s->conn, "packet refused");
				PQclear(res);
				s->acked_at[s->sent - 1] = t;
				acked++;
			}
		}
		if (polls[SENDERS].revents & POLLIN)
		{
			PGnotify *notify;

			if (!PQconsumeInput(listener))
				fail(listener, "cannot read");
			while ((notify = PQnotifies(listener)) != NULL)
			{
				const char *call = strstr(notify->extra, prefix);
				int sequence = number_after(notify->extra, "\"sequence\": ");

				if (sequence < 0)
					sequence = number_after(notify->extra, "\"sequence\" : ");
				if (call != NULL && sequence >= 0)
				{
					sender *s = &senders[atoi(call + strlen(prefix))];

					messages++;
					for (; s->announced <= sequence; s->announced++)
					{
						double ack = s->acked_at[s->announced];

						/* the message may overtake the acknowledgement */
						since_ack[announced] = ack > 0 ? (t - ack) * 1000 : 0;
						since_sent[announced] = (t - s->sent_at[s->announced]) * 1000;
						announced++;
					}
				}
				PQfreemem(notify);
			}
		}
	}

	if (announced < sent)
		fprintf(stderr, "%d of %d packets were never announced\n", sent - announced, sent);
	qsort(since_ack, announced, sizeof(double), compare);
	qsort(since_sent, announced, sizeof(double), compare);
	r.rate = acked / (double) seconds;
	r.messages = messages / (double) seconds;
	r.acked_p50 = quantile(since_ack, announced, 0.5);
	r.acked_p99 = quantile(since_ack, announced, 0.99);
	r.acked_max = quantile(since_ack, announced, 1);
	r.sent_p50 = quantile(since_sent, announced, 0.5);
	r.sent_p99 = quantile(since_sent, announced, 0.99);
	for (int i = 0; i < SENDERS; i++)
	{
		PQfinish(senders[i].conn);
		free(senders[i].sent_at);
		free(senders[i].acked_at);
	}
	PQfinish(listener);
	free(since_ack);
	free(since_sent);
	return r;
}

/* Median over the runs of the field at this offset. */
static double
median(const result *results, int count, size_t offset)
{
	double values[MAX_PAIRS];

	for (int i = 0; i < count; i++)
		values[i] = *(const double *) ((const char *) &results[i] + offset);
	qsort(values, count, sizeof(double), compare);
	return values[count / 2];
}

int
main(int argc, char **argv)
{
	static const char *const names[] = { "Mulberry", "INSERT and NOTIFY" };
	static result results[2][MAX_PAIRS];
	int rate = argc > 1 ? atoi(argv[1]) : 0;
	int seconds = argc > 2 ? atoi(argv[2]) : 0;
	int pairs = argc > 3 ? atoi(argv[3]) : 0;
	PGconn *conn;

	if (rate < 1 || seconds < 1 || pairs < 1 || pairs > MAX_PAIRS)
	{
		fprintf(stderr, "usage: %s PACKETS_A_SECOND SECONDS PAIRS\n", argv[0]);
		return 2;
	}
	conn = connect_database();
	execute(conn, "CREATE TABLE IF NOT EXISTS peer_packets"
				  " (call text, sequence integer, received_at timestamptz, data bytea, PRIMARY KEY "
				  "(call, sequence))");
	PQfinish(conn);

	measure(false, rate, 1, 0); /* makes the partition, warms up */
	for (int pair = 0; pair < pairs; pair++)
	{
		for (int peer = 0; peer < 2; peer++)
			results[peer][pair] = measure(peer, rate, seconds, 1 + 2 * pair + peer);
	}

	printf("%d packets/s asked for, %d senders, medians of %d runs of %d s\n", rate, SENDERS, pairs,
		   seconds);
	printf("%-20s %10s %10s | %26s | %17s\n", "", "packets/s", "messages/s",
		   "ms since acknowledged", "ms since sent");
	printf("%-20s %10s %10s | %8s %8s %8s | %8s %8s\n", "", "", "", "p50", "p99", "max", "p50",
		   "p99");
	for (int peer = 0; peer < 2; peer++)
	{
#define MEDIAN(field) median(results[peer], pairs, offsetof(result, field))
		printf("%-20s %10.0f %10.0f | %8.1f %8.1f %8.1f | %8.1f %8.1f\n", names[peer], MEDIAN(rate),
			   MEDIAN(messages), MEDIAN(acked_p50), MEDIAN(acked_p99), MEDIAN(acked_max),
			   MEDIAN(sent_p50), MEDIAN(sent_p99));
	}
	return 0;
}
