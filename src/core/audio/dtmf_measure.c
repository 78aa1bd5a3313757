/*
 * dtmf_measure.c
 *	  Measures a burst that the DTMF receiver followed: onset, duration, level, twist, and what
 *	  else tells a digit from speech.
 *
 * The burst is measured as a whole, by medians over up to SAMPLES of its windows, so that a
 * slip or a lost packet inside it does not matter.  Nothing but the track is looked at.
 */
#include "core/audio/dtmf_internal.h"

#include <math.h>
#include <string.h>

#define MS_OF_HOP ((float) DTMF_HOP / 8)

/* Duration: between the 26 ms that are no digit and the 35 that are one. */
#define MIN_DURATION (30.5f / MS_OF_HOP)
/* Windows that looked like the digit, at least; and of those inside the burst. */
#define MIN_VALID 2
#define MIN_VALID_SHARE 0.5f
/* Either tone's error: between the 1.8 % that are accepted and the 3.5 that are not. */
#define MAX_FREQUENCY_ERROR 0.0255f
/* Turning by less from hop to hop than a tone that is off by 50 Hz: the limit is 42 Hz at most, and noise adds to it. */
#define MIN_HOP_COSINE 0.31f
/* Twist in dB: between +8 and +10, between -4 and -8. */
#define MAX_TWIST 9.7f
#define MIN_TWIST (-6.5f)
/* So much more where the first half window is within -4.5 and +8.5, as ratios of power. */
#define ECHO_TWIST 2.5f
#define MIN_FIRST_TWIST 0.3548f
#define MAX_FIRST_TWIST 7.08f
/* From that much after the onset on, in hops, a half window sees nothing of the edge. */
#define FIRST_WHOLE 1.25f
/* A bin loses that much power at a tone off by f Hz: 6.3e-4 dB * f^2, here as exponent of e. */
#define OFFSET_LOSS (6.3e-4f * 0.2302585f)

/* Shares of the plateau's power between which an edge is measured: of the amplitude, 0.3 and 0.8. */
#define EDGE_LOW 0.09f
#define EDGE_HIGH 0.64f
/* An edge is looked for from so many hops inside the burst outwards, over so many. */
#define EDGE_INSIDE 4
#define EDGE_HOPS 8

/* Half windows nearer than that to an edge are not looked at, in hops. */
#define EDGE 0.6f
/* The band filter sees an edge from that much after it on, back to that much before it, in hops. */
#define EDGE_BEFORE 0.46f
#define EDGE_AFTER 1.21f
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

/* What the measures are taken from. */
typedef struct burst
{
	float onset; /* hops from the track's begin; fractions count */
	float end;
	float level;						 /* power at which begin and end were measured */
	float power[2];						 /* low and high tone, medians */
	float error[2];						 /* frequency, relative, median */
	float spread[2];					 /* of it, median deviation */
	float drift[2];						 /* of it, between the halves of the burst */
	float unevenness[2];				 /* of the amplitude: deviation that a third exceeds */
	float gain;							 /* what the band filter left of both tones' power */
	float purity;						 /* share of the tones in the band's power, median */
	float valid;						 /* share of its windows that looked like the digit */
	float before, after;				 /* energy of the band beside the burst, against inside */
	float outside;						 /* energy outside the band, against that inside it, ... */
	float outside_before, outside_after; /* ... beside the burst likewise */
	float rise, fall;					 /* hops that its edges take */
} burst;

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

	/* 2 - d for a negative x; neither is a branch, as no processor could predict it */
	d = fabsf(1 - copysignf(1, x) - d);
	return copysignf(d, y);
}

/* The arc tangent of -1 to 1, within 2e-8 (Abramowitz and Stegun, 4.4.49). */
static inline float
arc_tangent(float x)
{
	static const float terms[] = { 0.0028662257f, -0.0161657367f, 0.0429096138f, -0.0752896400f,
								   0.1065626393f, -0.1420889944f, 0.1999355085f, -0.3333314528f };
	float square = x * x;
	float sum = terms[0];

	for (int i = 1; i < 8; i++)
		sum = sum * square + terms[i];
	return x + x * square * sum;
}

/*
 * A ratio of powers in dB, within 1e-6 of it: by its binary exponent, and ln x = 2 atanh((x - 1) / (x + 1)).  0, infinity and what is
 * no number come out as less than any twist or level.
 */
