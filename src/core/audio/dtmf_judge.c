/*
 * dtmf_judge.c
 *	  Decides whether a burst that the DTMF receiver followed was a digit, and
 *	  measures it: onset, duration, level, twist.
 *
 * The burst is judged as a whole, by medians over up to SAMPLES of its windows, so that a
 * slip or a lost packet inside it does not matter.  Nothing but the track is looked at.
 */
#include "core/audio/dtmf_internal.h"

#include <math.h>

#define MS_OF_HOP ((float) DTMF_HOP / 8)

/* Duration: between the 26 ms that are no digit and the 35 that are one. */
#define MIN_DURATION (30.5f / MS_OF_HOP)
/* Windows that looked like the digit, at least; and of those inside the burst. */
#define MIN_VALID 2
#define MIN_VALID_SHARE 0.5f
/* Either tone's error: between the 1.8 % that are accepted and the 3.5 that are not. */
#define MAX_FREQUENCY_ERROR 0.0255f
/* Twist in dB: between +8 and +10, between -4 and -8. */
#define MAX_TWIST 9.7f
#define MIN_TWIST (-6.5f)
/* A bin loses that much power at a tone off by f Hz: 6.3e-4 dB * f^2, here as exponent of e. */
#define OFFSET_LOSS (6.3e-4f * 0.2302585f)

/* Half windows nearer than that to an edge are not looked at, in hops. */
#define EDGE 0.6f
/* The band filter sees an edge from that much after it on, back to that much before it, in hops. */
#define EDGE_BEFORE 0.46f
#define EDGE_AFTER 1.21f
/* Digits in noise of 6 dB SNR come to 1.05, almost nothing in speech is below 1.25. */
#define MAX_UNLIKENESS 1.12f
/* Windows that the medians are taken of, at least and at most. */
#define MIN_SAMPLES 3
#define SAMPLES 8
/* What is sorted: columns of the sample. */
enum
{
	TURN_LOW,
	TURN_HIGH,
	POWER_LOW,
	POWER_HIGH,
	PURITY,
	DEVIATIONS = 4, /* of the columns before purity */
	COLUMNS = 8		/* what the sort takes; three are idle */
};

typedef float sample[SAMPLES][COLUMNS];

/* What the judgement rests on. */
typedef struct measures
{
	float onset; /* hops from the track's begin; fractions count */
	float end;
	float level;						 /* power at which begin and end were measured */
	float power[2];						 /* low and high tone, medians */
	float error[2];						 /* frequency, relative, median */
	float spread[2];					 /* of it, median deviation */
	float unevenness[2];				 /* of the amplitude: deviation that a third exceeds */
	float gain;							 /* what the band filter left of both tones' power */
	float purity;						 /* share of the tones in the band's power, median */
	float valid;						 /* share of its windows that looked like the digit */
	float before, after;				 /* energy of the band beside the burst, against inside */
	float outside;						 /* energy outside the band, against that inside it, … */
	float outside_before, outside_after; /* … beside the burst likewise */
} measures;

static const float row_hz[4] = MB_DTMF_ROW_HZ;
static const float column_hz[4] = MB_DTMF_COLUMN_HZ;

static inline float
larger(float a, float b)
{
	return a > b ? a : b;
}

static inline float
smaller(float a, float b)
{
	return a < b ? a : b;
}

/* Where between two hops, in units of a hop, the amplitude passes that of a level. */
static float
crossing(float from, float to, float level)
{
	float a = sqrtf(from);

	return (sqrtf(level) - a) / (sqrtf(to) - a);
}

/*
 * An angle as a number that grows with it, from -2 to 2 over the circle, without
 * calling atan2: the position on the diamond |x| + |y| = 1.
 */
static inline float
diamond(float x, float y)
{
	float ax = fabsf(x);
	float ay = fabsf(y);
	float d = ay / (ax + ay + 1e-30f);

	d = x < 0 ? 2 - d : d;
	/* not a branch, as no processor could predict it */
	return copysignf(d, y);
}

/* The angle, in radians, that diamond() gave d for; and what a step of d is worth there. */
static inline float
angle_of(float d, float *slope)
{
	float a = fabsf(d);
	float y = a <= 1 ? a : 2 - a;
	float x = a <= 1 ? 1 - a : y - 1;
	float angle = atan2f(y, x);

	*slope = 1 / (x * x + y * y);
	return copysignf(angle, d);
}

/*
 * Finds the burst's begin and end: where its amplitude passes half of what it is inside.
 * False when there is too little of it.
 */
