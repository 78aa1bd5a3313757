/*
 * test_lockout.c
 *	  The lockout ladder: its rungs one by one, against a plain count over the whole past, under
 *	  clocks that are set, and for how long a challenge holds.
 */
#include "check.h"
#include "core/command/lockout.h"

#define MINUTE (60 * MB_SECOND_US)
#define HOUR MB_HOUR_US
#define DAY MB_DAY_US

/* Any time of a clock; the ladder must not care which. */
#define START INT64_C(800000000000000)

static int
forge(mb_lockout *lockout, int64_t from, int64_t apart, int n)
{
	int entered = 0;

	for (int i = 0; i < n; i++)
		entered += mb_lockout_forgery(lockout, from + i * apart).entered;
	return entered;
}

static void
five_in_an_hour_are_challenged(void)
{
	mb_lockout lockout = { 0 };

	check_int(mb_lockout_mode_at(&lockout, START), MB_LOCKOUT_NORMAL);
	check_int(forge(&lockout, START, MINUTE, 4), 0);
	check_int(mb_lockout_mode_at(&lockout, START + 3 * MINUTE), MB_LOCKOUT_NORMAL);
	check_int(forge(&lockout, START + 59 * MINUTE, 0, 1), 1);
	check_int(mb_lockout_mode_at(&lockout, START + 59 * MINUTE), MB_LOCKOUT_CHALLENGE);
	check_int(mb_lockout_mode_at(&lockout, START + 119 * MINUTE - 1), MB_LOCKOUT_CHALLENGE);
	check_int(mb_lockout_mode_at(&lockout, START + 119 * MINUTE), MB_LOCKOUT_NORMAL);
}

static void
an_hour_forgets(void)
{
	mb_lockout lockout = { 0 };

	/* one each 15 minutes: never five within less than an hour */
	check_int(forge(&lockout, START, 15 * MINUTE, 20), 0);
	check_int(mb_lockout_mode_at(&lockout, START + 5 * HOUR), MB_LOCKOUT_NORMAL);
	/* each a little sooner: at the fifth, and four later ones do not suffice again */
	lockout = (mb_lockout){ 0 };
	check_int(forge(&lockout, START, 15 * MINUTE - 1, 4), 0);
	check_int(forge(&lockout, START + HOUR - 4, 0, 1), 1);
	check_int(forge(&lockout, START + HOUR, 1, 4), 0);
	check_int(forge(&lockout, START + HOUR + 5, 1, 1), 1);
}

static void
periods_double_to_a_day(void)
{
	static const int hours[] = { 1, 2, 4, 8, 16, 24, 24 };
	mb_lockout lockout = { 0 };
	int64_t now = START;

	for (size_t i = 0; i < sizeof(hours) / sizeof(hours[0]); i++)
	{
		check_int(forge(&lockout, now, 1, 5), 1);
		check_int(lockout.challenge_period, hours[i] * HOUR);
		check_int(lockout.challenge_until, now + 4 + hours[i] * HOUR);
		now = lockout.challenge_until;
	}
	/* a day after the end of the mode it is still the same ladder, a moment later its foot */
	check_int(forge(&lockout, now + DAY - 5, 1, 5), 1);
	check_int(lockout.challenge_period, 24 * HOUR);
	now = lockout.challenge_until + DAY;
	check_int(forge(&lockout, now, 1, 5), 1);
	check_int(lockout.challenge_period, HOUR);
}

static void
more_than_20_a_day_are_strict(void)
{
	mb_lockout lockout = { 0 };

	forge(&lockout, START, HOUR, 20);
	check_int(mb_lockout_mode_at(&lockout, START + 20 * HOUR), MB_LOCKOUT_NORMAL);
	forge(&lockout, START + 20 * HOUR, 0, 1);
	check_int(mb_lockout_mode_at(&lockout, START + 20 * HOUR), MB_LOCKOUT_STRICT);
	check_int(mb_lockout_mode_at(&lockout, START + 24 * HOUR - 1), MB_LOCKOUT_STRICT);
	check_int(mb_lockout_mode_at(&lockout, START + 24 * HOUR), MB_LOCKOUT_NORMAL);
	/* the 21 that are remembered are the last ones */
	forge(&lockout, START + 24 * HOUR, 0, 20);
	check_int(mb_lockout_mode_at(&lockout, START + 44 * HOUR - 1), MB_LOCKOUT_STRICT);
	check_string(mb_lockout_mode_name(MB_LOCKOUT_NORMAL), "normal");
	check_string(mb_lockout_mode_name(MB_LOCKOUT_CHALLENGE), "challenge");
	check_string(mb_lockout_mode_name(MB_LOCKOUT_STRICT), "strict");
}

