/*
 * test_vad.c
 *	  Voice activity: times, thresholds and hangover on made signals, and what can be asked of it.
 */
#include "vad_signals.h"

static void
segment_times_are_those_of_the_signal(void)
{
	static const int rates[] = { 8000, 16000, 44100, 48000 };

	for (int r = 0; r < 4; r++)
	{
		/* the segment falls anywhere on the frames */
		for (int shift = 0; shift < 20; shift += 3)
		{
			signal s;
			heard h;

			begin(&s, rates[r], 1);
			add_noise(&s, -60, 1000 + shift);
			add_tone(&s, -25, -60, 700);
			add_noise(&s, -60, 1000);
			detect(&s, NULL, &h);
			REQUIRE(h.n == 2);
			check_int(h.events[0].kind, MB_VAD_SPEECH_STARTED);
			check_int(h.events[1].kind, MB_VAD_SPEECH_ENDED);
			check_int(h.events[0].onset, h.events[1].onset);
			/* within the frame in which it begins and ends */
			check_range(ms_of(h.events[1].onset, s.rate), 1000 + shift - 20, 1000 + shift + 20);
			check_range(ms_of(h.events[1].end, s.rate), 1700 + shift - 20, 1700 + shift + 20);
			/* known after 100 ms of speech, and 250 ms (13 frames) after its end */
			check_near(ms_of(h.events[0].detected - h.events[0].onset, s.rate), 100, 0.01);
			check_near(ms_of(h.events[1].detected - h.events[1].end, s.rate), 260, 0.01);
			check_range(h.events[1].level_dbfs, -26, -24.9);
			drop(&s);
		}
	}
}

static void
short_bursts_are_no_speech(void)
{
	for (int shift = 0; shift < 20; shift++)
	{
		signal s;
		heard h;

		begin(&s, 8000, 2);
		add_noise(&s, -60, 500 + shift);
		add_tone(&s, -20, -60, 60);
		add_noise(&s, -60, 500);
		add_tone(&s, -20, -60, 20);
		/* clicks further apart than a pause within speech do not add up */
		for (int i = 0; i < 8; i++)
		{
			add_noise(&s, -60, 85);
			add_tone(&s, -20, -60, 20);
		}
		detect(&s, NULL, &h);
		check_int(h.n, 0);
		add_noise(&s, -60, 500);
		add_tone(&s, -20, -60, 120);
		add_noise(&s, -60, 500);
		detect(&s, NULL, &h);
		check_int(h.n, 2);
		drop(&s);
	}
}

static void
pauses_up_to_the_hangover_are_bridged(void)
{
	for (int pause = 100; pause <= 400; pause += 20)
	{
		signal s;
		heard h;

		begin(&s, 8000, (uint64_t) pause);
		add_noise(&s, -60, 1000);
		add_tone(&s, -25, -60, 500);
		add_noise(&s, -60, pause);
		add_tone(&s, -25, -60, 500);
		add_noise(&s, -60, 1000);
		detect(&s, NULL, &h);
		if (pause <= 240)
		{
			check_int(h.n, 2);
			check_range(ms_of(h.events[1].end, 8000), 1980 + pause, 2020 + pause);
		}
		else if (pause >= 260)
			check_int(h.n, 4);
		drop(&s);
	}
}

/* Levels around the thresholds, 9 dB up and 6 dB up, and the absolute one. */
static void
thresholds_are_where_they_are_said_to_be(void)
{
	signal s;
	heard h;
	mb_vad vad;

	/* a floor of -50 dBFS: 7 dB above does not start, 12 dB does */
	begin(&s, 8000, 4);
	add_noise(&s, -50, 3000);
	add_noise(&s, -43, 500);
	detect(&s, NULL, &h);
	check_int(h.n, 0);
	add_noise(&s, -50, 3000);
	add_noise(&s, -38, 500);
	/* once started, 7.5 dB above the floor goes on, 3 dB does not */
	add_noise(&s, -42.5, 700);
	detect(&s, NULL, &h);
	check_int(h.n, 2);
	check_range(ms_of(h.events[1].end, 8000), 7680, 7700);
	add_noise(&s, -47, 500);
	detect(&s, NULL, &h);
	check_int(h.n, 2);
	check_range(ms_of(h.events[1].end, 8000), 7680, 7720);
	drop(&s);

	/* on a line of digital silence -52 dBFS is no speech, -48 is */
	begin(&s, 8000, 5);
	add_silence(&s, 2000);
	add_noise(&s, -52, 500);
	add_silence(&s, 2000);
	detect(&s, NULL, &h);
	check_int(h.n, 0);
	add_noise(&s, -48, 500);
	add_silence(&s, 2000);
	detect(&s, NULL, &h);
	check_int(h.n, 2);
	drop(&s);

	/* the floor that is told is the noise's */
	begin(&s, 8000, 6);
	add_noise(&s, -47, 4000);
	mb_vad_init(&vad, 8000, &mb_vad_default_options);
	mb_vad_feed(&vad, s.samples, s.n);
	check_range(mb_vad_floor_dbfs(&vad), -50, -46.9);
	check_range(mb_vad_level_dbfs(&vad), -48.5, -45.5);
	drop(&s);
}

