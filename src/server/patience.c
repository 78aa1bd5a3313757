/*
 * patience.c
 *	  The budget of waits for locks; see patience.h.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "server/monotonic.h"
#include "server/patience.h"

PG_FUNCTION_INFO_V1(mulberry_limit_waits_sql);
PG_FUNCTION_INFO_V1(mulberry_blocked);

#define LONGEST_WAIT INT64CONST(100000) /* us */
#define SHARE_OF_TIME 10				/* one tenth of it may be spent waiting */

static int64 left = LONGEST_WAIT; /* us */
static TimestampTz counted = 0;	  /* until when "left" has grown */

int
mulberry_patience(void)
{
	TimestampTz now = mulberry_monotonic();

	left = Min(LONGEST_WAIT, left + (now - counted) / SHARE_OF_TIME);
	counted = now;
	return (int) Max(left / 1000, 1);
}

void
mulberry_patience_spent(void)
{
	left = Max(left - (int64) LockTimeout * 1000, 0);
}

void
mulberry_limit_waits(void)
{
	char value[12];

	snprintf(value, sizeof(value), "%d", mulberry_patience());
	(void) set_config_option("lock_timeout", value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
							 true, 0, false);
}

/* limit_waits() */
Datum
mulberry_limit_waits_sql(PG_FUNCTION_ARGS)
{
	mulberry_limit_waits();
	PG_RETURN_VOID();
}

/* blocked(): called where lock_not_available was caught */
Datum
mulberry_blocked(PG_FUNCTION_ARGS)
{
	mulberry_patience_spent();
	mulberry_limit_waits();
	PG_RETURN_VOID();
}
