/*
 * lockout.c
 *	  The lockout ladder as arithmetic; see lockout.h.
 */
#include "core/command/lockout.h"

#include <string.h>

/* How far apart two times are.  As unsigned, because the difference of two int64_t fits no int64_t. */
static uint64_t
distance(int64_t a, int64_t b)
{
	return a > b ? (uint64_t) a - (uint64_t) b : (uint64_t) b - (uint64_t) a;
}

/*
 * Less than so long ago.  After the clock was set back, what was written by it before lies ahead and
 * counts as long as it would have.
 */
static bool
within(int64_t time, int64_t now, int64_t period)
{
	return distance(time, now) < (uint64_t) period;
}

/* A time so much later, as far as there is one. */
static int64_t
later(int64_t time, int64_t by)
{
	return time <= INT64_MAX - by ? time + by : INT64_MAX;
}

/* Whether the time of challenge mode has not run out; more than its whole length is another clock's. */
static bool
challenge_holds(const mb_lockout *lockout, int64_t now)
{
	return lockout->challenge_period != 0 && lockout->challenge_until > now &&
		   distance(lockout->challenge_until, now) <= MB_LOCKOUT_LONGEST_PERIOD_US;
}

static bool
is_strict(const mb_lockout *lockout, int64_t now)
{
	return lockout->n_forgeries > MB_LOCKOUT_FORGERIES_A_DAY &&
		   within(lockout->forgeries[MB_LOCKOUT_FORGERIES_A_DAY], now, MB_DAY_US);
}

mb_lockout_mode
mb_lockout_mode_at(const mb_lockout *lockout, int64_t now)
{
	if (is_strict(lockout, now))
		return MB_LOCKOUT_STRICT;
	return challenge_holds(lockout, now) ? MB_LOCKOUT_CHALLENGE : MB_LOCKOUT_NORMAL;
}

const char *
mb_lockout_mode_name(mb_lockout_mode mode)
{
	switch (mode)
	{
		case MB_LOCKOUT_NORMAL:
			return "normal";
		case MB_LOCKOUT_CHALLENGE:
			return "challenge";
		case MB_LOCKOUT_STRICT:
			return "strict";
	}
	return "unknown mode";
}

/* A day has passed since the last forgery and since the end of challenge mode. */
static bool
was_quiet(const mb_lockout *lockout, int64_t now)
{
	return (lockout->n_forgeries == 0 || !within(lockout->forgeries[0], now, MB_DAY_US)) &&
		   !challenge_holds(lockout, now) && !within(lockout->challenge_until, now, MB_DAY_US);
}

/* Forgeries of the last hour that have not led to challenge mode yet. */
static int
count_recent(const mb_lockout *lockout, int64_t now)
{
	int n = 0;

	for (size_t i = 0; i < lockout->n_forgeries && i < (size_t) lockout->since_entered; i++)
		if (within(lockout->forgeries[i], now, MB_HOUR_US))
			n++;
	return n;
}

mb_lockout_steps
mb_lockout_forgery(mb_lockout *lockout, int64_t now)
{
	mb_lockout_steps steps = { false, false };

	if (lockout->challenge_period != 0 && was_quiet(lockout, now))
		lockout->challenge_period = 0;

	memmove(&lockout->forgeries[1], &lockout->forgeries[0],
			(MB_LOCKOUT_HISTORY - 1) * sizeof(lockout->forgeries[0]));
	lockout->forgeries[0] = now;
	if (lockout->n_forgeries < MB_LOCKOUT_HISTORY)
		lockout->n_forgeries++;
	if (lockout->since_entered < MB_LOCKOUT_HISTORY)
		lockout->since_entered++;
	if (lockout->in_row < INT64_MAX)
		lockout->in_row++;

	if (count_recent(lockout, now) >= MB_LOCKOUT_FORGERIES_AN_HOUR)
	{
		int64_t period = lockout->challenge_period;

		if (period == 0)
			period = MB_LOCKOUT_FIRST_PERIOD_US;
		else if (period < MB_LOCKOUT_LONGEST_PERIOD_US / 2)
			period *= 2;
		else
			period = MB_LOCKOUT_LONGEST_PERIOD_US;
		lockout->challenge_period = period;
		lockout->since_entered = 0;
		lockout->challenge_until = later(now, period);
		steps.entered = true;
	}
	steps.alarm = lockout->in_row % MB_LOCKOUT_ALARM == 0;
	return steps;
}

bool
mb_call_is_over(int64_t forgeries, int64_t decode_errors, mb_lockout_mode mode)
{
	return forgeries >=
			   (mode == MB_LOCKOUT_STRICT ? MB_CALL_FORGERIES_STRICT : MB_CALL_FORGERIES) ||
		   decode_errors > MB_CALL_REPEATS;
}

mb_challenge_age
mb_challenge_age_at(int64_t drawn, int64_t played, int64_t now)
{
	if (!within(played, now, MB_CHALLENGE_MEMORY_S * MB_SECOND_US))
		return MB_CHALLENGE_FORGOTTEN;
	return within(played, now, MB_CHALLENGE_LIFETIME_S * MB_SECOND_US) &&
				   within(drawn, now, MB_CHALLENGE_LONGEST_S * MB_SECOND_US)
			   ? MB_CHALLENGE_HOLDS
			   : MB_CHALLENGE_LATE;
}