static bool
find_ends(const dtmf_track *track, measures *m, int *first, int *last)
{
	const float *power = track->power;
	float level, sum = 0;
	int n = 0;
	int i;

	if (track->n_valid < MIN_VALID)
		return false;
	/* mean over what looked like a digit, and over what of that is no transition */
	level = track->valid_power / (float) (2 * track->n_valid);
	for (i = DTMF_BIN_HISTORY; i < track->n && i <= track->last_valid; i++)
	{
		bool inside = track->valid[i] && power[i] >= level;

		sum += inside ? power[i] : 0;
		n += inside;
	}
	level = m->level = sum / (float) n / 4;

	/*
	 * From a hop inside the burst back to where it is silent for longer than an interruption:
	 * what is loud before that may be one of the tones, but of another digit.
	 */
	for (i = DTMF_BIN_HISTORY; i < track->n - 1; i++)
		if (track->valid[i] && power[i] >= level)
			break;
	*first = i;
	for (; i >= 0 && i >= *first - DTMF_BRIDGE - 1; i--)
		if (power[i] >= level)
			*first = i;
	i = *first;
	m->onset = (float) i;
	if (i > 0)
		m->onset += crossing(power[i - 1], power[i], level) - 1;

	for (i = track->n - 1; i > *first; i--)
		if (power[i] >= level)
			break;
	*last = i;
	if (track->length > track->n)
		m->end = (float) track->last_on + 0.5f;
	else
	{
		m->end = (float) i;
		if (i < track->n - 1)
			m->end += crossing(power[i], power[i + 1], level);
	}
	return true;
}

/*
 * Mean energies of the band and of the input over hops from to end - 1, as far as they were kept;
 * 0 if there are none.
 */
static inline void
mean_energies(const dtmf_track *track, int from, int end, float *band, float *input)
{
	*band = *input = 0;
	end = end < track->n ? end : track->n;
	if (end <= from)
		return;
	*band = (float) (int64_t) (track->energy_before[end] - track->energy_before[from]) /
			(float) (end - from);
	*input = (float) (int64_t) (track->total_before[end] - track->total_before[from]) /
			 (float) (end - from);
}

/*
 * Compares energies inside and beside the burst, over hops of which the band filter does
 * not see an edge of the burst.
 */
static void
measure_surroundings(const dtmf_track *track, measures *m)
{
	float band, input, tones;

	mean_energies(track, (int) (m->onset + EDGE_BEFORE) + 1, (int) (m->end - EDGE_AFTER) + 1, &band,
				  &input);
	tones = band / m->gain + 1e-3f;
	m->outside = (input - tones) / tones;

	mean_energies(track, 0, (int) (m->onset - EDGE_AFTER + 1), &band, &input);
	m->before = band / tones;
	m->outside_before = (input - band) / tones;

	mean_energies(track, (int) (m->end + EDGE_BEFORE) + 1, track->n, &band, &input);
	m->after = band / tones;
	m->outside_after = (input - band) / tones;
}

/*
 * Fills the sample with windows that lie inside the burst, evenly spread; both their halves
 * are loud.  Returns their number.
 */
static int
take_sample(const dtmf_track *track, const measures *m, sample v)
{
	int index[DTMF_TRACK_HOPS];
	float x[2][SAMPLES] = { { 0 } };
	float y[2][SAMPLES] = { { 0 } };
	int end = (int) (m->end - EDGE) + 1;
	int n = 0;
	int taken;

	for (int i = (int) (m->onset + EDGE) + 1 + DTMF_DISTANCE; i < end && i < track->n; i++)
	{
		index[n] = i;
		n += track->power[i] >= m->level && track->power[i - DTMF_DISTANCE] >= m->level;
	}
	taken = n < SAMPLES ? n : SAMPLES;
	for (int s = 0; s < taken; s++)
	{
		int i = n > SAMPLES ? index[(2 * s + 1) * n / (2 * SAMPLES)] : index[s];
		const dtmf_track_hop *now = &track->hop[i];
		const dtmf_track_hop *then = &track->hop[i - DTMF_DISTANCE];

		for (int k = 0; k < 2; k++)
		{
			x[k][s] = now->re[k] * then->re[k] + now->im[k] * then->im[k];
			y[k][s] = now->im[k] * then->re[k] - now->re[k] * then->im[k];
			v[s][POWER_LOW + k] = now->power[k];
		}
		v[s][PURITY] = (track->power[i] + track->power[i - DTMF_DISTANCE]) /
					   (DTMF_POWER_OVER_ENERGY * now->window + 1);
	}
	/* the turns, all at once: a loop that compilers make vectors of */
	for (int k = 0; k < 2; k++)
	{
		int bin = k == 0 ? track->symbol / 4 : 4 + track->symbol % 4;
		float re = mb_dtmf_turn_re[bin];
		float im = mb_dtmf_turn_im[bin];

		for (int s = 0; s < SAMPLES; s++)
			x[k][s] = diamond(x[k][s] * re - y[k][s] * im, x[k][s] * im + y[k][s] * re);
	}
	for (int s = 0; s < taken; s++)
		for (int k = 0; k < 2; k++)
			v[s][TURN_LOW + k] = x[k][s];
	/* what is missing sorts behind everything */
	for (int s = taken; s < SAMPLES; s++)
		for (int k = 0; k < COLUMNS; k++)
			v[s][k] = INFINITY;
	return taken;
}

