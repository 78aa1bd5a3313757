/*
 * request.c
 *	  What the requests of all services have in common; see request.h.
 */
#include "server/compat.h"

#include "utils/memutils.h"

#include "server/guc.h"
#include "worker/json_value.h"
#include "worker/request.h"

void
mulberry_request_begin(mulberry_job *job, const char *path)
{
	MemoryContext old = MemoryContextSwitchTo(job->context);
	mulberry_http_request *request = &job->request;

	memset(request, 0, sizeof *request);
	request->url = psprintf("%s%s", job->base_url, path);
	request->timeout_ms = job->timeout_ms;
	request->allow_http = job->allow_http;
	request->allow_private = job->allow_private;
	request->max_response = (size_t) mulberry_max_response_size;
	request->owner = job;
	job->request_memory = 0;
	MemoryContextSwitchTo(old);
}

void
mulberry_request_json(mulberry_job *job, const char *path, const char *body)
{
	mulberry_request_begin(job, path);
	job->request.body = mulberry_to_utf8(body, job->context);
	job->request.body_size = strlen(job->request.body);
	job->request.content_type = "application/json";
	job->request_memory = job->request.body_size;
}

char *
mulberry_request_option(const mulberry_job *job, const char *name)
{
	return job->options ? mulberry_json_text(&job->options->root, name) : NULL;
}

bool
mulberry_request_refused(const mulberry_job *job, const char *parameter)
{
	ListCell *cell;

	foreach (cell, job->refused)
	{
		if (strcmp(lfirst(cell), parameter) == 0)
			return true;
	}
	return false;
}
