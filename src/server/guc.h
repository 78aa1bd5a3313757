/*
 * guc.h
 *	  The settings of Mulberry.  guc.c defines them; everybody else reads them.
 */
#ifndef MULBERRY_GUC_H
#define MULBERRY_GUC_H

#include "postgres.h"

/* ingest */
extern int mulberry_max_packet_size; /* bytes */
extern int mulberry_max_gap;		 /* sequences */
extern int mulberry_max_batch_calls;
extern int mulberry_max_batch_packets;
extern int mulberry_grace_period;	   /* ms */
extern int mulberry_idle_call_timeout; /* s, 0 = never */
extern int mulberry_partitions_ahead;  /* days */
extern char *mulberry_retention;	   /* interval as text, '' = keep for ever */

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
extern int mulberry_http_timeout;		  /* s, one attempt */
extern int mulberry_max_response_size;	  /* bytes */
extern int mulberry_job_retention;		  /* min */
extern int mulberry_lease_time;			  /* s */
extern int mulberry_maintenance_interval; /* s */
extern int mulberry_ai_max_attempts;
extern int mulberry_ai_retry_delay; /* ms, doubles each time */

/* voice commands */
extern int mulberry_agent_online_time;	  /* ms that a heartbeat counts */
extern int mulberry_command_online_wait;  /* ms before the telephone takes over */
extern int mulberry_command_max_attempts; /* calls for a signature */
extern int mulberry_command_retry_delay;  /* ms between calls */

/* secrets */
extern char *mulberry_secret_key_file;

extern void mulberry_define_gucs(void);

#endif /* MULBERRY_GUC_H */
