/*
 * test_activity.c
 *	  What a frame of a live call holds: voices made of harmonics, with the agent's own coming back.
 */
#include "check.h"

#include "core/audio/level.h"
#include "core/conversation/activity.h"

#define RATE 8000
#define SECONDS 30
#define SAMPLES (RATE * SECONDS)
#define FRAMES (SAMPLES / 160)
#define PI 3.14159265358979323846

static double agent[SAMPLES];
static double caller[SAMPLES];
static int16_t line[SAMPLES];
static uint8_t flags[FRAMES];

/* Adds a voice: syllables of 100 to 300 ms with pauses between, of this level while it sounds. */
static void
add_voice(double *out, double from, double to, double dbfs, double pitch, uint64_t seed)
{
	check_random random = { seed };
	double peak = sqrt(mb_power_from_dbfs(dbfs)) * 0.9;
	double phase = 0;

	for (size_t i = (size_t) (from * RATE); i < (size_t) (to * RATE);)
	{
		size_t length = (size_t) (RATE * (0.1 + 0.2 * check_random_uniform(&random)));
		size_t pause = (size_t) (RATE * (0.03 + (check_random_below(&random, 5) == 0 ? 0.3 : 0.05) *
													check_random_uniform(&random)));
		double loud = peak * (0.5 + check_random_uniform(&random));
		double f = pitch * (0.85 + 0.3 * check_random_uniform(&random));

		for (size_t k = 0; k < length && i < (size_t) (to * RATE); k++, i++)
		{
			double shape = sin(PI * (double) k / (double) length);

			phase += 2 * PI * f / RATE;
			for (int h = 2; h <= 9; h++)
				out[i] += loud * shape * sin(h * phase) * 0.6 / sqrt(h - 1);
		}
		i += pause;
	}
}

/* The line: the caller, noise, and the agent's voice after so many ms with so many dB less. */
static void
mix(double noise_dbfs, int delay_ms, double loss_db, uint64_t seed)
{
	check_random random = { seed };
	double noise = sqrt(mb_power_from_dbfs(noise_dbfs));
	size_t delay = (size_t) delay_ms * RATE / 1000;

	for (size_t i = 0; i < SAMPLES; i++)
	{
		double value = caller[i] + noise * check_random_normal(&random);

		if (i >= delay)
			value += agent[i - delay] * pow(10, -loss_db / 20);
		line[i] = (int16_t) lrint(fmax(-32768, fmin(32767, value)));
	}
}

static double
level_of(const double *samples)
{
	double power = 0;

	for (int i = 0; i < 160; i++)
		power += samples[i] * samples[i] / 160;
	return power > 0 ? mb_dbfs_from_power(power) : -INFINITY;
}

static void
detect(mb_activity *activity)
{
	REQUIRE(mb_activity_init(activity, &mb_activity_default_options) == MB_OK);
	for (int i = 0; i < FRAMES; i++)
		flags[i] =
			mb_activity_feed(activity, line + i * 160, level_of(agent + i * 160), false).flags;
}

/* Share of the frames between two times that have these flags and not those, of those with more power than a level. */
static double
share(const double *of, double from, double to, double dbfs, uint8_t wanted, uint8_t unwanted)
{
	int all = 0;
	int n = 0;

	for (int i = (int) (from * 50); i < (int) (to * 50); i++)
	{
		if (of != NULL && level_of(of + i * 160) < dbfs)
			continue;
		all++;
		n += (flags[i] & wanted) == wanted && (flags[i] & unwanted) == 0;
	}
	return all > 0 ? (double) n / all : -1;
}

static void
silence_of_both(void)
{
	memset(agent, 0, sizeof(agent));
	memset(caller, 0, sizeof(caller));
}

