/*
 * level.c
 *	  RMS and peak levels: see level.h for the references.
 *
 * Sums are exact integers; logarithms are taken only when somebody asks.
 */
#include "core/audio/level.h"

#include <math.h>

/* Mean square of 0 dBFS. */
#define FULL_SCALE_POWER (32768.0 * 32768.0)

void
mb_level_init(mb_level *level)
{
	*level = (mb_level){ 0 };
	level->minimum = INT16_MAX;
	level->maximum = INT16_MIN;
}

void
mb_level_feed(mb_level *level, const int16_t *samples, size_t n)
{
	uint64_t squares = 0;
	int64_t sum = 0;
	uint64_t clipped = 0;
	int32_t minimum = level->minimum;
	int32_t maximum = level->maximum;

	for (size_t i = 0; i < n; i++)
	{
		int32_t sample = samples[i];

		squares += (uint32_t) (sample * sample);
		sum += sample;
		clipped += sample == INT16_MAX || sample == INT16_MIN;
		minimum = sample < minimum ? sample : minimum;
		maximum = sample > maximum ? sample : maximum;
	}
	level->n += n;
	level->sum_of_squares += squares;
	level->sum += sum;
	level->clipped += clipped;
	level->minimum = minimum;
	level->maximum = maximum;
}

void
mb_level_combine(mb_level *level, const mb_level *other)
{
	level->n += other->n;
	level->sum_of_squares += other->sum_of_squares;
	level->sum += other->sum;
	level->clipped += other->clipped;
	if (other->minimum < level->minimum)
		level->minimum = other->minimum;
	if (other->maximum > level->maximum)
		level->maximum = other->maximum;
}

static double
mean_square(const mb_level *level)
{
	return level->n == 0 ? 0 : (double) level->sum_of_squares / (double) level->n;
}

double
mb_level_rms_dbfs(const mb_level *level)
{
	return mb_dbfs_from_power(mean_square(level));
}

double
mb_level_rms_dbm0(const mb_level *level)
{
	double power = mean_square(level);

	/* a sine's mean square is half its peak's square */
	return power > 0 ? 10 * log10(power / (MB_DBM0_PEAK * MB_DBM0_PEAK / 2)) : -INFINITY;
}

double
mb_level_peak_dbfs(const mb_level *level)
{
	double peak;

	if (level->n == 0)
		return -INFINITY;
	peak = fmax(fabs((double) level->minimum), fabs((double) level->maximum));
	/* the positive end of the range is full scale as well */
	if (level->maximum == INT16_MAX)
		peak = 32768;
	return mb_dbfs_from_power(peak * peak);
}

double
mb_level_dc(const mb_level *level)
{
	return level->n == 0 ? 0 : (double) level->sum / (double) level->n / 32768.0;
}

double
mb_dbfs_from_power(double power)
{
	return power > 0 ? 10 * log10(power / FULL_SCALE_POWER) : -INFINITY;
}

double
mb_power_from_dbfs(double dbfs)
{
	return FULL_SCALE_POWER * pow(10, dbfs / 10);
}
