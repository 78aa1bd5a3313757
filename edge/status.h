/*
 * status.h
 *	  What a program says of itself in the database: a row that report_edge_status() keeps.
 *
 * One thread says what is so, another one, which has a session, reports it: every ten seconds, and a second after a change.  What
 * becomes of a report changes nothing for anybody.
 */
#ifndef EDGE_STATUS_H
#define EDGE_STATUS_H

#include <stdint.h>

#include "server.h"

typedef struct edge_status edge_status;

/* What somebody may know who has the device. Texts are copied; NULL: there is none. */
typedef struct edge_status_device
{
	const char *state; /* see mulberry.edge_status */
	const char *device;
	const char *call_id;
	const char *problem; /* told before that of who posts */
	double heard;		 /* seconds */
	double lost;
	double late;
	uint64_t overruns;
	uint64_t suspends;
	uint64_t departures;
} edge_status_device;

/* And somebody who posts. */
typedef struct edge_status_posting
{
	uint64_t waiting; /* packets */
	uint64_t acknowledged;
	uint64_t dropped;
	int64_t spool; /* bytes; -1: there is none */
	const char *problem;
} edge_status_posting;

/* The name is that of the machine when it is NULL, the tenant that of the role. NULL: out of memory. */
extern edge_status *edge_status_new(const char *program, const char *name, const char *tenant);
extern void edge_status_free(edge_status *status);

extern void edge_status_set_device(edge_status *status, const edge_status_device *device);
extern void edge_status_set_posting(edge_status *status, const edge_status_posting *posting);

/*
 * Reports when it is time for that, over a session that nobody uses meanwhile. Never fails but for the session: UNREACHABLE.
 * As edge_poster_run() calls it.
 */
extern edge_exit edge_status_report(edge_server *server, void *status);

/* What a Raspberry Pi says of its power supply: "now" or "before", or NULL: nothing is wrong, or it says nothing. */
extern const char *edge_under_voltage(void);

#endif /* EDGE_STATUS_H */