static void
the_callers_voice_is_active_and_voiced(void)
{
	mb_activity activity;

	silence_of_both();
	add_voice(caller, 2, 10, -25, 140, 1);
	mix(-60, 0, 200, 2);
	detect(&activity);
	check_range(share(caller, 2, 10, -30, MB_FRAME_ACTIVE, MB_FRAME_ECHO), 0.98, 1);
	check_range(share(caller, 2, 10, -30, MB_FRAME_ACTIVE | MB_FRAME_VOICED, 0), 0.9, 1);
	check_range(share(NULL, 11, 29, 0, MB_FRAME_ACTIVE, 0), 0, 0.01);
	/* no bar when we are silent */
	check_range(share(NULL, 0, 29, 0, MB_FRAME_ECHO, 0), 0, 0);
}

static void
the_path_of_the_echo_is_learnt(void)
{
	static const struct
	{
		int delay_ms;
		double loss_db;
	} paths[] = { { 60, 15 }, { 200, 20 }, { 340, 25 }, { 580, 20 }, { 120, 10 } };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
	{
		mb_activity activity;
		int delay = -1;
		double loss = 0;

		silence_of_both();
		add_voice(agent, 1, 20, -18, 190, 3 + i);
		mix(-60, paths[i].delay_ms, paths[i].loss_db, 4);
		detect(&activity);
		REQUIRE(mb_activity_echo(&activity, &delay, &loss));
		check_near(delay, paths[i].delay_ms, 20);
		check_near(loss, paths[i].loss_db, 3);
		/* after three seconds nothing of it is taken for the caller */
		check_range(share(NULL, 4, 20, 0, MB_FRAME_ACTIVE, MB_FRAME_ECHO), 0, 0.02);
		check_note("%d ms, %.0f dB: %d ms, %.1f dB, %.1f %% of frames taken for the caller, %.1f "
				   "%% in the first 3 s",
				   paths[i].delay_ms, paths[i].loss_db, delay, loss,
				   100 * share(NULL, 4, 20, 0, MB_FRAME_ACTIVE, MB_FRAME_ECHO),
				   100 * share(NULL, 1, 4, 0, MB_FRAME_ACTIVE, MB_FRAME_ECHO));
	}
}

/* A drone of this level, which teaches by its beginning and its end only. */
static void
add_drone(double *out, double from, double to, double dbfs)
{
	double peak = sqrt(mb_power_from_dbfs(dbfs) * 2 / 7);

	for (size_t i = (size_t) (from * RATE); i < (size_t) (to * RATE); i++)
		for (int h = 2; h < 9; h++)
			out[i] += peak * sin(2 * PI * 150 * h * (double) i / RATE);
}

/* The noise of the line hides a part of what the echo adds, and comes on top of it. */
static void
an_echo_in_noise_is_told(void)
{
	static const double noises[] = { -50, -45, -42, -38 };

	for (size_t i = 0; i < sizeof(noises) / sizeof(noises[0]); i++)
		for (int drones = 0; drones < 2; drones++)
		{
			mb_activity activity;
			double heard;

			silence_of_both();
			if (drones)
			{
				add_drone(agent, 0, 1.5, -18);
				add_drone(agent, 4.3, 14, -18);
				add_drone(agent, 16, 28, -18);
			}
			else
			{
				add_voice(agent, 0, 1.5, -18, 190, 21 + i);
				add_voice(agent, 4.3, 14, -18, 190, 31 + i);
				add_voice(agent, 16, 28, -18, 190, 41 + i);
			}
			add_voice(caller, 22, 25, -20, 120, 51 + i);
			mix(noises[i], 120, 20, 61 + i);
			detect(&activity);
			check_range(share(NULL, 4.3, 21, 0, MB_FRAME_ACTIVE, MB_FRAME_ECHO), 0, 0.02);
			heard = share(caller, 22, 25, -24, MB_FRAME_ACTIVE, MB_FRAME_ECHO);
			check_range(heard, 0.85, 1);
			check_note(
				"%.0f dBFS of noise, %s: %.1f %% of frames taken for the caller, %.0f %% of his "
				"heard",
				noises[i], drones ? "a drone" : "a voice",
				100 * share(NULL, 4.3, 21, 0, MB_FRAME_ACTIVE, MB_FRAME_ECHO), 100 * heard);
		}
}

