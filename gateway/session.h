/*
 * session.h
 *	  One session with PostgreSQL, which runs one unit at a time: libpq in pipeline mode, never waiting.  When it is lost
 *	  it begins anew, after a pause that grows.
 */
#ifndef GATEWAY_SESSION_H
#define GATEWAY_SESSION_H

#include "http.h"
#include "unit.h"

#define GW_MAX_STATEMENTS                                                                          \
	128 /* that a session keeps prepared; what is beyond them is planned each time */
#define GW_MAX_PAUSE (32 * HTTP_SECOND)

typedef enum gw_session_state
{
	GW_SESSION_WAITING,	   /* for the time to try again */
	GW_SESSION_CONNECTING, /* PQconnectPoll() */
	GW_SESSION_PREPARING,  /* the first pipeline: what every session begins with */
	GW_SESSION_READY,
	GW_SESSION_BUSY
} gw_session_state;

typedef struct gw_session gw_session;

/* Whom a session belongs to. */
typedef struct gw_session_owner
{
	void *context;
	http_loop *loop;
	const char *conninfo;
	bool for_role; /* units work for the role that is connected: they say of nobody else */

	/* It can take a unit. */
	void (*ready)(void *context);

	/*
	 * It was lost, while it was "up", or before.  Its unit, or NULL, is the owner's again; it was sent, and its end
	 * is known (it was rolled back) or not.
	 */
	void (*lost)(void *context, const gw_session *session, bool was_up, gw_unit *unit, bool known);
} gw_session_owner;

struct gw_session
{
	const gw_session_owner *owner;
	PGconn *pg;
	gw_session_state state;
	http_watch watch;
	http_timer timer; /* the next try, or the end of patience */
	int64_t begun;	  /* the connection */
	int failures;	  /* in a row */

	const gw_statement *prepared[GW_MAX_STATEMENTS];
	int n_prepared;

	/* the unit under way */
	gw_unit *unit;
	const gw_statement *preparing;
	int results; /* that have ended, within its pipeline */
	PGresult *identity;
	PGresult *result;
	PGresult *error; /* the first one */
};

/* Connects at once, and again whenever it must. */
extern void gw_session_start(gw_session *session, const gw_session_owner *owner);

/* Gives a unit to a session that is ready; what becomes of it is told by its done, or by lost. */
extern void gw_session_run(gw_session *session, gw_unit *unit);

/* Begins anew when it has lasted long enough; true when it has, and is not ready any more. */
extern bool gw_session_renew(gw_session *session);

/* Ends it, with what is under way. */
extern void gw_session_end(gw_session *session);

/* What the server says beside its answers goes to the log. */
extern void gw_log_notices(PGconn *pg);

/* The SQLSTATE of an error; "" when it has none. */
extern const char *gw_sqlstate(const PGresult *result);

#endif /* GATEWAY_SESSION_H */