static inline float
decibels(float ratio)
{
	uint32_t bits;
	int exponent;
	float x, square;

	memcpy(&bits, &ratio, sizeof(bits));
	/* x from sqrt(1/2) to sqrt(2) */
	exponent = (int8_t) ((bits - 0x3F3504F3u) >> 23);
	bits -= (uint32_t) exponent << 23;
	memcpy(&x, &bits, sizeof(x));
	x = (x - 1) / (x + 1);
	square = x * x;
	x += x * square * (1 / 3.0f + square * (1 / 5.0f + square * (1 / 7.0f + square / 9)));
	return 8.68588964f * x + 3.01029996f * (float) exponent;
}

/* The angle, in radians, that diamond() gave d for; and what a step of d is worth there. */
static inline float
angle_of(float d, float *slope)
{
	float a = fabsf(d);
	float begin = a <= 1 ? 0 : 1;
	/* from -1 to 1 over a side of the diamond, a quarter of the circle, and 0 in its middle */
	float side = 2 * (a - begin) - 1;

	*slope = 2 / (1 + side * side);
	return copysignf(arc_tangent(side) + 1.57079633f * (begin + 0.5f), d);
}

/*
 * Finds the burst's begin and end: where its amplitude passes half of what it is inside.
 * False when there is too little of it.
 */
static bool
find_ends(const dtmf_track *track, burst *m, int *first, int *last)
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
measure_surroundings(const dtmf_track *track, burst *m)
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

/* The power of hop i of the burst, one of the first or of the last ones. */
static inline float
power_of(const dtmf_track *track, int i)
{
	return i < track->n ? track->power[i] : track->tail[i % DTMF_TAIL_HOPS];
}

/*
 * How many hops the power takes from the upper share of the plateau's to the lower one, from hop i inside the burst outwards,
 * going by step.  Tones that were there before, or stay, have no edge: that is as many as are looked at outside, at
 * least.
 */
static float
edge_length(const dtmf_track *track, int i, int step, float plateau)
{
	float low = EDGE_LOW * plateau;
	float high = EDGE_HIGH * plateau;
	float now = power_of(track, i);
	float begin = now < high ? 0 : -1; /* where it leaves the upper one, -1 so far */
	int hops;

	if (now < low)
		return 0;
	for (hops = 0; hops < EDGE_HOPS && i + step >= 0 && i + step < track->length; hops++)
	{
		float next = power_of(track, i += step);

		if (begin < 0 && next < high)
			begin = (float) hops + crossing(now, next, high);
		if (next < low)
			return (float) hops + crossing(now, next, low) - begin;
		now = next;
	}
	return larger(EDGE_HOPS - EDGE_INSIDE, begin < 0 ? 0 : (float) hops - begin);
}

/* How long the burst takes to begin and to end.  What a long one has come to be at last is taken for its plateau there. */
static void
measure_edges(const dtmf_track *track, burst *m)
{
	int early = (int) smaller(m->onset + EDGE_INSIDE, (float) (track->n - 1));
	int late = (int) (m->end + 0.5f) - EDGE_INSIDE;

	if (late < early)
		early = late = (int) ((m->onset + m->end + 1) / 2);
	m->rise = edge_length(track, early, -1, 4 * m->level);
	m->fall = edge_length(track, late, 1,
						  track->length > track->n ? power_of(track, late) : 4 * m->level);
}

/*
 * Fills the sample with windows that lie inside the burst, evenly spread; both their halves
 * are loud.  Returns their number.
 */
static int
take_sample(const dtmf_track *track, const burst *m, sample v)
{
	int index[DTMF_TRACK_HOPS];
	float x[2][SAMPLES] = { { 0 } };
	float y[2][SAMPLES] = { { 0 } };
	float tones[SAMPLES] = { 0 };
	float window[SAMPLES] = { 0 };
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
			float re = (float) now->re[k], im = (float) now->im[k];
			float before_re = (float) then->re[k], before_im = (float) then->im[k];

			x[k][s] = re * before_re + im * before_im;
			y[k][s] = im * before_re - re * before_im;
			v[s][POWER_LOW + k] = now->power[k];
		}
		tones[s] = track->power[i] + track->power[i - DTMF_DISTANCE];
		window[s] = (float) now->window;
	}
	/* the turns and what is divided, all at once: loops that compilers make vectors of */
	for (int k = 0; k < 2; k++)
	{
		int bin = k == 0 ? dtmf_row(track->symbol) : dtmf_column(track->symbol);
		float re = mb_dtmf_turn_re[bin];
		float im = mb_dtmf_turn_im[bin];

		for (int s = 0; s < SAMPLES; s++)
			x[k][s] = diamond(x[k][s] * re - y[k][s] * im, x[k][s] * im + y[k][s] * re);
	}
	for (int s = 0; s < SAMPLES; s++)
		tones[s] /= DTMF_POWER_OVER_ENERGY * window[s] + 1;
	for (int s = 0; s < taken; s++)
	{
		for (int k = 0; k < 2; k++)
			v[s][TURN_LOW + k] = x[k][s];
		v[s][PURITY] = tones[s];
		for (int k = PURITY + 1; k < COLUMNS; k++)
			v[s][k] = 0;
	}
	/* what is missing sorts behind everything */
	for (int s = taken; s < SAMPLES; s++)
		for (int k = 0; k < COLUMNS; k++)
			v[s][k] = INFINITY;
	return taken;
}