static void
a_hundred_in_a_row_alarm(void)
{
	mb_lockout lockout = { 0 };
	int64_t now = START;

	for (int i = 1; i <= 300; i++)
		check_int(mb_lockout_forgery(&lockout, now += DAY).alarm, i % 100 == 0);
	lockout.in_row = 0; /* a genuine frame */
	for (int i = 1; i <= 100; i++)
		check_int(mb_lockout_forgery(&lockout, now += DAY).alarm, i == 100);
	lockout.in_row = INT64_MAX;
	mb_lockout_forgery(&lockout, now);
	check_int(lockout.in_row, INT64_MAX);
}

static void
calls_end(void)
{
	check(!mb_call_is_over(0, 0, MB_LOCKOUT_STRICT));
	check(!mb_call_is_over(2, 10, MB_LOCKOUT_NORMAL));
	check(!mb_call_is_over(2, 10, MB_LOCKOUT_CHALLENGE));
	check(mb_call_is_over(3, 0, MB_LOCKOUT_NORMAL));
	check(mb_call_is_over(3, 0, MB_LOCKOUT_CHALLENGE));
	check(mb_call_is_over(1, 0, MB_LOCKOUT_STRICT));
	check(mb_call_is_over(0, 11, MB_LOCKOUT_NORMAL));
	/* what is misheard is no fault of a key */
	check(!mb_call_is_over(0, 10, MB_LOCKOUT_STRICT));
}

static void
challenges_age(void)
{
	const int64_t s = MB_SECOND_US;

	check_int(mb_challenge_age_at(START, START, START), MB_CHALLENGE_HOLDS);
	check_int(mb_challenge_age_at(START, START, START + 60 * s - 1), MB_CHALLENGE_HOLDS);
	check_int(mb_challenge_age_at(START, START, START + 60 * s), MB_CHALLENGE_LATE);
	check_int(mb_challenge_age_at(START, START + 60 * s, START + 120 * s - 1), MB_CHALLENGE_HOLDS);
	/* played again at will, it does not hold for longer than two minutes */
	check_int(mb_challenge_age_at(START, START + 119 * s, START + 120 * s), MB_CHALLENGE_LATE);
	check_int(mb_challenge_age_at(START, START + 119 * s, START + 719 * s - 1), MB_CHALLENGE_LATE);
	check_int(mb_challenge_age_at(START, START + 119 * s, START + 719 * s), MB_CHALLENGE_FORGOTTEN);
	/* the clock was set back */
	check_int(mb_challenge_age_at(START, START, START - 30 * s), MB_CHALLENGE_HOLDS);
	check_int(mb_challenge_age_at(START, START, START - DAY), MB_CHALLENGE_FORGOTTEN);
	check_int(mb_challenge_age_at(INT64_MAX, INT64_MAX, INT64_MIN), MB_CHALLENGE_FORGOTTEN);
}

/* An edge has no clock that is right for sure: a wrong one must neither ease the ladder for good nor jam it. */
static void
clocks_may_be_set(void)
{
	mb_lockout lockout = { 0 };
	int64_t before = START - 400 * DAY;

	forge(&lockout, START, 1, 25);
	check_int(mb_lockout_mode_at(&lockout, START + 25), MB_LOCKOUT_STRICT);
	/* set back by more than a year: what was written does not hold for a year */
	check_int(mb_lockout_mode_at(&lockout, before), MB_LOCKOUT_NORMAL);
	/* and what is forged now counts */
	check_int(forge(&lockout, before, 1, 5), 1);
	check_int(mb_lockout_mode_at(&lockout, before + 5), MB_LOCKOUT_CHALLENGE);
	check_int(forge(&lockout, before + 5, 1, 15), 3);
	check_int(mb_lockout_mode_at(&lockout, before + 20), MB_LOCKOUT_CHALLENGE);
	check_int(forge(&lockout, before + 20, 1, 1), 0);
	check_int(mb_lockout_mode_at(&lockout, before + 21), MB_LOCKOUT_STRICT);
	/* set forth again, where the challenge of before lies long ago */
	check_int(mb_lockout_mode_at(&lockout, START + 2 * DAY), MB_LOCKOUT_NORMAL);
	check_int(forge(&lockout, START + 2 * DAY, 1, 5), 1);
	check_int(lockout.challenge_period, HOUR);
	/* at the ends of all times */
	check_int(mb_lockout_mode_at(&lockout, INT64_MIN), MB_LOCKOUT_NORMAL);
	forge(&lockout, INT64_MIN, 0, 30);
	forge(&lockout, INT64_MAX, 0, 30);
	check_int(lockout.challenge_until, INT64_MAX);
}