/* Adds bursts of noise, ten a second, as of rain on a car or of keys. */
static void
add_bursts(double *out, double from, double to, double dbfs, uint64_t seed)
{
	check_random random = { seed };
	double peak = sqrt(mb_power_from_dbfs(dbfs));
	double drop = 0;

	for (size_t i = (size_t) (from * RATE); i < (size_t) (to * RATE); i++)
	{
		if (check_random_below(&random, RATE / 10) == 0)
			drop = 0.5 + check_random_uniform(&random);
		drop *= exp(-1 / (0.01 * RATE));
		out[i] += peak * drop * check_random_normal(&random);
	}
}

/* A noise that comes and goes hides how the echo follows us; that is no sign of its absence. */
static void
an_echo_is_not_denied_for_a_noise(void)
{
	for (uint64_t seed = 0; seed < 4; seed++)
	{
		mb_activity activity;
		double taken;
		double heard;

		silence_of_both();
		add_voice(agent, 2.5, 28, -18, 190, 71 + seed);
		add_bursts(caller, 0, 30, -20, 81 + seed);
		mix(-50, 120, 20, 91 + seed);
		detect(&activity);
		taken = share(NULL, 6, 28, 0, MB_FRAME_ACTIVE | MB_FRAME_VOICED, MB_FRAME_ECHO);
		check_range(taken, 0, 0.03);
		/* nor does it hide who speaks over it */
		add_voice(caller, 15, 16, -18, 120, 101 + seed);
		mix(-50, 120, 20, 91 + seed);
		detect(&activity);
		heard = share(caller, 15, 16, -22, MB_FRAME_ACTIVE, MB_FRAME_ECHO);
		check_range(heard, 0.8, 1);
		check_note("%.1f %% of frames taken for the caller, %.0f %% of his heard", 100 * taken,
				   100 * heard);
	}
}

/* The agent greets before anything is known of the line. */
static void
a_noise_is_learnt_while_the_agent_greets(void)
{
	mb_activity activity;

	silence_of_both();
	add_voice(agent, 0, 28, -18, 190, 111);
	mix(-33, 120, 25, 112);
	detect(&activity);
	check_range(share(NULL, 3, 28, 0, MB_FRAME_ACTIVE, MB_FRAME_ECHO), 0, 0.02);
	check_range(share(NULL, 3, 28, 0, MB_FRAME_NOISY, 0), 0.98, 1);
}

static void
a_caller_over_the_echo_is_heard(void)
{
	mb_activity activity;
	double heard;

	silence_of_both();
	add_voice(agent, 1, 28, -18, 190, 5);
	add_voice(caller, 15, 18, -25, 120, 6);
	add_voice(caller, 22, 25, -25, 120, 7);
	mix(-60, 200, 20, 8);
	detect(&activity);
	heard = share(caller, 15, 25, -30, MB_FRAME_ACTIVE, MB_FRAME_ECHO);
	check_range(heard, 0.85, 1);
	check_note("%.0f %% of a caller's frames over an echo 13 dB below are heard", 100 * heard);
	/* and the echo is told from him afterwards as before */
	check_range(share(NULL, 25.4, 28, 0, MB_FRAME_ACTIVE, MB_FRAME_ECHO), 0, 0.02);
}

/* On a line without echo a quiet caller is heard while we play, once that is known. */
static void
without_an_echo_there_is_no_bar(void)
{
	mb_activity activity;
	int delay;
	double loss;

	silence_of_both();
	add_voice(agent, 1, 28, -15, 190, 9);
	add_voice(caller, 15, 25, -36, 120, 10);
	mix(-65, 0, 200, 11);
	detect(&activity);
	check(!mb_activity_echo(&activity, &delay, &loss));
	check_range(share(caller, 15, 25, -40, MB_FRAME_ACTIVE, MB_FRAME_ECHO), 0.95, 1);
}

