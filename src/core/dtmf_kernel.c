/*
 * dtmf_kernel.c
 *	  The arithmetic of the DTMF receiver that runs over every sample: band filter
 *	  with decimation, and the sixteen sums of the half windows.  Plain C, SSE2 and AVX2.
 *
 * All paths compute the same integers (and from them, with one multiplication each,
 * the same floats), so the digits do not depend on the processor.  No
 * sum can overflow; bench/dtmf_tables.py asserts that for the tables it makes.
 * Nothing is decided here.
 */
#include "dtmf_internal.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define DTMF_X86 1
#include <immintrin.h>
#endif

#define BAND_SHIFT 15 /* the taps have 14 bits: half the amplitude comes out */
#define BAND_ROUND (1 << (BAND_SHIFT - 1))
#define ENERGY_SHIFT 3 /* before squares are added up, so that 32 bits do for a window */
#define TOTAL_SHIFT 6  /* twice as many samples of twice the amplitude give the same */

static void
band_plain(const int16_t *input, int hops, int16_t *band, uint32_t *energy, uint32_t *total)
{
	for (int hop = 0; hop < hops; hop++)
	{
		uint32_t sum[4] = { 0, 0, 0, 0 };

		for (int i = 0; i < DTMF_HALF_HOP; i++)
		{
			int32_t acc = BAND_ROUND;

			for (int k = 0; k < DTMF_BAND_TAPS; k++)
				acc += mb_dtmf_band_taps[k] * input[2 * i + k];
			acc >>= BAND_SHIFT;
			acc = acc > INT16_MAX ? INT16_MAX : acc < INT16_MIN ? INT16_MIN : acc;
			band[i] = (int16_t) acc;
			sum[i / 2] += (uint32_t) (acc * acc);
		}
		energy[hop] = (sum[0] >> ENERGY_SHIFT) + (sum[1] >> ENERGY_SHIFT) +
			(sum[2] >> ENERGY_SHIFT) + (sum[3] >> ENERGY_SHIFT);
		total[hop] = 0;
		for (int i = 0; i < DTMF_HOP; i += 2)
		{
			const int16_t *x = input + DTMF_INPUT_HISTORY - DTMF_INPUT_DELAY + i;

			total[hop] += ((uint32_t) (x[0] * x[0]) + (uint32_t) (x[1] * x[1])) >> TOTAL_SHIFT;
		}
		input += DTMF_HOP;
		band += DTMF_HALF_HOP;
	}
}

static void
bins_plain(const int16_t *band, int hops, int32_t (*bin)[16], float (*power)[8])
{
	for (int hop = 0; hop < hops; hop++)
	{
		int32_t *out = bin[hop];

		memset(out, 0, sizeof(bin[hop]));
		for (int pair = 0; pair < DTMF_BIN_TAPS / 2; pair++)
		{
			const int16_t *taps = mb_dtmf_bin_taps + 32 * pair;

			for (int i = 0; i < 16; i++)
				out[i] += taps[2 * i] * band[2 * pair] + taps[2 * i + 1] * band[2 * pair + 1];
		}
		for (int i = 0; i < 8; i++)
		{
			float re = (float) out[i];
			float im = (float) out[i + 8];

			power[hop][i] = re * re + im * im;
		}
		band += DTMF_HALF_HOP;
	}
}

static const dtmf_kernel plain_kernel = { band_plain, bins_plain };

#ifdef DTMF_X86

/* Two neighbouring taps in every 32-bit lane, and two neighbouring samples likewise. */
static inline int32_t
pair_at(const int16_t *p)
{
	int32_t pair;

	memcpy(&pair, p, sizeof(pair));
	return pair;
}

static inline uint32_t
energy_of(__m128i band)
{
	__m128i squares = _mm_srli_epi32(_mm_madd_epi16(band, band), ENERGY_SHIFT);

	squares = _mm_add_epi32(squares, _mm_shuffle_epi32(squares, 0x4E));
	squares = _mm_add_epi32(squares, _mm_shuffle_epi32(squares, 0xB1));
	return (uint32_t) _mm_cvtsi128_si32(squares);
}

static inline uint32_t
total_of(const int16_t *input)
{
	const int16_t *x = input + DTMF_INPUT_HISTORY - DTMF_INPUT_DELAY;
	__m128i a = _mm_loadu_si128((const __m128i *) x);
	__m128i b = _mm_loadu_si128((const __m128i *) (x + 8));

	a = _mm_add_epi32(_mm_srli_epi32(_mm_madd_epi16(a, a), TOTAL_SHIFT),
					  _mm_srli_epi32(_mm_madd_epi16(b, b), TOTAL_SHIFT));
	a = _mm_add_epi32(a, _mm_shuffle_epi32(a, 0x4E));
	a = _mm_add_epi32(a, _mm_shuffle_epi32(a, 0xB1));
	return (uint32_t) _mm_cvtsi128_si32(a);
}

