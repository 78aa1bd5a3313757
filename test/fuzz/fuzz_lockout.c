/*
 * fuzz_lockout.c
 *	  Arbitrary histories of forgeries, genuine frames and set clocks into the lockout ladder, and
 *	  arbitrary states as a table could hold them.  Whatever came before, the ladder stays in its
 *	  bounds, tightens with a forgery, and eases with time alone.
 *
 * Fuzz with: -max_len=512
 */
#include <string.h>

#include "fuzz.h"
#include "core/command/lockout.h"

/* What is left of the input. */
typedef struct input
{
	const uint8_t *at;
	size_t n;
} input;

static uint8_t
take_byte(input *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->at++;
}

static int64_t
take_time(input *in)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | take_byte(in);
	return (int64_t) value;
}

static void
check_bounds(const mb_lockout *lockout, int64_t now)
{
	mb_lockout_mode mode = mb_lockout_mode_at(lockout, now);

	require(lockout->n_forgeries <= MB_LOCKOUT_HISTORY);
	require(lockout->since_entered >= 0 && lockout->since_entered <= MB_LOCKOUT_HISTORY);
	require(lockout->in_row <= INT64_MAX);
	require(lockout->challenge_period >= 0 &&
			lockout->challenge_period <= MB_LOCKOUT_LONGEST_PERIOD_US);
	require(mode >= MB_LOCKOUT_NORMAL && mode <= MB_LOCKOUT_STRICT);
	require(strcmp(mb_lockout_mode_name(mode), "unknown mode") != 0);
	require(mode != MB_LOCKOUT_STRICT || lockout->n_forgeries == MB_LOCKOUT_HISTORY);
}

/* A state of no ladder, as damage or a hand could leave it. */
static void
fill(mb_lockout *lockout, input *in)
{
	lockout->n_forgeries = take_byte(in) % (MB_LOCKOUT_HISTORY + 1);
	for (size_t i = 0; i < lockout->n_forgeries; i++)
		lockout->forgeries[i] = take_time(in);
	lockout->in_row = (uint64_t) take_time(in) & INT64_MAX;
	lockout->since_entered = take_byte(in) % (MB_LOCKOUT_HISTORY + 1);
	lockout->challenge_period =
		(int64_t) ((uint64_t) take_time(in) % (MB_LOCKOUT_LONGEST_PERIOD_US + 1));
	lockout->challenge_until = take_time(in);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t steps[] = { 0,
									 1,
									 MB_SECOND_US,
									 60 * MB_SECOND_US,
									 900 * MB_SECOND_US,
									 MB_HOUR_US,
									 6 * MB_HOUR_US,
									 MB_DAY_US };
	input in = { data, size };
	mb_lockout lockout = { 0 };
	uint8_t start = take_byte(&in);
	bool clock_is_right = (start & 1) == 0;
	int64_t now = INT64_C(800000000000000);

	if (!clock_is_right)
		fill(&lockout, &in);
	while (in.n > 0)
	{
		uint8_t op = take_byte(&in);
		int64_t step = steps[op >> 2 & 7] * take_byte(&in);
		mb_lockout_mode before;

		if (clock_is_right)
		{
			mb_lockout_mode sooner = mb_lockout_mode_at(&lockout, now);

			if (now > INT64_MAX / 2)
				break;
			now += step;
			require(mb_lockout_mode_at(&lockout, now) <= sooner);
		}
		else
			now = op & 0x80 ? take_time(&in) : now > INT64_MAX - step ? INT64_MAX : now + step;

		before = mb_lockout_mode_at(&lockout, now);
		if ((op & 3) == 0)
		{
			lockout.in_row = 0;
			require(mb_lockout_mode_at(&lockout, now) == before);
		}
		else
		{
			uint64_t in_row = lockout.in_row;
			mb_lockout_steps made = mb_lockout_forgery(&lockout, now);

			require(lockout.forgeries[0] == now);
			require(lockout.in_row == in_row + 1 || in_row == INT64_MAX);
			require(!made.entered || now == INT64_MAX ||
					mb_lockout_mode_at(&lockout, now) != MB_LOCKOUT_NORMAL);
			require(!clock_is_right || mb_lockout_mode_at(&lockout, now) >= before);
		}
		check_bounds(&lockout, now);
		(void) mb_challenge_age_at(lockout.forgeries[0], lockout.challenge_until, now);
		require(mb_call_is_over(op, 0, MB_LOCKOUT_STRICT) >=
				mb_call_is_over(op, 0, MB_LOCKOUT_NORMAL));
	}
	return 0;
}
