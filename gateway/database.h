/*
 * database.h
 *	  Connections to PostgreSQL, over which units of work are sent.
 *
 * A unit waits until a connection is idle; a connection has one unit at a time.  Sessions hold nothing
 * before a unit has said for whom it works.
 */
#ifndef GATEWAY_DATABASE_H
#define GATEWAY_DATABASE_H

#include "http.h"
#include "unit.h"

typedef struct gw_database gw_database;

typedef struct gw_database_options
{
	const char *conninfo;
	int connections;
	bool for_role; /* units work for the role that is connected, and say of nobody else */
} gw_database_options;

/* NULL without memory.  Connects at once, and again whenever it must. */
extern gw_database *gw_database_new(http_loop *loop, const gw_database_options *options);
extern void gw_database_free(gw_database *database);

/* Queues a unit, which is the caller's until done has been called for it. */
extern void gw_database_add(gw_database *database, gw_unit *unit);

/* How many of its connections have units that nobody waits for at a time, at most. */
extern int gw_database_for_behind(const gw_database *database);

/* Whether a connection is idle, or busy and will be; and when to ask again, in seconds, if none is. */
extern bool gw_database_up(const gw_database *database);
extern int gw_database_retry_after(const gw_database *database);

typedef struct gw_database_counters
{
	int connections; /* now, ready or busy */
	int busy;		 /* now */
	int waiting;	 /* now, units */
	uint64_t units;
	uint64_t lost;		 /* connections */
	uint64_t sent_again; /* units, over another connection */
	uint64_t timeouts;	 /* units that waited too long */
} gw_database_counters;

extern const gw_database_counters *gw_database_count(gw_database *database);

#endif /* GATEWAY_DATABASE_H */
