/*
 * guc.h
 *	  The settings of Mulberry that C reads.  guc.c defines them and those that only
 *	  SQL reads; nobody else changes them.
 */
#ifndef MULBERRY_GUC_H
#define MULBERRY_GUC_H

#include "postgres.h"

/* ingest */
extern int mulberry_max_packet_size; /* bytes */
extern int mulberry_max_gap;		 /* sequences */
extern int mulberry_max_batch_calls;
extern int mulberry_max_batch_packets;
extern int mulberry_grace_period; /* ms */

/* events */
extern int mulberry_event_interval;	 /* ms */
extern int mulberry_event_ring_size; /* entries, a database */

/* workers */
#define MULBERRY_MAX_WORKERS 32 /* of one database; shared memory has places for them */

extern char *mulberry_databases;		  /* comma-separated names */
extern int mulberry_max_databases;		  /* slots in shared memory */
extern int mulberry_workers;			  /* a database, at most MULBERRY_MAX_WORKERS */
extern char *mulberry_worker_role;		  /* '' = the extension's owner */
extern int mulberry_http_concurrency;	  /* transfers at once, a worker */
extern int mulberry_max_response_size;	  /* bytes */
extern int mulberry_maintenance_interval; /* s */
extern int mulberry_ai_max_attempts;

/* secrets */
extern char *mulberry_secret_key_file;

extern void mulberry_define_gucs(void);

#endif /* MULBERRY_GUC_H */