/* --- against a plain count ------------------------------------------------ */

#define PAST 2000

/* The paper's sentences over all forgeries that ever were. */
typedef struct plain
{
	int64_t times[PAST];
	int n;
	int first; /* of those that have not led to challenge mode */
	int64_t period;
	int64_t until;
} plain;

static int
plain_count(const plain *p, int from, int64_t now, int64_t period)
{
	int n = 0;

	for (int i = from; i < p->n; i++)
		n += p->times[i] > now - period;
	return n;
}

static void
plain_forgery(plain *p, int64_t now)
{
	if (plain_count(p, 0, now, DAY) == 0 && p->until <= now - DAY)
		p->period = 0;
	p->times[p->n++] = now;
	if (plain_count(p, p->first, now, HOUR) < 5)
		return;
	p->period = p->period == 0 ? HOUR : p->period * 2 < DAY ? p->period * 2 : DAY;
	p->until = now + p->period;
	p->first = p->n;
}

static int
plain_mode(const plain *p, int64_t now)
{
	if (plain_count(p, 0, now, DAY) > 20)
		return MB_LOCKOUT_STRICT;
	return p->period != 0 && p->until > now ? MB_LOCKOUT_CHALLENGE : MB_LOCKOUT_NORMAL;
}

static void
as_a_plain_count(void)
{
	static const int64_t paces[] = { MB_SECOND_US, MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY };
	check_random random = { 20 };
	static plain p;
	int seen[3] = { 0, 0, 0 };

	for (int run = 0; run < 60; run++)
	{
		mb_lockout lockout = { 0 };
		int64_t now = START;
		int64_t pace = MINUTE;

		memset(&p, 0, sizeof(p));
		p.until = INT64_MIN / 2;
		while (p.n < PAST / 2)
		{
			if (check_random_below(&random, 10) == 0)
				pace = paces[check_random_below(&random, sizeof(paces) / sizeof(paces[0]))];
			now += 1 + (int64_t) check_random_below(&random, 2 * pace);
			if (check_random_below(&random, 3) != 0)
			{
				mb_lockout_forgery(&lockout, now);
				plain_forgery(&p, now);
			}
			if (mb_lockout_mode_at(&lockout, now) != (mb_lockout_mode) plain_mode(&p, now) ||
				(lockout.challenge_period != p.period))
			{
				check_report(false, __FILE__, __LINE__, "run %d, forgery %d: mode %d for %d", run,
							 p.n, mb_lockout_mode_at(&lockout, now), plain_mode(&p, now));
				return;
			}
			seen[plain_mode(&p, now)]++;
		}
	}
	check_note("normal %d, challenge %d, strict %d", seen[0], seen[1], seen[2]);
	check(seen[0] > 1000 && seen[1] > 1000 && seen[2] > 1000);
}

int
main(void)
{
	check_run("five forgeries in an hour put a key in challenge mode for an hour",
			  five_in_an_hour_are_challenged);
	check_run("what is older than an hour, or has done its part, does not count", an_hour_forgets);
	check_run("each further time doubles it to a day, and a quiet day ends the ladder",
			  periods_double_to_a_day);
	check_run("more than 20 in a day make it strict", more_than_20_a_day_are_strict);
	check_run("each hundred in a row is an alarm", a_hundred_in_a_row_alarm);
	check_run("a call ends with its third forgery, in strict mode its first", calls_end);
	check_run("a challenge holds for a minute, at most two, and is remembered for ten",
			  challenges_age);
	check_run("a clock that is set neither jams nor ends the ladder", clocks_may_be_set);
	check_run("the ladder is that of a plain count over the whole past", as_a_plain_count);
	return check_done();
}
