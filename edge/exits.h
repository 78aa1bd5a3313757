/*
 * exits.h
 *	  How the program ends: a status of its own for each thing that somebody has to do, and a line that says it.
 */
#ifndef EDGE_EXITS_H
#define EDGE_EXITS_H

#include "audio.h"

typedef enum edge_exit
{
	EDGE_EXIT_OK = 0,
	EDGE_EXIT_FAILED = 1,		/* out of memory, and what should not happen */
	EDGE_EXIT_USAGE = 2,		/* flags or the configuration file */
	EDGE_EXIT_MISSING = 3,		/* device or file */
	EDGE_EXIT_BUSY = 4,			/* somebody else has the device */
	EDGE_EXIT_DENIED = 5,		/* of the device or file */
	EDGE_EXIT_FORMAT = 6,		/* what it cannot do, or a file that cannot be read */
	EDGE_EXIT_SPOOL_FULL = 7,	/* there is no room for it */
	EDGE_EXIT_SPOOL = 8,		/* it cannot be written to, or is damaged */
	EDGE_EXIT_CREDENTIALS = 9,	/* the server does not know us, or does not let us */
	EDGE_EXIT_UNREACHABLE = 10, /* the server */
	EDGE_EXIT_SERVER_OLD = 11,	/* PostgreSQL is too old */
	EDGE_EXIT_NO_EXTENSION = 12,
	EDGE_EXIT_VERSION = 13, /* of the extension is another one */
	EDGE_EXIT_REFUSED = 14, /* the server does not take what we send */
	EDGE_EXIT_WARNINGS = 15 /* --check: it would work, and not well */
} edge_exit;

/* What each status means, a line each, for --help. */
extern const char edge_exit_help[];

/* Says on standard error why the program ends; as an expression it is the status. */
#define edge_fail(status, ...) (edge_complain(__VA_ARGS__), (status))
extern void edge_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The status for what a device could not do. */
extern edge_exit edge_exit_of_audio(edge_audio_status status);

#endif /* EDGE_EXITS_H */
