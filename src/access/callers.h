/*
 * callers.h
 *	  On whose behalf something of ours runs: every role that had a hand in it.
 *
 * These are the outer user (the session's, or that of SET ROLE), the current user,
 * and whoever called each function of ours that runs as the owner of the extension
 * and has not returned yet.  Who calls through a SECURITY DEFINER function of
 * somebody else is that somebody, so a stranger's function lends nothing that its
 * owner does not hold, and holds nothing that its user does not.
 *
 * In a security-restricted operation (autovacuum, ANALYZE, REFRESH, CREATE INDEX)
 * code of a table's owner runs in a session of somebody else who has not asked for
 * it: there nobody holds anything.
 */
#ifndef MULBERRY_CALLERS_H
#define MULBERRY_CALLERS_H

#include "postgres.h"

#include "fmgr.h"

/* Somebody who called a function that runs as the owner. */
typedef struct mulberry_caller
{
	Oid role;
	struct mulberry_caller *below; /* who called earlier */
} mulberry_caller;

/* Who calls now; NULL outside of such functions. */
extern const mulberry_caller *mulberry_callers(void);

/*
 * For a set-returning function in one of our views: what "ask" answers, with the owners of views and rules
 * through which the view is read among the callers.
 */
extern Datum mulberry_ask_through_views(FunctionCallInfo fcinfo, PGFunction ask);

/* False in a security-restricted operation, and unless the test holds for every role with a hand in this. */
extern bool mulberry_every_caller(bool (*test)(Oid role));

/* True in a function of ours that runs as the owner: whether its caller may has been decided. */
extern bool mulberry_acts_as_owner(void);

#endif /* MULBERRY_CALLERS_H */
