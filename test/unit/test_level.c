/*
 * test_level.c
 *	  Levels of signals whose levels are known.
 */
#include "check.h"
#include "core/audio/level.h"

#define PI 3.14159265358979323846

static void
known_signals_have_known_levels(void)
{
	int16_t samples[8000];
	mb_level level;

	/* sine of 0 dBm0 with whole periods */
	for (int i = 0; i < 8000; i++)
		samples[i] = (int16_t) lrint(MB_DBM0_PEAK * sin(2 * PI * 1000 * i / 8000.0 + 0.3));
	mb_level_init(&level);
	mb_level_feed(&level, samples, 8000);
	check_near(mb_level_rms_dbm0(&level), 0.0, 0.001);
	check_near(mb_level_rms_dbfs(&level), 20 * log10(MB_DBM0_PEAK / sqrt(2) / 32768), 0.001);
	check_near(mb_level_dc(&level), 0.0, 1e-6);
	check_int(level.clipped, 0);

	/* square of full scale: 0 dBFS RMS and peak, all clipped */
	for (int i = 0; i < 8000; i++)
		samples[i] = i % 2 ? 32767 : -32768;
	mb_level_init(&level);
	mb_level_feed(&level, samples, 8000);
	check_near(mb_level_rms_dbfs(&level), 0.0, 0.001);
	check_near(mb_level_peak_dbfs(&level), 0.0, 1e-9);
	check_int(level.clipped, 8000);
	check_near(mb_level_dc(&level), -0.5 / 32768, 1e-9);

	/* half of full scale, constant */
	for (int i = 0; i < 8000; i++)
		samples[i] = 16384;
	mb_level_init(&level);
	mb_level_feed(&level, samples, 8000);
	check_near(mb_level_rms_dbfs(&level), -6.0206, 0.0001);
	check_near(mb_level_peak_dbfs(&level), -6.0206, 0.0001);
	check_near(mb_level_dc(&level), 0.5, 1e-12);

	/* positive full scale alone has peak 0 dBFS */
	samples[0] = 32767;
	mb_level_init(&level);
	mb_level_feed(&level, samples, 1);
	check_near(mb_level_peak_dbfs(&level), 0.0, 1e-9);
}

static void
silence_and_nothing_have_no_level(void)
{
	int16_t zero[10] = { 0 };
	mb_level level;

	mb_level_init(&level);
	check(isinf(mb_level_rms_dbfs(&level)) && mb_level_rms_dbfs(&level) < 0);
	check(isinf(mb_level_peak_dbfs(&level)) && mb_level_peak_dbfs(&level) < 0);
	check(isinf(mb_level_rms_dbm0(&level)) && mb_level_rms_dbm0(&level) < 0);
	check(mb_level_dc(&level) == 0);
	mb_level_feed(&level, zero, 10);
	check_int(level.n, 10);
	check(isinf(mb_level_rms_dbfs(&level)) && mb_level_rms_dbfs(&level) < 0);
	check(isinf(mb_level_peak_dbfs(&level)) && mb_level_peak_dbfs(&level) < 0);
}

static void
parts_combine_to_the_whole(void)
{
	check_random random = { 3 };
	int16_t samples[1000];
	mb_level whole;

	for (int i = 0; i < 1000; i++)
		samples[i] = (int16_t) check_random_bits(&random);
	mb_level_init(&whole);
	mb_level_feed(&whole, samples, 1000);
	for (size_t cut = 0; cut <= 1000; cut += 37)
	{
		mb_level first;
		mb_level second;

		mb_level_init(&first);
		mb_level_init(&second);
		mb_level_feed(&first, samples, cut);
		mb_level_feed(&second, samples + cut, 1000 - cut);
		mb_level_combine(&first, &second);
		check_int(first.n, whole.n);
		check_int(first.sum, whole.sum);
		check_int(first.sum_of_squares, whole.sum_of_squares);
		check_int(first.clipped, whole.clipped);
		check_int(first.minimum, whole.minimum);
		check_int(first.maximum, whole.maximum);
	}
}

static void
decibels_and_powers_are_inverse(void)
{
	for (double dbfs = -90; dbfs <= 0; dbfs += 7.5)
		check_near(mb_dbfs_from_power(mb_power_from_dbfs(dbfs)), dbfs, 1e-9);
	check_near(mb_power_from_dbfs(0), 32768.0 * 32768.0, 1e-3);
}

int
main(void)
{
	check_run("known signals have known levels", known_signals_have_known_levels);
	check_run("silence and nothing have no level", silence_and_nothing_have_no_level);
	check_run("parts combine to the whole", parts_combine_to_the_whole);
	check_run("decibels and powers are inverse", decibels_and_powers_are_inverse);
	return check_done();
}
