/*
 * test_frame_collector.c
 *	  Cutting a stream of symbols into frames.
 */
#include "check.h"
#include "core/command/frame_collector.h"

static mb_frame_collector collector;
static char collected[MB_COLLECTED_MAX + 1];
static size_t collected_n;

/* Plays symbols of 70 ms with pauses of 70 ms from a time on; what the last one gave. */
static mb_collected
play(const char *symbols, int64_t *at_ms)
{
	mb_collected result = MB_COLLECTED_NOTHING;

	for (; *symbols != '\0'; symbols++)
	{
		result = mb_frame_collector_add(&collector, *symbols, *at_ms, 70, collected, &collected_n);
		*at_ms += 140;
	}
	return result;
}

static void
frames_are_collected(void)
{
	const char *frame = "*070112345678000042608379340855#";
	int64_t at = 1000;

	mb_frame_collector_init(&collector);
	check_int(play("12#3", &at), MB_COLLECTED_NOTHING); /* before a frame */
	check_int(play(frame, &at), MB_COLLECTED_FRAME);
	check_string(collected, frame);
	check_int(collected_n, MB_COMMAND_FRAME_LENGTH);
	check_int(play("99#", &at), MB_COLLECTED_NOTHING); /* after one */

	/* a star starts over */
	check_int(play("*07011234", &at), MB_COLLECTED_NOTHING);
	check_int(play(frame, &at), MB_COLLECTED_FRAME);
	check_string(collected, frame);

	/* what is too long is seen to be, however long */
	check_int(play("*0000000000000000000000000000000000000000000000000000000000000", &at),
			  MB_COLLECTED_NOTHING);
	check_int(play("#", &at), MB_COLLECTED_FRAME);
	check_int(collected_n, MB_COLLECTED_MAX);

	check_int(play("*#", &at), MB_COLLECTED_FRAME);
	check_string(collected, "*#");
}

static void
a_pause_of_three_seconds_ends_a_frame(void)
{
	int64_t at = 0;

	mb_frame_collector_init(&collector);
	check_int(play("*0701", &at), MB_COLLECTED_NOTHING);
	/* the last tone ended 70 ms before "at" */
	at += MB_FRAME_PAUSE_MS - 70 - 1;
	check_int(play("2", &at), MB_COLLECTED_NOTHING);
	at += MB_FRAME_PAUSE_MS - 70;
	check_int(play("3", &at), MB_COLLECTED_CUT_OFF);
	check_string(collected, "*07012");
	check_int(play("4#", &at), MB_COLLECTED_NOTHING);

	/* silence alone ends it too, once */
	check_int(play("*1", &at), MB_COLLECTED_NOTHING);
	check_int(mb_frame_collector_silence(&collector, at - 70 + 2999, collected, &collected_n),
			  MB_COLLECTED_NOTHING);
	check_int(mb_frame_collector_silence(&collector, at - 70 + 3000, collected, &collected_n),
			  MB_COLLECTED_CUT_OFF);
	check_string(collected, "*1");
	check_int(mb_frame_collector_silence(&collector, INT64_MAX, collected, &collected_n),
			  MB_COLLECTED_NOTHING);

	/* after the pause a star begins the next frame at once */
	check_int(play("*12", &at), MB_COLLECTED_NOTHING);
	at += 10000;
	check_int(play("*", &at), MB_COLLECTED_CUT_OFF);
	check_string(collected, "*12");
	check_int(play("34#", &at), MB_COLLECTED_FRAME);
	check_string(collected, "*34#");
}

/* Clocks that jump must not lose a frame or overflow. */
static void
odd_times_do_no_harm(void)
{
	mb_frame_collector_init(&collector);
	mb_frame_collector_add(&collector, '*', INT64_MIN, 70, collected, &collected_n);
	check_int(
		mb_frame_collector_add(&collector, '1', INT64_MAX, INT64_MAX, collected, &collected_n),
		MB_COLLECTED_CUT_OFF);
	mb_frame_collector_add(&collector, '*', INT64_MAX, INT64_MAX, collected, &collected_n);
	check_int(mb_frame_collector_add(&collector, '1', 0, -5, collected, &collected_n),
			  MB_COLLECTED_NOTHING);
	check_int(mb_frame_collector_add(&collector, '#', -100, 70, collected, &collected_n),
			  MB_COLLECTED_FRAME);
	check_string(collected, "*1#");
}

int
main(void)
{
	check_run("frames are collected", frames_are_collected);
	check_run("a pause of three seconds ends a frame", a_pause_of_three_seconds_ends_a_frame);
	check_run("odd times do no harm", odd_times_do_no_harm);
	return check_done();
}
