/*
 * trim.c
 *	  See trim.h.  What hundreds of calls ask of services and of the database at once leaves holes between what lasts as long as a call:
 *	  their pages stay until they are asked back, which takes less than a millisecond with 250 conversations.
 */
#include "trim.h"

#include <malloc.h>

#define EVERY (10 * HTTP_SECOND)

static http_timer timer;

static void
trim(void *arg)
{
	(void) malloc_trim(0);
	(void) http_loop_set_timer(arg, &timer, http_clock() + EVERY);
}

void
gw_trim_start(http_loop *loop)
{
	timer = (http_timer){ .due = trim, .arg = loop };
	(void) http_loop_set_timer(loop, &timer, http_clock() + EVERY);
}
