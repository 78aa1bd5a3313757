/*
 * server.h
 *	  A session with PostgreSQL, and what is wrong when there is none.
 *
 * Everything here waits, so it is for a thread that nobody waits for: looking up names alone may take longer than a card's
 * buffer lasts.
 */
#ifndef EDGE_SERVER_H
#define EDGE_SERVER_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "exits.h"

typedef struct edge_server
{
	const char *conninfo;
	PGconn *pg;		   /* NULL: there is no session */
	char problem[512]; /* what failed last, in words */

	/* Whether nobody waits any longer for a session or a result: then the session is given up. NULL: as long as it takes. */
	bool (*over)(void *arg);
	void *arg;
} edge_server;

/*
 * Begins a session, and looks whether its database has the extension. OK, or why not; UNREACHABLE is the one that
 * time may mend.
 */
extern edge_exit edge_server_connect(edge_server *server);
extern void edge_server_disconnect(edge_server *server);

/* The status for a result, which becomes server->problem when it is none to go on with. */
extern edge_exit edge_server_judge(edge_server *server, const PGresult *result);

/*
 * Runs a statement with parameters that are texts; NULL is null. *result is what came, and the caller's to clear; NULL unless OK
 * is returned.
 */
extern edge_exit edge_server_query(edge_server *server, PGresult **result, const char *text, int n,
								   const char *const *values);

/* The same for what was sent to the session by one of libpq's functions, which returned "sent". */
extern edge_exit edge_server_result(edge_server *server, int sent, PGresult **result);

/* The status for a SQLSTATE. */
extern edge_exit edge_exit_of_state(const char *state);

/* Puts into words what is wrong, and returns the status. */
extern edge_exit edge_server_say(edge_server *server, edge_exit status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* EDGE_SERVER_H */