static void
an_echo_does_not_raise_the_floor(void)
{
	mb_activity activity;
	double before;

	silence_of_both();
	/* a drone without a pause, which block minima alone would learn */
	add_drone(agent, 5, 25, -21);
	mix(-60, 100, 15, 12);
	REQUIRE(mb_activity_init(&activity, &mb_activity_default_options) == MB_OK);
	for (int i = 0; i < 5 * 50; i++)
		mb_activity_feed(&activity, line + i * 160, level_of(agent + i * 160), false);
	before = mb_vad_floor_dbfs(&activity.vad);
	for (int i = 5 * 50; i < 24 * 50; i++)
		mb_activity_feed(&activity, line + i * 160, level_of(agent + i * 160), false);
	check_near(mb_vad_floor_dbfs(&activity.vad), before, 1);
}

static void
tones_are_blanked(void)
{
	mb_activity activity;

	silence_of_both();
	for (size_t i = 2 * RATE; i < (size_t) (2.1 * RATE); i++)
		caller[i] =
			3000 * (sin(2 * PI * 697 * (double) i / RATE) + sin(2 * PI * 1209 * (double) i / RATE));
	mix(-60, 0, 200, 13);
	REQUIRE(mb_activity_init(&activity, &mb_activity_default_options) == MB_OK);
	for (int i = 0; i < 200; i++)
		flags[i] =
			mb_activity_feed(&activity, line + i * 160, -INFINITY, i >= 101 && i < 106).flags;
	check(flags[103] & MB_FRAME_TONE);
	check(flags[107] & MB_FRAME_TONE);
	check(!(flags[110] & MB_FRAME_TONE));
	check(!(flags[100] & MB_FRAME_TONE));
	/* what a voice makes the receiver hope for is none */
	REQUIRE(mb_activity_init(&activity, &mb_activity_default_options) == MB_OK);
	for (int i = 0; i < 200; i++)
		check(!(mb_activity_feed(&activity, line + i * 160, -INFINITY, i % 5 < 2).flags &
				MB_FRAME_TONE));
}

static void
a_noisy_line_is_told(void)
{
	mb_activity activity;

	silence_of_both();
	mix(-30, 0, 200, 14);
	detect(&activity);
	check_range(share(NULL, 5, 29, 0, MB_FRAME_NOISY, 0), 1, 1);
	mix(-50, 0, 200, 14);
	detect(&activity);
	check_range(share(NULL, 5, 29, 0, MB_FRAME_NOISY, 0), 0, 0);
}

static void
options_have_ranges(void)
{
	mb_activity activity;
	mb_activity_options options = mb_activity_default_options;

	options.margin_db = NAN;
	check_int(mb_activity_init(&activity, &options), MB_ERR_RANGE);
	options = mb_activity_default_options;
	options.start_loss_db = 61;
	check_int(mb_activity_init(&activity, &options), MB_ERR_RANGE);
	options = mb_activity_default_options;
	options.noisy_dbfs = 1;
	check_int(mb_activity_init(&activity, &options), MB_ERR_RANGE);
	options = mb_activity_default_options;
	options.vad.on_db = 2;
	check_int(mb_activity_init(&activity, &options), MB_ERR_RANGE);
	check_note("%zu bytes", sizeof(mb_activity));
}

int
main(void)
{
	check_run("the caller's voice is active and voiced", the_callers_voice_is_active_and_voiced);
	check_run("the path of the echo is learnt, and its frames are told",
			  the_path_of_the_echo_is_learnt);
	check_run("an echo in noise is told", an_echo_in_noise_is_told);
	check_run("an echo is not denied for a noise", an_echo_is_not_denied_for_a_noise);
	check_run("a noise is learnt while the agent greets", a_noise_is_learnt_while_the_agent_greets);
	check_run("a caller over the echo is heard", a_caller_over_the_echo_is_heard);
	check_run("without an echo there is no bar", without_an_echo_there_is_no_bar);
	check_run("an echo does not raise the floor", an_echo_does_not_raise_the_floor);
	check_run("tones are blanked", tones_are_blanked);
	check_run("a noisy line is told", a_noisy_line_is_told);
	check_run("options have ranges", options_have_ranges);
	return check_done();
}
