/*
 * narrowing.h
 *	  Narrows a transaction to what a bearer token, or somebody without one, may do.
 *
 * A gateway serves strangers over connections of its own role.  At the head of each
 * transaction it says for whom it works, and from then on the transaction holds the one
 * access to the one tenant that follows from that, whatever the role holds.  This cannot be
 * taken back: it is no setting, a savepoint does not keep what was before, saying it a second
 * time is an error, and a token that is not known leaves nothing.  It ends with the transaction.
 */
#ifndef MULBERRY_NARROWING_H
#define MULBERRY_NARROWING_H

#include "postgres.h"

#include "access/held.h"

/* From _PG_init. */
extern void mulberry_narrowing_init(void);

/* What is left, in this transaction, of what the roles with a hand in it hold.  Valid until the next call. */
extern const mulberry_role_access *mulberry_narrowed(const mulberry_role_access *roles);

/* The name of the token that the transaction is narrowed to; NULL when it is not, or to nobody's. */
extern const char *mulberry_acting_token(void);

/* For messages: who lacks what a role is said to lack, as in: role "x", token "y". */
extern char *mulberry_name_caller(Oid role);

#endif /* MULBERRY_NARROWING_H */
