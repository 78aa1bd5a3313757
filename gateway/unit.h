/*
 * unit.h
 *	  A unit of work for the database.
 *
 * It is one transaction: it says for whom it works and then runs one prepared statement, both before one
 * Sync, so that the server commits them together.  It is done when that commit is known.
 *
 * When a connection is lost with a unit under way, nobody knows whether it has been committed.  It is
 * sent again ("again" is set then), which every statement here bears.
 */
#ifndef GATEWAY_UNIT_H
#define GATEWAY_UNIT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#define GW_MAX_PARAMETERS 9

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

	gw_unit *next; /* the rest is the queue's */
	int64_t give_up;
};

#endif /* GATEWAY_UNIT_H */
