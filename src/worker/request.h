/*
 * request.h
 *	  What the requests of all services have in common: limits and permissions of the endpoint,
 *	  options, bodies.
 */
#ifndef MULBERRY_WORKER_REQUEST_H
#define MULBERRY_WORKER_REQUEST_H

#include "postgres.h"

#include "worker/job.h"

/* job->request to {base}{path}, with the limits and permissions of the job's endpoint, and no body yet. */
extern void mulberry_request_begin(mulberry_job *job, const char *path);

/* The same with a JSON body, given in the server's encoding and copied. */
extern void mulberry_request_json(mulberry_job *job, const char *path, const char *body);

/* A string, number or boolean among the endpoint's options as text; NULL when it is not set. */
extern char *mulberry_request_option(const mulberry_job *job, const char *name);

/* True when the service is known not to take a parameter (kinds.h, mulberry_objection). */
extern bool mulberry_request_refused(const mulberry_job *job, const char *parameter);

#endif /* MULBERRY_WORKER_REQUEST_H */
