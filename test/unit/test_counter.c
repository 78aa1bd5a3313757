/*
 * test_counter.c
 *	  Counters that wrap, unwrapped.
 */
#include "check.h"
#include "core/audio/counter.h"

static void
a_counter_is_the_number_nearest_to_the_expected_one(void)
{
	check_int(mb_counter_unwrap(16, 5, 5), 5);
	check_int(mb_counter_unwrap(16, 6, 5), 6);
	check_int(mb_counter_unwrap(16, 4, 5), 4);
	/* over the wrap, forwards and backwards */
	check_int(mb_counter_unwrap(16, 0, 65535), 65536);
	check_int(mb_counter_unwrap(16, 65535, 65536), 65535);
	check_int(mb_counter_unwrap(16, 3, 3 * 65536 - 1), 3 * 65536 + 3);
	check_int(mb_counter_unwrap(16, 65533, 3 * 65536 + 1), 3 * 65536 - 3);
	/* before the first of all */
	check_int(mb_counter_unwrap(16, 65535, 0), -1);
	/* half the range: up to one less ahead, from there behind */
	check_int(mb_counter_unwrap(16, 32767, 0), 32767);
	check_int(mb_counter_unwrap(16, 32768, 0), -32768);
	check_int(mb_counter_unwrap(16, 32768, 65536), 32768);
	check_int(mb_counter_unwrap(32, 0, INT64_C(0xFFFFFFFF)), INT64_C(0x100000000));
	check_int(mb_counter_unwrap(32, 0xFFFFFFFF, INT64_C(0x100000000)), INT64_C(0xFFFFFFFF));
	check_int(mb_counter_unwrap(32, 0x80000000, 0), -INT64_C(0x80000000));
}

/* Four rounds of a counter in steps of all sizes, losing and doubling some. */
static void
what_is_sent_in_order_is_unwrapped_in_order(void)
{
	for (int64_t step = 1; step < 32768; step = step * 3 + 1)
	{
		int64_t expected = 40000;

		for (int64_t sent = 40000; sent < 5 * 65536; sent += step)
		{
			int64_t got = mb_counter_unwrap(16, sent & 0xFFFF, expected);

			check_int(got, sent);
			check_int(mb_counter_unwrap(16, sent & 0xFFFF, sent + 1), sent);
			expected = got + 1;
		}
	}
}

int
main(void)
{
	check_run("a counter is the number nearest to the expected one",
			  a_counter_is_the_number_nearest_to_the_expected_one);
	check_run("what is sent in order is unwrapped in order",
			  what_is_sent_in_order_is_unwrapped_in_order);
	return check_done();
}
