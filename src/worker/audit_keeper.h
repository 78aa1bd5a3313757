/*
 * audit_keeper.h
 *	  What the notifier does for the audit log: stores refused commands in it and links it.
 */
#ifndef MULBERRY_WORKER_AUDIT_KEEPER_H
#define MULBERRY_WORKER_AUDIT_KEEPER_H

#include "postgres.h"

#include "server/shared_state.h"

/*
 * When rows were committed, and from time to time in case nobody said so.  True when there is more to
 * do.  What goes wrong is reported and tried again; the log is behind then, which health() tells.
 */
extern bool mulberry_keep_audit(mulberry_slot *slot);

#endif /* MULBERRY_WORKER_AUDIT_KEEPER_H */
