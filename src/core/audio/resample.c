/*
 * resample.c
 *	  Sample rate conversion: see resample.h for the filters and the contract.
 *
 * A resampler is a chain of one or two polyphase stages.  Two are cheaper than one
 * where a high rate goes down to 8 kHz: the first divides the rate by 3 with a
 * short filter, because it has a wide band to fall in, the second is the sharp
 * one.  Samples are floats between the stages.
 *
 * The state is flat (offsets, no pointers into itself).
 */
#include "core/audio/resample.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define RESAMPLE_AVX2
#define AVX2 __attribute__((target("avx2")))
#endif

/* Edges of the filters relative to the lower of the two rates. */
#define PASS_EDGE 0.425
#define STOP_EDGE 0.5

/* Attenuation that the Kaiser windows are designed for, in dB. */
#define DESIGN_ATTENUATION 90.0

/* Samples that one turn takes into the first stage. */
#define BLOCK 256

/* Alignment of the arrays in a state, bytes. */
#define ALIGNMENT 16

#define MAX_STAGES 2

/* Four floats; memory needs the alignment of one. */
typedef float float4 __attribute__((vector_size(16), aligned(4), may_alias));

typedef struct stage
{
	int up; /* output rate = input rate * up / down */
	int down;
	int taps;		/* of one phase; a multiple of 8 */
	int step;		/* input samples from one output to the next: */
	int phase_step; /* step + phase_step / up */
	double pass;	/* edges of the filter, in cycles per input sample */
	double stop;
	size_t coefficients; /* offset of float[up][taps] */
	size_t history;		 /* offset of float[capacity] */
	int capacity;

	/* what changes while feeding */
	int filled; /* samples in the history */
	int start;	/* where the window of the next output begins */
	int phase;	/* of the next output, 0 … up - 1 */
} stage;

struct mb_resampler
{
	int from_rate;
	int to_rate;
	int n_stages;	/* 0 when the rates are equal */
	bool plain;		/* take the code that any processor has */
	uint64_t taken; /* samples since the last reset */
	uint64_t given;
	stage stages[MAX_STAGES];
};

const int mb_resample_rates[MB_RESAMPLE_N_RATES] = { 8000,	11025, 12000, 16000, 22050,
													 24000, 32000, 44100, 48000 };

bool
mb_resample_rate_known(int rate)
{
	for (int i = 0; i < MB_RESAMPLE_N_RATES; i++)
	{
		if (mb_resample_rates[i] == rate)
			return true;
	}
	return false;
}

