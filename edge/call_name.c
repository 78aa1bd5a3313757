/*
 * call_name.c
 *	  Ids for calls that have none; see call.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "audio.h"
#include "call.h"

void
edge_call_name(const char *name, char id[static EDGE_CALL_ID + 1])
{
	static unsigned calls;
	struct timespec now;
	struct tm utc;
	char host[64] = "edge";
	char time[32] = "";
	uint32_t chance = 0;

	(void) !getrandom(&chance, sizeof(chance), 0);
	clock_gettime(CLOCK_REALTIME, &now);
	if (gmtime_r(&now.tv_sec, &utc) != NULL)
		strftime(time, sizeof(time), "%Y%m%dT%H%M%SZ", &utc);
	gethostname(host, sizeof(host) - 1);
	snprintf(id, EDGE_CALL_ID + 1, "%.60s-%s-%" PRIx64 "-%08" PRIx32, name == NULL ? host : name,
			 time, (uint64_t) edge_clock() / 1000000 * 1000 + calls++ % 1000, chance);
}