/* Medians of the sample, and of the deviations from them.  False when there is too little. */
static bool
measure_tones(const dtmf_track *track, measures *m)
{
	sample v = { 0 };
	float middle[COLUMNS];
	float slope[2];
	int n = take_sample(track, m, v);

	if (n < MIN_SAMPLES)
		return false;
	mb_dtmf_sort_columns(v, COLUMNS);
	for (int k = 0; k < COLUMNS; k++)
		middle[k] = (v[(n - 1) / 2][k] + v[n / 2][k]) / 2;
	for (int s = 0; s < n; s++)
		for (int k = 0; k < DEVIATIONS; k++)
			v[s][k] = fabsf(v[s][k] - middle[k]);
	mb_dtmf_sort_columns(v, DEVIATIONS);

	for (int k = 0; k < 2; k++)
	{
		float hz = k == 0 ? row_hz[track->symbol / 4] : column_hz[track->symbol % 4];
		float scale = 8000 / (6.2831853f * DTMF_DISTANCE * DTMF_HOP);
		float off = angle_of(middle[TURN_LOW + k], &slope[k]) * scale;

		m->error[k] = off / hz;
		m->spread[k] = v[(n - 1) / 2][TURN_LOW + k] * slope[k] * scale / hz;
		m->unevenness[k] = v[(n - 1) * 2 / 3][POWER_LOW + k] / (2 * middle[POWER_LOW + k] + 1);
		/* what the bin lost, as exp() of a small number */
		off *= off * OFFSET_LOSS;
		m->power[k] = middle[POWER_LOW + k] * (1 + off * (1 + off / 2 * (1 + off / 3)));
	}
	m->gain = (m->power[0] * mb_dtmf_band_gain[track->symbol / 4] +
			   m->power[1] * mb_dtmf_band_gain[4 + track->symbol % 4]) /
			  (m->power[0] + m->power[1] + 1);
	m->purity = middle[PURITY] * m->gain * (m->power[0] + m->power[1]) /
				(middle[POWER_LOW] + middle[POWER_HIGH] + 1);
	return true;
}

/*
 * How unlike a digit the burst is; up to MAX_UNLIKENESS it is accepted.
 *
 * A sum of what speech has and a digit has not: unsteady frequencies and levels, power in the band
 * beside the tones, power outside the band that comes and goes with them, loud
 * neighbours.  Noise makes a digit look like that as well, but is there before and after,
 * inside the band and outside: what is seen there is credited.  The weights were fitted to the
 * conditions of test/unit/dtmf_conditions.h and to synthetic speech (docs/dtmf.md).
 */
static float
unlikeness(const measures *m)
{
	float noise =
		smaller(smaller(m->before, m->after), smaller(m->outside_before, m->outside_after));
	float outside = m->outside - 1.3f * larger(m->outside_before, m->outside_after);
	float error = larger(fabsf(m->error[0]), fabsf(m->error[1]));

	noise = smaller(larger(noise, 0), 0.17f);
	return 24 * larger(m->spread[0], m->spread[1]) + 57 * smaller(m->spread[0], m->spread[1]) +
		   2.5f * larger(0, smaller(m->unevenness[0], m->unevenness[1]) - 0.03f) +
		   6.4f * larger(0, 0.955f - m->purity) + 1.35f * larger(0, outside - 0.1f) +
		   0.9f * smaller(1, larger(0, larger(m->before, m->after) - 1.5f * noise)) +
		   140 * larger(0, error - 0.015f) + 0.37f * (1 - m->valid) - 3.2f * noise;
}

bool
mb_dtmf_judge(const mb_dtmf *dtmf, mb_dtmf_event *event)
{
	const dtmf_track *track = &dtmf->track;
	measures m;
	int first, last, valid = 0;
	float twist, level;
	double onset;

	if (!find_ends(track, &m, &first, &last) || m.end - m.onset < MIN_DURATION)
		return false;
	for (int i = first + DTMF_DISTANCE + 1; i < last; i++)
		valid += track->valid[i];
	m.valid = smaller(1, (float) valid / (float) (last - first - 1 - DTMF_DISTANCE));
	if (m.valid < MIN_VALID_SHARE)
		return false;
	if (!measure_tones(track, &m))
		return false;
	if (fabsf(m.error[0]) > MAX_FREQUENCY_ERROR || fabsf(m.error[1]) > MAX_FREQUENCY_ERROR)
		return false;
	twist = 10 * log10f(m.power[0] / m.power[1]);
	if (!(twist <= MAX_TWIST && twist >= MIN_TWIST))
		return false;
	level = 10 * log10f((m.power[0] + m.power[1]) / (DTMF_BIN_SCALE * DTMF_BIN_SCALE) /
						(float) (MB_DBM0_PEAK * MB_DBM0_PEAK));
	if (level < dtmf->floor_dbm0)
		return false;
	measure_surroundings(track, &m);
	if (unlikeness(&m) > MAX_UNLIKENESS)
		return false;

	event->digit = MB_DTMF_SYMBOLS[track->symbol];
	onset = (double) track->first_hop * DTMF_HOP + (double) m.onset * DTMF_HOP - DTMF_DELAY;
	event->onset = onset > 0 ? (uint64_t) (onset + 0.5) : 0;
	event->duration = (uint64_t) ((m.end - m.onset) * DTMF_HOP + 0.5f);
	event->level_dbm0 = level;
	event->twist_db = twist;
	return true;
}