/* Medians of the sample, and of the deviations from them.  False when there is too little. */
static bool
measure_tones(const dtmf_track *track, burst *m)
{
	sample v;
	float middle[COLUMNS];
	float slope[2];
	int n = take_sample(track, m, v);

	if (n < MIN_SAMPLES)
		return false;
	for (int k = 0; k < 2; k++)
	{
		float half[2] = { 0 };

		for (int s = 0; s < n / 2; s++)
		{
			half[0] += v[s][TURN_LOW + k];
			half[1] += v[n - 1 - s][TURN_LOW + k];
		}
		m->drift[k] = fabsf(half[0] - half[1]) / (float) (n / 2);
	}
	mb_dtmf_sort_columns(v, COLUMNS);
	for (int k = 0; k < COLUMNS; k++)
		middle[k] = (v[(n - 1) / 2][k] + v[n / 2][k]) / 2;
	for (int s = 0; s < n; s++)
		for (int k = 0; k < DEVIATIONS; k++)
			v[s][k] = fabsf(v[s][k] - middle[k]);
	mb_dtmf_sort_columns(v, DEVIATIONS);

	for (int k = 0; k < 2; k++)
	{
		float hz =
			k == 0 ? row_hz[dtmf_row(track->symbol)] : column_hz[dtmf_column(track->symbol) - 4];
		float scale = 8000 / (6.2831853f * DTMF_DISTANCE * DTMF_HOP);
		float off = angle_of(middle[TURN_LOW + k], &slope[k]) * scale;

		m->error[k] = off / hz;
		m->spread[k] = v[(n - 1) / 2][TURN_LOW + k] * slope[k] * scale / hz;
		m->drift[k] *= slope[k] * scale / hz;
		m->unevenness[k] = v[(n - 1) * 2 / 3][POWER_LOW + k] / (2 * middle[POWER_LOW + k] + 1);
		/* what the bin lost, as exp() of a small number */
		off *= off * OFFSET_LOSS;
		m->power[k] = middle[POWER_LOW + k] * (1 + off * (1 + off / 2 * (1 + off / 3)));
	}
	m->gain = (m->power[0] * mb_dtmf_band_gain[dtmf_row(track->symbol)] +
			   m->power[1] * mb_dtmf_band_gain[dtmf_column(track->symbol)]) /
			  (m->power[0] + m->power[1] + 1);
	m->purity = middle[PURITY] * m->gain * (m->power[0] + m->power[1]) /
				(middle[POWER_LOW] + middle[POWER_HIGH] + 1);
	return true;
}

/*
 * Whether both tones turn from one hop to the next as tones near the nominal ones do.  Over DTMF_DISTANCE hops one that is
 * off by 125 Hz turns so, too, and the bin still sees it: 1100 Hz is no 1209.
 */
static bool
tones_are_near(const dtmf_track *track, const burst *b)
{
	int begin = (int) (b->onset + EDGE) + 2;
	int end = (int) (b->end - EDGE) + 1;
	int step;

	end = end < track->n ? end : track->n;
	step = 1 + (end - begin) / SAMPLES;
	for (int k = 0; k < 2; k++)
	{
		int bin = k == 0 ? dtmf_row(track->symbol) : dtmf_column(track->symbol);
		float x = 0, y = 0;
		float turned;

		for (int i = begin; i < end; i += step)
		{
			float re = (float) track->hop[i].re[k], im = (float) track->hop[i].im[k];
			float before_re = (float) track->hop[i - 1].re[k];
			float before_im = (float) track->hop[i - 1].im[k];

			x += re * before_re + im * before_im;
			y += im * before_re - re * before_im;
		}
		turned = x * mb_dtmf_hop_turn_re[bin] - y * mb_dtmf_hop_turn_im[bin];
		if (turned <= MIN_HOP_COSINE * sqrtf(x * x + y * y))
			return false;
	}
	return true;
}

