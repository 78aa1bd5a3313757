/*
 * server.h
 *	  The HTTP server: the listening socket, libmicrohttpd in our event loop, and the time each
 *	  connection may take.  Requests are request.h's.
 */
#ifndef SPEECH_SERVER_H
#define SPEECH_SERVER_H

#include <microhttpd.h>

#include "options.h"

/*
 * Listens and starts to serve with the next speech_server_run().  Returns the port, or -1
 * with a reason on standard error.
 */
extern int speech_server_start(const speech_options *options);

/* Serves what is ready; waits for nothing. */
extern void speech_server_run(void);

/* How long the loop may wait before speech_server_run() is due again: at most timeout_ms. */
extern int speech_server_due(int timeout_ms);

/* Accepts no more connections. */
extern void speech_server_quiesce(void);

/* Closes every connection. */
extern void speech_server_stop(void);

/* Open connections. */
extern int speech_server_connections(void);

/*
 * For request.c: the request on this connection is being worked on, and neither the
 * client's silence nor its slowness counts; or it is its turn again.
 */
extern void speech_server_set_working(struct MHD_Connection *connection, bool working);

#endif /* SPEECH_SERVER_H */
