/*
 * database.h
 *	  Connections to PostgreSQL, and units of work over them.
 *
 * A unit is one transaction: it says for whom it works and then runs one prepared statement, both
 * before one Sync, so that the server commits them together.  It is done when that commit is known.  A
 * unit waits until a connection is idle; a connection has one unit at a time.  Sessions hold nothing
 * before a unit has said for whom it works.
 *
 * When a connection is lost with a unit under way, nobody knows whether it has been committed.  It is
 * sent again ("again" is set then), which every statement here bears.
 */
#ifndef GATEWAY_DATABASE_H
#define GATEWAY_DATABASE_H

#include <libpq-fe.h>

#include "http.h"

#define GW_MAX_PARAMETERS 9

typedef struct gw_database gw_database;
typedef struct gw_unit gw_unit;

/* The prepared statements. */
typedef enum gw_statement
{
	GW_NOTHING = -1, /* says for whom, no more: is the token good? */
	GW_INGEST,
	GW_COMPLETE,
	GW_EVENTS,
	GW_STATEMENTS
} gw_statement;

typedef enum gw_outcome
{
	GW_COMMITTED,	/* identity and result are those of the two statements */
	GW_REFUSED,		/* the token does not count: result is the error */
	GW_FAILED,		/* the statement, or its commit: result is the error */
	GW_UNAVAILABLE, /* there is no database to ask; no result, and it was never sent */
	GW_UNKNOWN		/* it was sent, and what became of it cannot be said */
} gw_outcome;

struct gw_unit
{
	/* for whom: a token, or without one an access to a tenant */
	const char *token;
	const char *access;
	const char *tenant;

	gw_statement statement;
	int n_parameters;
	const char *values[GW_MAX_PARAMETERS];
	int lengths[GW_MAX_PARAMETERS];
	int formats[GW_MAX_PARAMETERS]; /* 1: binary */

	/* Just before it is sent, when nothing can be added to it any more; sets the parameters.  May be NULL. */
	void (*send)(gw_unit *unit);

	/* The last that is heard of it. */
	void (*done)(gw_unit *unit, gw_outcome outcome, const PGresult *identity,
				 const PGresult *result);

	bool again; /* it was sent before, over a connection that was lost */

	gw_unit *next; /* the rest is the database's */
	int64_t give_up;
};

typedef struct gw_database_options
{
	const char *conninfo;
	int connections;
} gw_database_options;

/* NULL without memory.  Connects at once, and again whenever it must. */
extern gw_database *gw_database_new(http_loop *loop, const gw_database_options *options);
extern void gw_database_free(gw_database *database);

/* Queues a unit, which is the caller's until done has been called for it. */
extern void gw_database_add(gw_database *database, gw_unit *unit);

/* Whether a connection is idle, or busy and will be; and when to ask again, in seconds, if none is. */
extern bool gw_database_up(const gw_database *database);
extern int gw_database_retry_after(const gw_database *database);

typedef struct gw_database_counters
{
	int connections; /* now, ready or busy */
	int busy;		 /* now */
	int waiting;	 /* now, units */
	uint64_t units;
	uint64_t lost; /* connections */
	uint64_t sent_again;
	uint64_t timeouts; /* units that waited too long */
} gw_database_counters;

extern const gw_database_counters *gw_database_count(gw_database *database);

/* What the server says beside its answers goes to the log. */
extern void gw_log_notices(PGconn *pg);

/* The SQLSTATE of an error; "" when it has none. */
extern const char *gw_sqlstate(const PGresult *result);

#endif /* GATEWAY_DATABASE_H */