/*
 * Whether the twist is that of a digit.  An echo shifts it by up to ECHO_TWIST, but not in the first half window, before
 * the echo has come.
 */
static bool
twist_is_allowed(const dtmf_track *track, const burst *b, float twist)
{
	int first = (int) (b->onset + FIRST_WHOLE) + 1;
	const float *power = track->hop[first].power;

	if (twist <= MAX_TWIST && twist >= MIN_TWIST)
		return true;
	return twist <= MAX_TWIST + ECHO_TWIST && twist >= MIN_TWIST - ECHO_TWIST && first < track->n &&
		   power[0] <= MAX_FIRST_TWIST * power[1] && power[0] >= MIN_FIRST_TWIST * power[1];
}

/*
 * The values that the decision weighs; see dtmf_internal.h.  White noise at N of the burst's energy makes them as large as is
 * subtracted, roughly, in those that are larger for it.
 */
static void
fill_values(const burst *b, float twist, float company, float *v)
{
	float noise =
		smaller(smaller(b->before, b->after), smaller(b->outside_before, b->outside_after));
	float extreme = larger(0, larger(twist - 6, -3 - twist));
	float root;

	noise = smaller(larger(noise, 0), 0.5f);
	root = sqrtf(noise);
	v[DTMF_SPREAD_MORE] = larger(b->spread[0], b->spread[1]) - 0.008f * root;
	v[DTMF_SPREAD_LESS] = smaller(b->spread[0], b->spread[1]) - 0.004f * root;
	v[DTMF_DRIFT_MORE] = larger(b->drift[0], b->drift[1]) - 0.012f * root;
	v[DTMF_DRIFT_LESS] = smaller(b->drift[0], b->drift[1]) - 0.006f * root;
	v[DTMF_UNEVENNESS_MORE] = larger(b->unevenness[0], b->unevenness[1]) - 0.3f * root;
	v[DTMF_UNEVENNESS_LESS] = smaller(b->unevenness[0], b->unevenness[1]) - 0.2f * root;
	v[DTMF_ERROR] = larger(fabsf(b->error[0]), fabsf(b->error[1]));
	v[DTMF_IMPURITY] = 1 - b->purity - 0.6f * noise;
	v[DTMF_NEIGHBOURS] = larger(b->before, b->after) - 1.3f * noise;
	v[DTMF_OUTSIDE] = b->outside - 1.3f * larger(b->outside_before, b->outside_after);
	v[DTMF_INVALID] = 1 - b->valid;
	v[DTMF_EXTREME_TWIST] = extreme;
	v[DTMF_SHORTNESS] = larger(0, 45 - (b->end - b->onset) * MS_OF_HOP);
	v[DTMF_RISE] = b->rise - root;
	v[DTMF_FALL] = b->fall - root;
	v[DTMF_COMPANY] = company;
}

bool
mb_dtmf_measure(const mb_dtmf *dtmf, dtmf_measures *m)
{
	const dtmf_track *track = &dtmf->track;
	burst b;
	int first, last, valid = 0;

	if (!find_ends(track, &b, &first, &last) || b.end - b.onset < MIN_DURATION)
		return false;
	for (int i = first + DTMF_DISTANCE + 1; i < last; i++)
		valid += track->valid[i];
	b.valid = smaller(1, (float) valid / (float) (last - first - 1 - DTMF_DISTANCE));
	if (b.valid < MIN_VALID_SHARE)
		return false;
	if (!measure_tones(track, &b))
		return false;
	if (fabsf(b.error[0]) > MAX_FREQUENCY_ERROR || fabsf(b.error[1]) > MAX_FREQUENCY_ERROR)
		return false;
	m->twist = decibels(b.power[0] / b.power[1]);
	if (!twist_is_allowed(track, &b, m->twist) || !tones_are_near(track, &b))
		return false;
	m->level = decibels((b.power[0] + b.power[1]) / (DTMF_BIN_SCALE * DTMF_BIN_SCALE) /
						(float) (MB_DBM0_PEAK * MB_DBM0_PEAK));
	if (m->level < dtmf->floor_dbm0)
		return false;
	measure_surroundings(track, &b);
	measure_edges(track, &b);
	m->onset = b.onset;
	m->duration = b.end - b.onset;
	fill_values(&b, m->twist, mb_dtmf_company(dtmf, track->first_hop + DTMF_BIN_HISTORY), m->value);
	return true;
}
