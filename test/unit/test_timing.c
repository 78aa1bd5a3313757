/*
 * test_timing.c
 *	  Times of segments and words as engines give them, good and bad, and what is made of them.
 */
#include "core/text/timing.h"

#include "check.h"

#define UNKNOWN NAN
#define MAX_PIECES 200

static mb_timing
piece(double start, double end)
{
	return (mb_timing){ .start = start, .end = end };
}

static void
check_piece(const mb_timing *got, double start, double end)
{
	check_near(got->start, start, 1e-9);
	check_near(got->end, end, 1e-9);
}

static void
good_times_stay(void)
{
	mb_timing pieces[] = { piece(0, 1.5), piece(2, 3), piece(3, 10) };

	mb_timing_mend(pieces, 3, 0, 10);
	check_piece(&pieces[0], 0, 1.5);
	check_piece(&pieces[1], 2, 3);
	check_piece(&pieces[2], 3, 10);
}

static void
one_that_runs_backwards_lies_between_its_neighbours(void)
{
	mb_timing pieces[] = { piece(1, 2), piece(0.5, 1), piece(4, 5) };
	mb_timing outlier[] = { piece(1, 2), piece(59, 60), piece(4, 5), piece(6, 7) };

	mb_timing_mend(pieces, 3, 0, 10);
	/* either of the two first could be trusted; the earlier start is */
	check_piece(&pieces[0], 0, 0.5);
	check_piece(&pieces[1], 0.5, 1);
	check_piece(&pieces[2], 4, 5);

	mb_timing_mend(outlier, 4, 0, 60);
	check_piece(&outlier[0], 1, 2);
	check_piece(&outlier[1], 2, 4);
	check_piece(&outlier[2], 4, 5);
	check_piece(&outlier[3], 6, 7);
}

static void
all_that_run_backwards_are_in_order(void)
{
	mb_timing pieces[] = { piece(8, 9), piece(6, 7), piece(4, 5), piece(2, 3) };

	mb_timing_mend(pieces, 4, 0, 12);
	check_piece(&pieces[0], 0, 2. / 3);
	check_piece(&pieces[1], 2. / 3, 4. / 3);
	check_piece(&pieces[2], 4. / 3, 2);
	check_piece(&pieces[3], 2, 3);
}

static void
what_is_not_known_is_spread_evenly(void)
{
	mb_timing all[] = { piece(UNKNOWN, UNKNOWN), piece(INFINITY, -INFINITY), piece(-50, 5000) };
	mb_timing middle[] = { piece(0, 2), piece(UNKNOWN, UNKNOWN), piece(UNKNOWN, UNKNOWN),
						   piece(6, 7) };
	mb_timing open[] = { piece(1, UNKNOWN), piece(UNKNOWN, UNKNOWN), piece(4, UNKNOWN) };

	mb_timing_mend(all, 3, 10, 40);
	check_piece(&all[0], 10, 20);
	check_piece(&all[1], 20, 30);
	check_piece(&all[2], 30, 40);

	mb_timing_mend(middle, 4, 0, 10);
	check_piece(&middle[1], 2, 4);
	check_piece(&middle[2], 4, 6);

	/* of a piece without an end it is not known where it stops, so it shares with those behind it */
	mb_timing_mend(open, 3, 0, 10);
	check_piece(&open[0], 1, 2.5);
	check_piece(&open[1], 2.5, 4);
	check_piece(&open[2], 4, 10);
}

static void
the_edges_hold(void)
{
	mb_timing pieces[] = { piece(-0.3, 1), piece(2, 1.5), piece(9, 30), piece(10.4, 10.9) };

	mb_timing_mend(pieces, 4, 0, 10);
	check_piece(&pieces[0], 0, 1);
	check_piece(&pieces[1], 2, 9);
	check_piece(&pieces[2], 9, 10);
	check_piece(&pieces[3], 10, 10);
}

static void
nobody_speaks_over_himself(void)
{
	mb_timing one[] = { piece(0, 5), piece(3, 4), piece(3.5, 8) };
	mb_timing two[] = { piece(0, 5), piece(3, 4), piece(4.5, 8) };

	mb_timing_mend(one, 3, 0, 10);
	check_piece(&one[0], 0, 3);
	check_piece(&one[1], 3, 3.5);
	check_piece(&one[2], 3.5, 8);

	two[1].speaker = 1;
	mb_timing_mend(two, 3, 0, 10);
	check_piece(&two[0], 0, 4.5);
	check_piece(&two[1], 3, 4);
	check_piece(&two[2], 4.5, 8);
}

static double
any_time(check_random *random)
{
	switch (check_random_below(random, 1000) % 8)
	{
		case 0:
			return NAN;
		case 1:
			return check_random_below(random, 1000) % 2 ? INFINITY : -1e300;
		case 2:
			return (double) (check_random_below(random, 1000) % 100) - 20;
		default:
			return (double) (check_random_below(random, 1000) % 600) / 10;
	}
}

static void
whatever_comes_ends_in_order(void)
{
	check_random random = { 20240907 };

	for (int round = 0; round < 20000; round++)
	{
		mb_timing pieces[MAX_PIECES];
		size_t n = check_random_below(&random, 1000) % (round % 100 ? 12 : MAX_PIECES);
		double from = (double) (check_random_below(&random, 1000) % 20);
		double to = from + (double) (check_random_below(&random, 1000) % 40);

		for (size_t i = 0; i < n; i++)
			pieces[i] = (mb_timing){ .start = any_time(&random),
									 .end = any_time(&random),
									 .speaker = check_random_below(&random, 1000) % (i + 1) % 3 };
		mb_timing_mend(pieces, n, from, to);
		for (size_t i = 0; i < n; i++)
		{
			check(pieces[i].start >= from && pieces[i].start <= pieces[i].end &&
				  pieces[i].end <= to);
			check(i == 0 || pieces[i].start >= pieces[i - 1].start);
			for (size_t k = i + 1; k < n; k++)
				check(pieces[k].speaker != pieces[i].speaker || pieces[k].start >= pieces[i].end);
		}
	}
}

int
main(void)
{
	check_run("good times stay as they are", good_times_stay);
	check_run("a piece that runs backwards lies between its neighbours",
			  one_that_runs_backwards_lies_between_its_neighbours);
	check_run("pieces that all run backwards are in order", all_that_run_backwards_are_in_order);
	check_run("what is not known is spread evenly", what_is_not_known_is_spread_evenly);
	check_run("nothing lies outside of the recording", the_edges_hold);
	check_run("nobody speaks over himself", nobody_speaks_over_himself);
	check_run("whatever an engine says, the times end in order", whatever_comes_ends_in_order);
	return check_done();
}