static void
result_does_not_depend_on_chunking(void)
{
	static const size_t sizes[] = { 1, 13, 159, 160, 161, 1024 };
	signal s;
	heard whole;

	begin(&s, 8000, 12);
	for (int i = 0; i < 12; i++)
	{
		add_noise(&s, -55, 100 + 37 * i);
		add_tone(&s, -30, -55, 60 + 41 * i);
	}
	add_tone(&s, -30, -55, 11); /* a last frame that is not full */
	detect(&s, NULL, &whole);
	check(whole.n > 4);
	for (size_t k = 0; k <= sizeof(sizes) / sizeof(sizes[0]); k++)
	{
		mb_vad vad;
		heard h = { 0 };
		mb_vad_options options = mb_vad_default_options;
		size_t position = 0;

		options.on_event = note_event;
		options.arg = &h;
		REQUIRE(mb_vad_init(&vad, 8000, &options) == MB_OK);
		/* twice, to see that flush starts anew */
		for (int turn = 0; turn < 2; turn++)
		{
			h.n = 0;
			position = 0;
			while (position < s.n)
			{
				size_t size = k < sizeof(sizes) / sizeof(sizes[0])
								  ? sizes[k]
								  : check_random_below(&s.random, 700);

				if (size > s.n - position)
					size = s.n - position;
				mb_vad_feed(&vad, s.samples + position, size);
				position += size;
			}
			mb_vad_flush(&vad);
			REQUIRE(h.n == whole.n);
			for (int i = 0; i < h.n; i++)
			{
				check_int(h.events[i].kind, whole.events[i].kind);
				check_int(h.events[i].onset, whole.events[i].onset);
				check_int(h.events[i].end, whole.events[i].end);
				check_int(h.events[i].detected, whole.events[i].detected);
				check(h.events[i].level_dbfs == whole.events[i].level_dbfs);
			}
		}
	}
	drop(&s);
}

/* What a conversation asks of the detector while it runs. */
static void
state_can_be_asked_at_any_time(void)
{
	signal s;
	mb_vad vad;

	begin(&s, 8000, 13);
	add_noise(&s, -60, 1000);
	add_tone(&s, -25, -60, 1000);
	add_noise(&s, -60, 1000);
	REQUIRE(mb_vad_init(&vad, 8000, &mb_vad_default_options) == MB_OK);
	for (int frame = 0; frame < 150; frame++)
	{
		int ms = 20 * (frame + 1);

		mb_vad_feed(&vad, s.samples + 160 * frame, 160);
		check_int(mb_vad_speaking(&vad), ms >= 1100 && ms < 2260);
		if (ms <= 1000 || ms >= 2260)
		{
			check_int(mb_vad_speech_ms(&vad), 0);
			check_int(mb_vad_quiet_ms(&vad), 0);
		}
		else
		{
			check_int(mb_vad_speech_ms(&vad), (ms < 2000 ? ms : 2000) - 1000);
			check_int(mb_vad_quiet_ms(&vad), ms < 2000 ? 0 : ms - 2000);
		}
	}
	drop(&s);
}

static void
bad_arguments_are_refused(void)
{
	mb_vad vad;
	mb_vad_options options = mb_vad_default_options;

	check_int(mb_vad_init(&vad, 11025, &options), MB_ERR_RATE);
	check_int(mb_vad_init(&vad, 0, &options), MB_ERR_RATE);
#define REFUSED(field, value)                                                                      \
	options = mb_vad_default_options;                                                              \
	options.field = (value);                                                                       \
	check_int(mb_vad_init(&vad, 8000, &options), MB_ERR_RANGE)
	REFUSED(on_db, 2.9);
	REFUSED(on_db, 41);
	REFUSED(on_db, NAN);
	REFUSED(off_db, 0.5);
	REFUSED(off_db, 9.5);
	REFUSED(off_db, NAN);
	REFUSED(min_dbfs, -91);
	REFUSED(min_dbfs, 1);
	REFUSED(min_dbfs, -INFINITY);
	REFUSED(start_ms, 19);
	REFUSED(start_ms, 1001);
	REFUSED(hangover_ms, 0);
	REFUSED(hangover_ms, 10001);
	/* without a callback the state can still be asked */
	check_int(mb_vad_init(&vad, 8000, &mb_vad_default_options), MB_OK);
	mb_vad_flush(&vad);
}

int
main(void)
{
	check_run("segment times are those of the signal", segment_times_are_those_of_the_signal);
	check_run("short bursts are no speech", short_bursts_are_no_speech);
	check_run("pauses up to the hangover are bridged", pauses_up_to_the_hangover_are_bridged);
	check_run("thresholds are where they are said to be", thresholds_are_where_they_are_said_to_be);
	check_run("the result does not depend on chunking", result_does_not_depend_on_chunking);
	check_run("the state can be asked at any time", state_can_be_asked_at_any_time);
	check_run("bad arguments are refused", bad_arguments_are_refused);
	return check_done();
}
