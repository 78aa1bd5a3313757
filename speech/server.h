/*
 * server.h
 *	  The HTTP server: where it listens and how long a connection may take.  Requests are
 *	  request.h's.
 */
#ifndef SPEECH_SERVER_H
#define SPEECH_SERVER_H

#include "http/http.h"
#include "options.h"

/*
 * Listens and starts to serve with the next turn of the loop.  Returns the port, or -1 with a
 * reason on standard error.
 */
extern int speech_server_start(http_loop *loop, const speech_options *options);

/* The server that answers are given to, and its loop. */
extern http_server *speech_server(void);
extern http_loop *speech_server_loop(void);

/* Accepts no more connections, and ends those without a request. */
extern void speech_server_quiesce(void);

/* Closes every connection. */
extern void speech_server_stop(void);

/* Open connections. */
extern int speech_server_connections(void);

#endif /* SPEECH_SERVER_H */
