/*
 * test_timeline.c
 *	  Where audio lies in time, with packets that are late and senders that pause.
 */
#include "check.h"
#include "core/audio/timeline.h"

#define PACKET INT64_C(20000) /* 20 ms */
#define N 3000

static mb_time_mark marks[N];
static mb_time_mark scratch[N];

/* N packets of 20 ms, the first at "start". */
static void
send_steadily(int64_t start)
{
	for (int i = 0; i < N; i++)
		marks[i] = (mb_time_mark){ i * PACKET, start };
}

static void
steady_packets_are_one_piece(void)
{
	check_int(mb_timeline_fit(marks, 0, scratch), 0);
	send_steadily(INT64_C(1700000000000000));
	check_int(mb_timeline_fit(marks, 1, scratch), 1);
	check_int(mb_timeline_fit(marks, N, scratch), 1);
	check_int(marks[0].place, 0);
	check_int(marks[0].shift, INT64_C(1700000000000000));
}

static void
late_packets_move_nothing(void)
{
	send_steadily(5000);
	for (int i = 0; i < N; i++)
		marks[i].shift += i * 7919 % 80 * 1000; /* jitter of 80 ms */
	for (int i = 0; i < 20; i++)
		marks[i].shift += 300000; /* and all of the first ones are late */
	for (int i = 500; i < 700; i++)
		marks[i].shift += (700 - i) * PACKET; /* four seconds that came at once */
	check_int(mb_timeline_fit(marks, N, scratch), 1);
	check_range(marks[0].shift, 5000, 6000);
}

static void
pauses_are_found_where_they_are(void)
{
	send_steadily(0);
	for (int i = 1000; i < N; i++)
		marks[i].shift += 2000000;
	for (int i = 2000; i < N; i++)
		marks[i].shift += 500000;
	check_int(mb_timeline_fit(marks, N, scratch), 3);
	check_int(marks[1].place, 1000 * PACKET);
	check_int(marks[1].shift, 2000000);
	check_int(marks[2].place, 2000 * PACKET);
	check_int(marks[2].shift, 2500000);
	/* a short one is jitter */
	send_steadily(0);
	for (int i = 1000; i < N; i++)
		marks[i].shift += MB_TIMELINE_TOLERANCE;
	check_int(mb_timeline_fit(marks, N, scratch), 1);
}

/* A clock that is set back cannot put audio over what was there. */
static void
time_never_runs_backwards(void)
{
	uint32_t random = 7;
	size_t n;

	send_steadily(0);
	for (int i = 0; i < N; i++)
	{
		random = random * 1664525 + 1013904223;
		marks[i].shift = (int64_t) (random >> 8) * 1000 - 4000000000;
	}
	n = mb_timeline_fit(marks, N, scratch);
	check_range(n, 1, N);
	for (size_t i = 1; i < n; i++)
		check(marks[i].place > marks[i - 1].place && marks[i].shift > marks[i - 1].shift);
	send_steadily(0);
	for (int i = 1500; i < N; i++)
		marks[i].shift -= 60000000;
	check_int(mb_timeline_fit(marks, N, scratch), 1);
	check_int(marks[0].shift, 0);
}

int
main(void)
{
	check_run("steady packets are one piece", steady_packets_are_one_piece);
	check_run("late packets move nothing", late_packets_move_nothing);
	check_run("pauses are found where they are", pauses_are_found_where_they_are);
	check_run("time never runs backwards", time_never_runs_backwards);
	return check_done();
}
