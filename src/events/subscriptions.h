/*
 * subscriptions.h
 *	  Who listens.
 */
#ifndef MULBERRY_SUBSCRIPTIONS_H
#define MULBERRY_SUBSCRIPTIONS_H

#include "postgres.h"

/* Whether a process of this number serves our database; one that took the number of another counts as that. */
extern bool mulberry_session_is_there(int pid);

#endif /* MULBERRY_SUBSCRIPTIONS_H */
