/*
 * worker.h
 *	  What the launcher starts.
 */
#ifndef MULBERRY_WORKER_H
#define MULBERRY_WORKER_H

#include "postgres.h"

/* Entry point of a worker; started by the launcher, see process.h. */
extern PGDLLEXPORT void mulberry_worker_main(Datum argument);

#endif /* MULBERRY_WORKER_H */
