/*
 * clock.c
 *	  Whether the machine knows what time it is; see clock.h.
 */
#include "clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "audio.h"

#define MADE_US INT64_C(1764547200000000) /* 2025-12-01: no clock that is before that is right */
#define SYNCHRONIZED "/run/systemd/timesync/synchronized"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

int64_t
edge_wall(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

int64_t
edge_wall_of(int64_t time)
{
	return edge_wall() - (edge_clock() - time) / 1000;
}

bool
edge_wall_is_known(int64_t latest_us)
{
	struct timex clock = { 0 };
	int64_t now = edge_wall();

	if (now < MADE_US)
		return false;
	if (now >= latest_us)
		return true;
	/* a service that may not set the clock may not ask the kernel either; systemd says it in a file */
	return (adjtimex(&clock) >= 0 && (clock.status & STA_UNSYNC) == 0) ||
		   access(SYNCHRONIZED, F_OK) == 0;
}

void
edge_boot_id(uint8_t id[static EDGE_BOOT_ID])
{
	FILE *file = fopen(BOOT_ID, "re");
	char text[64] = "";
	unsigned byte;
	int n = 0;

	memset(id, 0, EDGE_BOOT_ID);
	if (file == NULL)
		return;
	if (fgets(text, sizeof(text), file) == NULL)
		text[0] = '\0';
	fclose(file);
	for (const char *c = text; n < EDGE_BOOT_ID; n++)
	{
		c += *c == '-';
		if (sscanf(c, "%2x", &byte) != 1)
			break;
		id[n] = (uint8_t) byte;
		c += 2;
	}
}
