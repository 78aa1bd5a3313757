/*
 * server.c
 *	  A session with PostgreSQL; see server.h.
 */
#include "server.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OLDEST 150000	   /* of the servers that the extension runs on, as libpq numbers them */
#define CONNECT_TIME 15000 /* milliseconds */
#define SLICE 50		   /* after which it is asked whether somebody still waits */

edge_exit
edge_server_say(edge_server *server, edge_exit status, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(server->problem, sizeof(server->problem), format, list);
	va_end(list);
	return status;
}

/* libpq ends its messages with a line feed, and may have several lines. */
static int
first_line(const char *message)
{
	return (int) strcspn(message, "\n");
}

edge_exit
edge_exit_of_state(const char *state)
{
	static const struct
	{
		const char *state; /* or the beginning of many */
		edge_exit status;
	} known[] = {
		{ "28", EDGE_EXIT_CREDENTIALS }, /* unknown role, wrong password, no line of pg_hba.conf */
		{ "42501", EDGE_EXIT_CREDENTIALS }, /* no access */
		{ "3D000", EDGE_EXIT_USAGE },		/* no such database: the connection string is wrong */
		{ "08", EDGE_EXIT_UNREACHABLE },
		{ "57P", EDGE_EXIT_UNREACHABLE },	/* it starts, or ends */
		{ "53", EDGE_EXIT_UNREACHABLE },	/* too many connections, no room on its disk */
		{ "55P03", EDGE_EXIT_UNREACHABLE }, /* somebody holds a lock */
		{ "57014", EDGE_EXIT_UNREACHABLE }, /* it took too long */
		{ "40", EDGE_EXIT_UNREACHABLE },	/* rolled back, and good to be said again */
		{ "25006", EDGE_EXIT_UNREACHABLE }, /* a standby, which may be promoted */
		{ "42883", EDGE_EXIT_VERSION },		/* functions that we know are not there */
		{ "42P01", EDGE_EXIT_VERSION },
		{ "3F000", EDGE_EXIT_NO_EXTENSION },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
	{
		if (strncmp(state, known[i].state, strlen(known[i].state)) == 0)
			return known[i].status;
	}
	return EDGE_EXIT_REFUSED;
}

/*
 * Where in libpq's verbose message, "FATAL:  28P01: password ...", whose first word is in the server's language, the SQLSTATE is;
 * NULL: nowhere.
 */
static const char *
find_state(const char *message)
{
	const char *state = strstr(message, ":  ");

	if (state == NULL || strspn(state + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5 ||
		state[8] != ':')
		return NULL;
	return state + 3;
}

static edge_exit
why_not(edge_server *server)
{
	const char *message = PQerrorMessage(server->pg);
	const char *state = find_state(message);
	edge_exit status = EDGE_EXIT_UNREACHABLE;

	if (state != NULL)
	{
		status = edge_exit_of_state(state);
		message = state + strlen("28P01: ");
	}
	else if (PQconnectionNeedsPassword(server->pg))
		status = EDGE_EXIT_CREDENTIALS;
	return edge_server_say(server, status, "no session with the database: %.*s",
						   first_line(message), message);
}

static void
ignore_notice(void *arg, const PGresult *result)
{
}

static bool
is_over(const edge_server *server)
{
	return server->over != NULL && server->over(server->arg);
}

/* Waits until the session is there, or cannot be. */
static edge_exit
establish(edge_server *server)
{
	int64_t until = edge_clock() + CONNECT_TIME * INT64_C(1000000);
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;

	while (next != PGRES_POLLING_OK)
	{
		struct pollfd wait = { .fd = PQsocket(server->pg),
							   .events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT };
		int64_t left = (until - edge_clock()) / 1000000;

		if (next == PGRES_POLLING_FAILED || PQstatus(server->pg) == CONNECTION_BAD)
			return why_not(server);
		if (left <= 0 || is_over(server))
			return edge_server_say(server, EDGE_EXIT_UNREACHABLE,
								   "no session with the database: it does not answer");
		if (poll(&wait, 1, server->over != NULL && left > SLICE ? SLICE : (int) left) > 0)
			next = PQconnectPoll(server->pg);
	}
	return EDGE_EXIT_OK;
}

/* Whether the database is one that we can work with. */
static edge_exit
look(edge_server *server)
{
	PGresult *result = NULL;
	edge_exit status;

	if (PQserverVersion(server->pg) < OLDEST)
		return edge_server_say(server, EDGE_EXIT_SERVER_OLD,
							   "the server is PostgreSQL %d, and Mulberry needs %d",
							   PQserverVersion(server->pg) / 10000, OLDEST / 10000);
	status = edge_server_query(
		server, &result,
		"SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'mulberry'", 0, NULL);
	if (status != EDGE_EXIT_OK)
		return status;
	if (PQntuples(result) == 0)
		status = edge_server_say(server, EDGE_EXIT_NO_EXTENSION,
								 "the database \"%s\" has no extension mulberry", PQdb(server->pg));
	else if (strcmp(PQgetvalue(result, 0, 0), MULBERRY_VERSION) != 0)
		status =
			edge_server_say(server, EDGE_EXIT_VERSION,
							"the extension mulberry in the database \"%s\" is version %s, and we "
							"are version " MULBERRY_VERSION,
							PQdb(server->pg), PQgetvalue(result, 0, 0));
	PQclear(result);
	return status;
}

edge_exit
edge_server_connect(edge_server *server)
{
	/* what stands first may be said otherwise in the connection string, which comes last */
	static const char *const names[] = { "application_name",
										 "client_encoding",
										 "tcp_user_timeout",
										 "keepalives_idle",
										 "options",
										 "dbname",
										 NULL };
	const char *values[] = { "mulberry-edge",
							 "UTF8",
							 "20000",
							 "10",
							 ("-c timezone=UTC -c statement_timeout=30s -c lock_timeout=10s "
							  "-c idle_in_transaction_session_timeout=60s"),
							 server->conninfo,
							 NULL };
	char *wrong = NULL;
	PQconninfoOption *parsed = PQconninfoParse(server->conninfo, &wrong);
	edge_exit status;

	edge_server_disconnect(server);
	if (parsed == NULL)
	{
		status = edge_server_say(server, EDGE_EXIT_USAGE, "database: %.*s",
								 wrong == NULL ? 13 : first_line(wrong),
								 wrong == NULL ? "out of memory" : wrong);
		PQfreemem(wrong);
		return status;
	}
	PQconninfoFree(parsed);
	server->pg = PQconnectStartParams(names, values, 1);
	if (server->pg == NULL)
		return edge_server_say(server, EDGE_EXIT_FAILED, "out of memory");
	PQsetErrorVerbosity(server->pg, PQERRORS_VERBOSE);
	PQsetNoticeReceiver(server->pg, ignore_notice, NULL);
	status = establish(server);
	if (status == EDGE_EXIT_OK)
	{
		PQsetErrorVerbosity(server->pg, PQERRORS_TERSE);
		status = look(server);
	}
	if (status != EDGE_EXIT_OK)
		edge_server_disconnect(server);
	return status;
}

void
edge_server_disconnect(edge_server *server)
{
	PQfinish(server->pg);
	server->pg = NULL;
}

edge_exit
edge_server_judge(edge_server *server, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);

	switch (PQresultStatus(result))
	{
		case PGRES_COMMAND_OK:
		case PGRES_TUPLES_OK:
		case PGRES_PIPELINE_SYNC:
			return EDGE_EXIT_OK;
		default:
			break;
	}
	if (state == NULL || message == NULL)
	{
		message = PQerrorMessage(server->pg);
		return edge_server_say(server, EDGE_EXIT_UNREACHABLE, "the session with the database: %.*s",
							   first_line(message), message);
	}
	return edge_server_say(server, edge_exit_of_state(state), "%s%s%s", message,
						   detail == NULL ? "" : ": ", detail == NULL ? "" : detail);
}

edge_exit
edge_server_query(edge_server *server, PGresult **result, const char *text, int n,
				  const char *const *values)
{
	return edge_server_result(
		server, PQsendQueryParams(server->pg, text, n, NULL, values, NULL, NULL, 0), result);
}

/* Waits until a result can be had at once; false: nobody waits any longer. */
static bool
wait_for_result(const edge_server *server)
{
	while (server->over != NULL && PQisBusy(server->pg))
	{
		struct pollfd wait = { .fd = PQsocket(server->pg), .events = POLLIN };

		if (is_over(server))
			return false;
		if (poll(&wait, 1, SLICE) > 0 && !PQconsumeInput(server->pg))
			return true;
	}
	return true;
}

edge_exit
edge_server_result(edge_server *server, int sent, PGresult **result)
{
	PGresult *next;
	edge_exit status;

	*result = NULL;
	if (sent && !wait_for_result(server))
	{
		edge_server_disconnect(server);
		return edge_server_say(server, EDGE_EXIT_UNREACHABLE, "the database does not answer");
	}
	/* the last one counts, as of PQexec() */
	while (sent && (next = PQgetResult(server->pg)) != NULL)
	{
		PQclear(*result);
		*result = next;
	}
	status = edge_server_judge(server, *result);
	if (status != EDGE_EXIT_OK)
	{
		PQclear(*result);
		*result = NULL;
	}
	return status;
}