static void
band_sse2(const int16_t *input, int hops, int16_t *band, uint32_t *energy, uint32_t *total)
{
	const __m128i round = _mm_set1_epi32(BAND_ROUND);

	for (int hop = 0; hop < hops; hop++)
	{
		__m128i a = round;
		__m128i b = round;

		for (int k = 0; k < DTMF_BAND_TAPS; k += 2)
		{
			__m128i taps = _mm_set1_epi32(pair_at(mb_dtmf_band_taps + k));
			__m128i x = _mm_loadu_si128((const __m128i *) (input + k));
			__m128i y = _mm_loadu_si128((const __m128i *) (input + k + 8));

			a = _mm_add_epi32(a, _mm_madd_epi16(x, taps));
			b = _mm_add_epi32(b, _mm_madd_epi16(y, taps));
		}
		a = _mm_packs_epi32(_mm_srai_epi32(a, BAND_SHIFT), _mm_srai_epi32(b, BAND_SHIFT));
		_mm_storeu_si128((__m128i *) band, a);
		energy[hop] = energy_of(a);
		total[hop] = total_of(input);
		input += DTMF_HOP;
		band += DTMF_HALF_HOP;
	}
}

static void
bins_sse2(const int16_t *band, int hops, int32_t (*bin)[16], float (*power)[8])
{
	for (int hop = 0; hop < hops; hop++)
	{
		__m128i acc[4] = { _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(),
						   _mm_setzero_si128() };

		for (int pair = 0; pair < DTMF_BIN_TAPS / 2; pair++)
		{
			const __m128i *taps = (const __m128i *) (mb_dtmf_bin_taps + 32 * pair);
			__m128i x = _mm_set1_epi32(pair_at(band + 2 * pair));

			for (int i = 0; i < 4; i++)
				acc[i] = _mm_add_epi32(acc[i], _mm_madd_epi16(x, taps[i]));
		}
		for (int i = 0; i < 4; i++)
			_mm_storeu_si128((__m128i *) bin[hop] + i, acc[i]);
		for (int i = 0; i < 2; i++)
		{
			__m128 re = _mm_cvtepi32_ps(acc[i]);
			__m128 im = _mm_cvtepi32_ps(acc[i + 2]);

			_mm_storeu_ps(power[hop] + 4 * i, _mm_add_ps(_mm_mul_ps(re, re), _mm_mul_ps(im, im)));
		}
		band += DTMF_HALF_HOP;
	}
}

static const dtmf_kernel sse2_kernel = { band_sse2, bins_sse2 };

#define AVX2 __attribute__((target("avx2")))

AVX2 static void
band_avx2(const int16_t *input, int hops, int16_t *band, uint32_t *energy, uint32_t *total)
{
	const __m256i round = _mm256_set1_epi32(BAND_ROUND);

	for (int hop = 0; hop < hops; hop++)
	{
		__m256i acc = round;
		__m128i out;

		for (int k = 0; k < DTMF_BAND_TAPS; k += 2)
		{
			__m256i taps = _mm256_set1_epi32(pair_at(mb_dtmf_band_taps + k));
			__m256i x = _mm256_loadu_si256((const __m256i *) (input + k));

			acc = _mm256_add_epi32(acc, _mm256_madd_epi16(x, taps));
		}
		acc = _mm256_srai_epi32(acc, BAND_SHIFT);
		out = _mm_packs_epi32(_mm256_castsi256_si128(acc), _mm256_extracti128_si256(acc, 1));
		_mm_storeu_si128((__m128i *) band, out);
		energy[hop] = energy_of(out);
		total[hop] = total_of(input);
		input += DTMF_HOP;
		band += DTMF_HALF_HOP;
	}
}

AVX2 static void
bins_avx2(const int16_t *band, int hops, int32_t (*bin)[16], float (*power)[8])
{
	for (int hop = 0; hop < hops; hop++)
	{
		__m256i re = _mm256_setzero_si256();
		__m256i im = _mm256_setzero_si256();
		__m256 x, y;

		for (int pair = 0; pair < DTMF_BIN_TAPS / 2; pair++)
		{
			const __m256i *taps = (const __m256i *) (mb_dtmf_bin_taps + 32 * pair);
			__m256i in = _mm256_set1_epi32(pair_at(band + 2 * pair));

			re = _mm256_add_epi32(re, _mm256_madd_epi16(in, taps[0]));
			im = _mm256_add_epi32(im, _mm256_madd_epi16(in, taps[1]));
		}
		_mm256_storeu_si256((__m256i *) bin[hop], re);
		_mm256_storeu_si256((__m256i *) bin[hop] + 1, im);
		x = _mm256_cvtepi32_ps(re);
		y = _mm256_cvtepi32_ps(im);
		_mm256_storeu_ps(power[hop], _mm256_add_ps(_mm256_mul_ps(x, x), _mm256_mul_ps(y, y)));
		band += DTMF_HALF_HOP;
	}
}

static const dtmf_kernel avx2_kernel = { band_avx2, bins_avx2 };

#endif							/* DTMF_X86 */

const dtmf_kernel *
mb_dtmf_kernel(dtmf_path path)
{
	switch (path)
	{
		case DTMF_PATH_PLAIN:
			return &plain_kernel;
		case DTMF_PATH_SSE2:
#ifdef DTMF_X86
			return &sse2_kernel;
#else
			return NULL;
#endif
		case DTMF_PATH_AVX2:
#ifdef DTMF_X86
			return __builtin_cpu_supports("avx2") ? &avx2_kernel : NULL;
#else
			return NULL;
#endif
	}
	return NULL;
}

dtmf_path
mb_dtmf_best_path(void)
{
	if (mb_dtmf_kernel(DTMF_PATH_AVX2) != NULL)
		return DTMF_PATH_AVX2;
	if (mb_dtmf_kernel(DTMF_PATH_SSE2) != NULL)
		return DTMF_PATH_SSE2;
	return DTMF_PATH_PLAIN;
}