static size_t
align_up(size_t size)
{
	return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int
greatest_common_divisor(int a, int b)
{
	while (b != 0)
	{
		int rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/*
 * Plans a stage with a filter that passes up to pass_edge and stops from
 * stop_edge (Hz), and places its arrays behind *size bytes.
 */
static void
plan_stage(stage *s, int from_rate, int to_rate, double pass_edge, double stop_edge, int block,
		   size_t *size)
{
	int divisor = greatest_common_divisor(from_rate, to_rate);
	double width;

	s->up = to_rate / divisor;
	s->down = from_rate / divisor;
	s->step = s->down / s->up;
	s->phase_step = s->down % s->up;
	s->pass = pass_edge / from_rate;
	s->stop = stop_edge / from_rate;

	/* Kaiser's estimate of a filter's length */
	width = s->stop - s->pass;
	s->taps = (int) ceil((DESIGN_ATTENUATION - 7.95) / (14.36 * width)) + 1;
	s->taps = (s->taps + 7) / 8 * 8;

	s->coefficients = *size;
	*size = align_up(*size + sizeof(float) * (size_t) s->up * (size_t) s->taps);
	s->capacity = s->taps + 2 * block;
	s->history = *size;
	*size = align_up(*size + sizeof(float) * (size_t) s->capacity);
}

/* Lays out a whole resampler; returns its size, 0 when a rate is not supported. */
static size_t
plan(mb_resampler *r, int from_rate, int to_rate)
{
	size_t size = align_up(sizeof(mb_resampler));
	int low = from_rate < to_rate ? from_rate : to_rate;
	double pass_edge = PASS_EDGE * low;
	double stop_edge = STOP_EDGE * low;

	if (!mb_resample_rate_known(from_rate) || !mb_resample_rate_known(to_rate))
		return 0;
	memset(r, 0, sizeof(*r));
	r->from_rate = from_rate;
	r->to_rate = to_rate;
	if (from_rate == to_rate)
		return size;
	if (from_rate / to_rate >= 5)
	{
		int middle = from_rate / 3;

		/* what folds to below stop_edge must go here; the next stage removes the rest */
		plan_stage(&r->stages[0], from_rate, middle, pass_edge, middle - stop_edge, BLOCK, &size);
		plan_stage(&r->stages[1], middle, to_rate, pass_edge, stop_edge, BLOCK / 3 + 1, &size);
		r->n_stages = 2;
	}
	else
	{
		plan_stage(&r->stages[0], from_rate, to_rate, pass_edge, stop_edge, BLOCK, &size);
		r->n_stages = 1;
	}
	return size;
}

/* Modified Bessel function of the first kind, order 0. */
static double
bessel_i0(double x)
{
	double sum = 1.0;
	double term = 1.0;

	for (int k = 1; term > sum * 1e-12; k++)
	{
		term *= (x / (2 * k)) * (x / (2 * k));
		sum += term;
	}
	return sum;
}

void
mb_resampler_use_plain(mb_resampler *r)
{
	r->plain = true;
}

/* Array of a stage inside its resampler. */
static float *
array_at(mb_resampler *r, size_t offset)
{
	return (float *) (void *) ((unsigned char *) r + offset);
}

/*
 * Computes the coefficients of all phases of a stage.  Phase p is used for
 * outputs that lie p / up behind the sample in the middle of the window; each is
 * scaled to gain 1 at 0 Hz, so that phases do not modulate the signal.
 */
static void
design_filter(mb_resampler *r, const stage *s)
{
	const double pi = 3.14159265358979323846;
	double beta = 0.1102 * (DESIGN_ATTENUATION - 8.7);
	double cutoff = s->pass + s->stop; /* twice the middle of the transition */
	double scale = 1.0 / bessel_i0(beta);
	int half = s->taps / 2;

	for (int p = 0; p < s->up; p++)
	{
		float *c = array_at(r, s->coefficients) + (size_t) p * (size_t) s->taps;
		double values_sum = 0;

		for (int pass = 0; pass < 2; pass++)
		{
			for (int i = 0; i < s->taps; i++)
			{
				double t = (double) p / s->up + half - 1 - i;
				double u = t / half;
				double window = u * u >= 1 ? 0 : bessel_i0(beta * sqrt(1 - u * u)) * scale;
				double x = pi * cutoff * t;
				double sinc = fabs(x) < 1e-9 ? 1 : sin(x) / x;

				if (pass == 0)
					values_sum += sinc * window;
				else
					c[i] = (float) (sinc * window / values_sum);
			}
		}
	}
}

size_t
mb_resampler_size(int from_rate, int to_rate)
{
	mb_resampler r;

	return plan(&r, from_rate, to_rate);
}

mb_status
mb_resampler_init(mb_resampler **resampler, void *memory, size_t size, int from_rate, int to_rate)
{
	mb_resampler r;
	size_t needed = plan(&r, from_rate, to_rate);

	if (needed == 0)
		return MB_ERR_RATE;
	if (size < needed)
		return MB_ERR_SPACE;
	memcpy(memory, &r, sizeof(r));
	*resampler = memory;
	for (int i = 0; i < r.n_stages; i++)
		design_filter(*resampler, &r.stages[i]);
	mb_resampler_reset(*resampler);
	return MB_OK;
}

void
mb_resampler_reset(mb_resampler *r)
{
	r->taken = 0;
	r->given = 0;
	for (int i = 0; i < r->n_stages; i++)
	{
		stage *s = &r->stages[i];

		/* silence before the signal, so that output 0 lies on input 0 */
		s->filled = s->taps / 2 - 1;
		s->start = 0;
		s->phase = 0;
		memset(array_at(r, s->history), 0, sizeof(float) * (size_t) s->filled);
	}
}

/*
 * Makes room for n samples at the end of a stage's history and returns the
 * place; the caller writes all of them.
 */
static float *
append(mb_resampler *r, stage *s, int n)
{
	float *history = array_at(r, s->history);

	if (s->filled + n > s->capacity)
	{
		s->filled -= s->start;
		memmove(history, history + s->start, sizeof(float) * (size_t) s->filled);
		s->start = 0;
	}
	s->filled += n;
	return history + s->filled - n;
}

/*
 * Sum of products, n of them, a multiple of 8.  There are sixteen partial sums, which are added up
 * in the same order whatever the registers hold, and nothing is fused: all versions
 * compute the same.
 */
typedef float (*dot_product)(const float *a, const float *b, int n);

static inline float
add_up(float4 a, float4 b)
{
	a += b;
	return (a[0] + a[1]) + (a[2] + a[3]);
}

static inline __attribute__((always_inline)) float
dot_product_plain(const float *a, const float *b, int n)
{
	float4 sum[4] = { { 0 } };
	int i = 0;

	for (; i + 16 <= n; i += 16)
	{
		sum[0] += *(const float4 *) (a + i) * *(const float4 *) (b + i);
		sum[1] += *(const float4 *) (a + i + 4) * *(const float4 *) (b + i + 4);
		sum[2] += *(const float4 *) (a + i + 8) * *(const float4 *) (b + i + 8);
		sum[3] += *(const float4 *) (a + i + 12) * *(const float4 *) (b + i + 12);
	}
	if (i < n)
	{
		sum[0] += *(const float4 *) (a + i) * *(const float4 *) (b + i);
		sum[1] += *(const float4 *) (a + i + 4) * *(const float4 *) (b + i + 4);
	}
	return add_up(sum[0] + sum[2], sum[1] + sum[3]);
}

#ifdef RESAMPLE_AVX2
AVX2 static inline __attribute__((always_inline)) float
dot_product_avx2(const float *a, const float *b, int n)
{
	__m256 even = _mm256_setzero_ps();
	__m256 odd = even;
	int i = 0;

	for (; i + 16 <= n; i += 16)
	{
		even = _mm256_add_ps(even, _mm256_mul_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
		odd = _mm256_add_ps(odd,
							_mm256_mul_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8)));
	}
	if (i < n)
		even = _mm256_add_ps(even, _mm256_mul_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
	even = _mm256_add_ps(even, odd);
	return add_up((float4) _mm256_castps256_ps128(even), (float4) _mm256_extractf128_ps(even, 1));
}
#endif

/* Computes what outputs of a stage the history has the samples for, at most limit. */
static inline __attribute__((always_inline)) int
run_stage(mb_resampler *r, stage *s, float *out, int limit, dot_product dot)
{
	const float *history = array_at(r, s->history);
	const float *coefficients = array_at(r, s->coefficients);
	int taps = s->taps;
	int start = s->start;
	int phase = s->phase;
	int n = 0;

	while (n < limit && start + taps <= s->filled)
	{
		out[n++] = dot(history + start, coefficients + (size_t) phase * (size_t) taps, taps);
		start += s->step;
		phase += s->phase_step;
		if (phase >= s->up)
		{
			phase -= s->up;
			start++;
		}
	}
	s->start = start;
	s->phase = phase;
	return n;
}

static int
run_stage_plain(mb_resampler *r, stage *s, float *out, int limit)
{
	return run_stage(r, s, out, limit, dot_product_plain);
}

#ifdef RESAMPLE_AVX2
AVX2 static int
run_stage_avx2(mb_resampler *r, stage *s, float *out, int limit)
{
	return run_stage(r, s, out, limit, dot_product_avx2);
}
#endif

typedef int (*stage_runner)(mb_resampler *r, stage *s, float *out, int limit);

static stage_runner
runner_of(const mb_resampler *r)
{
	(void) r; /* not looked at where there is but one */
#ifdef RESAMPLE_AVX2
	if (!r->plain && __builtin_cpu_supports("avx2"))
		return run_stage_avx2;
#endif
	return run_stage_plain;
}

/* Adds n samples (silence when in is NULL) to a stage's history. */
static void
append_samples(mb_resampler *r, stage *s, const int16_t *in, int n)
{
	float *place = append(r, s, n);

	if (in == NULL)
		memset(place, 0, (size_t) n * sizeof(*place));
	else
		for (int i = 0; i < n; i++)
			place[i] = (float) in[i];
}

/* Rounds to nearest, halves to even, and saturates. */
static void
to_samples(const float *values, int n, int16_t *out)
{
	/* floats of that size have no fraction; adding one rounds, without a call of lrintf() */
	const float no_fraction = 12582912.0f;

	for (int i = 0; i < n; i++)
	{
		float value = values[i] < 32767.0f ? values[i] : 32767.0f;

		value = value > -32768.0f ? value : -32768.0f;
		out[i] = (int16_t) (int) (value + no_fraction - no_fraction);
	}
}

/* Takes n samples (silence when in is NULL) and writes at most limit. */
static size_t
take(mb_resampler *r, const int16_t *in, size_t n, int16_t *out, uint64_t limit)
{
	stage_runner run = runner_of(r);
	stage *first = &r->stages[0];
	stage *last = &r->stages[r->n_stages - 1];
	size_t given = 0;

	while (n > 0 && given < limit)
	{
		int block = n < BLOCK ? (int) n : BLOCK;
		float values[BLOCK];
		int made;

		append_samples(r, first, in, block);
		if (in != NULL)
			in += block;
		n -= (size_t) block;

		/* a first of two stages makes less than it takes */
		if (first != last)
		{
			made = run(r, first, values, BLOCK);
			memcpy(append(r, last, made), values, (size_t) made * sizeof(*values));
		}
		do
		{
			made = run(r, last, values, limit - given < BLOCK ? (int) (limit - given) : BLOCK);
			to_samples(values, made, out + given);
			given += (size_t) made;
		} while (made == BLOCK);
	}
	return given;
}

size_t
mb_resampler_feed(mb_resampler *r, const int16_t *in, size_t n, int16_t *out)
{
	size_t given;

	if (r->n_stages == 0)
	{
		if (n > 0)
			memcpy(out, in, n * sizeof(*in));
		return n;
	}
	given = take(r, in, n, out, UINT64_MAX);
	r->taken += n;
	r->given += given;
	return given;
}

/* Input samples that an output waits for beyond its own place. */
static size_t
lag(const mb_resampler *r)
{
	size_t samples = 0;

	for (int i = r->n_stages - 1; i >= 0; i--)
	{
		const stage *s = &r->stages[i];

		/* from the stage's output to its input */
		samples = samples * (size_t) s->down / (size_t) s->up + 1 + (size_t) s->taps / 2;
	}
	return samples;
}

size_t
mb_resampler_flush(mb_resampler *r, int16_t *out)
{
	uint64_t missing = mb_resample_length(r->taken, r->from_rate, r->to_rate) - r->given;
	size_t given = 0;

	if (r->n_stages > 0)
		given = take(r, NULL, lag(r) + BLOCK, out, missing);
	mb_resampler_reset(r);
	return given;
}

size_t
mb_resampler_output_bound(const mb_resampler *r, size_t n)
{
	if (r->n_stages == 0)
		return n;
	return (size_t) mb_resample_length((uint64_t) n + lag(r), r->from_rate, r->to_rate) + 2;
}

double
mb_resampler_latency(const mb_resampler *r)
{
	double rate = r->from_rate;
	double seconds = 0;

	for (int i = 0; i < r->n_stages; i++)
	{
		const stage *s = &r->stages[i];

		seconds += s->taps / 2 / rate;
		rate = rate * s->up / s->down;
	}
	return seconds;
}

uint64_t
mb_resample_length(uint64_t n, int from_rate, int to_rate)
{
	int divisor = greatest_common_divisor(from_rate, to_rate);
	uint64_t up = (uint64_t) (to_rate / divisor);
	uint64_t down = (uint64_t) (from_rate / divisor);

	/* in whole turns and rest, so that nothing overflows for any n that has a length */
	return n / down * up + (n % down * up + down - 1) / down;
}
