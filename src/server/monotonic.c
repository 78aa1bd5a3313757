/*
 * monotonic.c
 *	  See monotonic.h.
 */
#include "server/compat.h"

#include "portability/instr_time.h"

#include "server/monotonic.h"

TimestampTz
mulberry_monotonic(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	/* zero, which is "never", is long ago */
	return (TimestampTz) INSTR_TIME_GET_MICROSEC(now) + USECS_PER_DAY;
}
