/*
 * dtmf_kernel.c
 *	  The arithmetic of the DTMF receiver that runs over every sample: band filter
 *	  with decimation, and the sixteen sums of the half windows.  Plain C and SSE2; AVX2 is in dtmf_avx2.c.
 *
 * All paths compute the same integers (and from them, with one multiplication each,
 * the same floats), so the digits do not depend on the processor.  No
 * sum can overflow; bench/dtmf_tables.py asserts that for the tables it makes.
 * Nothing is decided here.
 */
#include "core/audio/dtmf_kernel.h"

static void
band_plain(const int16_t *input, int hops, int16_t *band, uint32_t *energy, uint32_t *total)
{
	for (int hop = 0; hop < hops; hop++)
	{
		uint32_t sum[DTMF_HALF_HOP / 2] = { 0 };

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
		energy[hop] = 0;
		for (int i = 0; i < DTMF_HALF_HOP / 2; i++)
			energy[hop] += sum[i] >> ENERGY_SHIFT;
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

/* Sum and difference saturate as those of the vector units do. */
static inline int16_t
saturate(int x)
{
	return (int16_t) (x > INT16_MAX ? INT16_MAX : x < INT16_MIN ? INT16_MIN : x);
}

static void
bins_plain(const int16_t *band, int hops, int32_t (*bin)[16], float (*power)[8])
{
	for (int hop = 0; hop < hops; hop++)
	{
		int32_t *out = bin[hop];
		/* samples as far before the middle as after it, added up and subtracted */
		int16_t folded[2][FOLDED];

		for (int k = 0; k < DTMF_BIN_TAPS / 2; k++)
		{
			folded[0][k] = saturate(band[k] + band[DTMF_BIN_TAPS - 1 - k]);
			folded[1][k] = saturate(band[k] - band[DTMF_BIN_TAPS - 1 - k]);
		}
		memset(out, 0, sizeof(bin[hop]));
		for (int k = 0; k < DTMF_BIN_TAPS / 2; k += 2)
		{
			const int16_t *re = mb_dtmf_bin_taps + 16 * k;
			const int16_t *im = re + 16;

			for (int i = 0; i < 8; i++)
			{
				out[i] += re[2 * i] * folded[0][k] + re[2 * i + 1] * folded[0][k + 1];
				out[i + 8] += im[2 * i] * folded[1][k] + im[2 * i + 1] * folded[1][k + 1];
			}
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

/* The place of the largest of four, the first of equal ones. */
static inline int
largest_of_four(const float *v)
{
	int best = 0;

	for (int i = 1; i < 4; i++)
		best = v[i] > v[best] ? i : best;
	return best;
}

static uint32_t
tonal_plain(float (*power)[8], const uint32_t *window, int hops, float share, int8_t *best)
{
	uint32_t tonal = 0;

	for (int hop = 0; hop < hops; hop++)
	{
		float sum[8];
		int row, column;

		for (int i = 0; i < 8; i++)
			sum[i] = power[hop][i] + power[hop - DTMF_DISTANCE][i];
		row = largest_of_four(sum);
		column = largest_of_four(sum + 4);
		best[hop] = -1;
		if (sum[row] + sum[4 + column] > share * (float) window[hop])
		{
			best[hop] = (int8_t) (4 * row + column);
			tonal |= UINT32_C(1) << hop;
		}
	}
	return tonal;
}

static uint32_t
loud_plain(const int16_t *input, int hops, int gate)
{
	uint32_t loud = 0;

	for (int hop = 0; hop < hops; hop++)
	{
		int bits = 0;

		/* a sample below the gate has but copies of its sign from the gate's bit on */
		for (int i = 0; i < DTMF_HOP; i++)
			bits |= input[i] ^ (input[i] >> 15);
		loud |= (uint32_t) (bits >= gate) << hop;
		input += DTMF_HOP;
	}
	return loud;
}

/* The first "done" hops are done. */
static inline uint32_t
windows_from(int done, const uint32_t *energy, int hops, uint32_t floor, uint32_t *window)
{
	uint32_t active = 0;

	for (int hop = done; hop < hops; hop++)
	{
		/* 32 bits hold four hops of less than 2^30 each */
		window[hop] = energy[hop] + energy[hop - 1] + energy[hop - 2] + energy[hop - 3];
		active |= (uint32_t) (window[hop] >= floor) << hop;
	}
	return active;
}

_Static_assert(DTMF_WINDOW == 4, "windows_from() and mb_dtmf_windows_sse2() add up four");

static uint32_t
windows_plain(const uint32_t *energy, int hops, uint32_t floor, uint32_t *window)
{
	return windows_from(0, energy, hops, floor, window);
}

static const dtmf_kernel plain_kernel = { band_plain, bins_plain, tonal_plain, loud_plain,
										  windows_plain };

/* Order of exchanges that sorts eight values. */
#define SORT_EIGHT(exchange)                                                                       \
	exchange(0, 2) exchange(1, 3) exchange(4, 6) exchange(5, 7) exchange(0, 4) exchange(1, 5)      \
		exchange(2, 6) exchange(3, 7) exchange(0, 1) exchange(2, 3) exchange(4, 5) exchange(6, 7)  \
			exchange(2, 4) exchange(3, 5) exchange(1, 4) exchange(3, 6) exchange(1, 2)             \
				exchange(3, 4) exchange(5, 6)

#define EIGHT(what) what(0) what(1) what(2) what(3) what(4) what(5) what(6) what(7)

#ifdef DTMF_X86

static inline __m128i
load(const int16_t *p)
{
	return _mm_loadu_si128((const __m128i *) p);
}

static inline __m128i
squares(__m128i x, int shift)
{
	return _mm_srli_epi32(_mm_madd_epi16(x, x), shift);
}

static inline uint32_t
total_of(const int16_t *input)
{
	const int16_t *x = input + DTMF_INPUT_HISTORY - DTMF_INPUT_DELAY;
	__m128i a = _mm_add_epi32(squares(load(x), TOTAL_SHIFT), squares(load(x + 8), TOTAL_SHIFT));
	__m128i b =
		_mm_add_epi32(squares(load(x + 16), TOTAL_SHIFT), squares(load(x + 24), TOTAL_SHIFT));

	return sum_of(_mm_add_epi32(a, b));
}

static void
band_sse2(const int16_t *input, int hops, int16_t *band, uint32_t *energy, uint32_t *total)
{
	const __m128i round = _mm_set1_epi32(BAND_ROUND);

	for (int hop = 0; hop < hops; hop++)
	{
		__m128i a = round;
		__m128i b = round;
		__m128i c = round;
		__m128i d = round;

		for (int k = 0; k < DTMF_BAND_TAPS; k += 2)
		{
			__m128i taps = _mm_set1_epi32(pair_at(mb_dtmf_band_taps + k));

			a = _mm_add_epi32(a, _mm_madd_epi16(load(input + k), taps));
			b = _mm_add_epi32(b, _mm_madd_epi16(load(input + k + 8), taps));
			c = _mm_add_epi32(c, _mm_madd_epi16(load(input + k + 16), taps));
			d = _mm_add_epi32(d, _mm_madd_epi16(load(input + k + 24), taps));
		}
		a = _mm_packs_epi32(_mm_srai_epi32(a, BAND_SHIFT), _mm_srai_epi32(b, BAND_SHIFT));
		c = _mm_packs_epi32(_mm_srai_epi32(c, BAND_SHIFT), _mm_srai_epi32(d, BAND_SHIFT));
		_mm_storeu_si128((__m128i *) band, a);
		_mm_storeu_si128((__m128i *) band + 1, c);
		energy[hop] = sum_of(_mm_add_epi32(squares(a, ENERGY_SHIFT), squares(c, ENERGY_SHIFT)));
		total[hop] = total_of(input);
		input += DTMF_HOP;
		band += DTMF_HALF_HOP;
	}
}

static inline __m128
power_sse2(__m128i re, __m128i im)
{
	__m128 x = _mm_cvtepi32_ps(re);
	__m128 y = _mm_cvtepi32_ps(im);

	return _mm_add_ps(_mm_mul_ps(x, x), _mm_mul_ps(y, y));
}

/* Eight numbers in reverse. */
static inline __m128i
reverse(__m128i x)
{
	x = _mm_shufflehi_epi16(_mm_shufflelo_epi16(x, 0x1B), 0x1B);
	return _mm_shuffle_epi32(x, 0x4E);
}

/* Adds up and subtracts what lies symmetric about the middle; see bins_plain(). */
static inline void
fold(const int16_t *band, int16_t (*folded)[FOLDED])
{
	for (int k = 0; k < FOLDED; k += 8)
	{
		__m128i early = load(band + k);
		__m128i late = reverse(load(band + DTMF_BIN_TAPS - 8 - k));

		_mm_storeu_si128((__m128i *) (folded[0] + k), _mm_adds_epi16(early, late));
		_mm_storeu_si128((__m128i *) (folded[1] + k), _mm_subs_epi16(early, late));
	}
}

static void
bins_sse2(const int16_t *band, int hops, int32_t (*bin)[16], float (*power)[8])
{
	for (int hop = 0; hop < hops; hop++)
	{
		const __m128i *taps = (const __m128i *) mb_dtmf_bin_taps;
		int16_t folded[2][FOLDED];
		__m128i a = _mm_setzero_si128();
		__m128i b = a;
		__m128i c = a;
		__m128i d = a;

		fold(band, folded);
		for (int k = 0; k < DTMF_BIN_TAPS / 2; k += 2, taps += 4)
		{
			__m128i sum = _mm_set1_epi32(pair_at(folded[0] + k));
			__m128i difference = _mm_set1_epi32(pair_at(folded[1] + k));

			a = _mm_add_epi32(a, _mm_madd_epi16(sum, taps[0]));
			b = _mm_add_epi32(b, _mm_madd_epi16(sum, taps[1]));
			c = _mm_add_epi32(c, _mm_madd_epi16(difference, taps[2]));
			d = _mm_add_epi32(d, _mm_madd_epi16(difference, taps[3]));
		}
		_mm_storeu_si128((__m128i *) bin[hop], a);
		_mm_storeu_si128((__m128i *) bin[hop] + 1, b);
		_mm_storeu_si128((__m128i *) bin[hop] + 2, c);
		_mm_storeu_si128((__m128i *) bin[hop] + 3, d);
		_mm_storeu_ps(power[hop], power_sse2(a, c));
		_mm_storeu_ps(power[hop] + 4, power_sse2(b, d));
		band += DTMF_HALF_HOP;
	}
}

static uint32_t
tonal_sse2(float (*power)[8], const uint32_t *window, int hops, float share, int8_t *best)
{
	uint32_t tonal = 0;

	for (int hop = 0; hop < hops; hop++)
	{
		const float *now = power[hop];
		const float *then = power[hop - DTMF_DISTANCE];
		__m128 low = _mm_add_ps(_mm_loadu_ps(now), _mm_loadu_ps(then));
		__m128 high = _mm_add_ps(_mm_loadu_ps(now + 4), _mm_loadu_ps(then + 4));
		__m128 both = _mm_max_ps(_mm_unpacklo_ps(low, high), _mm_unpackhi_ps(low, high));
		__m128 sum;

		/* the largest of low in its first element, of high in its second */
		both = _mm_max_ps(both, _mm_movehl_ps(both, both));
		sum = _mm_add_ss(both, _mm_shuffle_ps(both, both, 1));
		best[hop] = -1;
		if (_mm_cvtss_f32(sum) > share * (float) window[hop])
		{
			low = _mm_cmpeq_ps(low, _mm_shuffle_ps(both, both, 0x00));
			high = _mm_cmpeq_ps(high, _mm_shuffle_ps(both, both, 0x55));
			best[hop] = (int8_t) (4 * __builtin_ctz((unsigned) _mm_movemask_ps(low)) +
								  __builtin_ctz((unsigned) _mm_movemask_ps(high)));
			tonal |= UINT32_C(1) << hop;
		}
	}
	return tonal;
}

static uint32_t
loud_sse2(const int16_t *input, int hops, int gate)
{
	const __m128i above = _mm_set1_epi16((int16_t) (gate - 1));
	const __m128i below = _mm_set1_epi16((int16_t) -gate);
	uint32_t loud = 0;

	for (int hop = 0; hop < hops; hop++)
	{
		__m128i a = load(input), b = load(input + 8), c = load(input + 16), d = load(input + 24);
		__m128i high = _mm_max_epi16(_mm_max_epi16(a, b), _mm_max_epi16(c, d));
		__m128i low = _mm_min_epi16(_mm_min_epi16(a, b), _mm_min_epi16(c, d));

		high = _mm_or_si128(_mm_cmpgt_epi16(high, above), _mm_cmpgt_epi16(below, low));
		loud |= (uint32_t) (_mm_movemask_epi8(high) != 0) << hop;
		input += DTMF_HOP;
	}
	return loud;
}

static inline __m128i
load_four(const uint32_t *p)
{
	return _mm_loadu_si128((const __m128i *) p);
}

/* There is but a comparison of signed numbers: the sign bits are turned. */
uint32_t
mb_dtmf_windows_sse2(const uint32_t *energy, int hops, uint32_t floor, uint32_t *window)
{
	const __m128i sign = _mm_set1_epi32(INT32_MIN);
	const __m128i least = _mm_set1_epi32((int32_t) (floor ^ 0x80000000u));
	uint32_t active = 0;
	int hop;

	for (hop = 0; hop + 4 <= hops; hop += 4)
	{
		__m128i sum =
			_mm_add_epi32(_mm_add_epi32(load_four(energy + hop), load_four(energy + hop - 1)),
						  _mm_add_epi32(load_four(energy + hop - 2), load_four(energy + hop - 3)));
		__m128i below = _mm_cmpgt_epi32(least, _mm_xor_si128(sum, sign));

		_mm_storeu_si128((__m128i *) (window + hop), sum);
		active |= ((uint32_t) _mm_movemask_ps(_mm_castsi128_ps(below)) ^ 0xF) << hop;
	}
	return active | windows_from(hop, energy, hops, floor, window);
}

static const dtmf_kernel sse2_kernel = { band_sse2, bins_sse2, tonal_sse2, loud_sse2,
										 mb_dtmf_windows_sse2 };

void
mb_dtmf_sort_columns(float (*v)[8], int columns)
{
	for (int half = 0; half < columns; half += 4)
	{
		__m128 low;

		/* each row in a register of its own */
#define ROW(i) __m128 row_##i = _mm_loadu_ps(v[i] + half);
#define EXCHANGE(a, b)                                                                             \
	low = _mm_min_ps(row_##a, row_##b);                                                            \
	row_##b = _mm_max_ps(row_##a, row_##b);                                                        \
	row_##a = low;
#define PUT_BACK(i) _mm_storeu_ps(v[i] + half, row_##i);
		EIGHT(ROW)
		SORT_EIGHT(EXCHANGE)
		EIGHT(PUT_BACK)
#undef ROW
#undef EXCHANGE
#undef PUT_BACK
	}
}

#else /* not DTMF_X86 */

static inline float
larger(float a, float b)
{
	return a > b ? a : b;
}

void
mb_dtmf_sort_columns(float (*v)[8], int columns)
{
	for (int k = 0; k < columns; k++)
	{
		float low;

#define EXCHANGE(a, b)                                                                             \
	low = v[a][k] < v[b][k] ? v[a][k] : v[b][k];                                                   \
	v[b][k] = larger(v[a][k], v[b][k]);                                                            \
	v[a][k] = low;
		SORT_EIGHT(EXCHANGE)
#undef EXCHANGE
	}
}

#endif /* DTMF_X86 */

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
			return __builtin_cpu_supports("avx2") ? &mb_dtmf_avx2_kernel : NULL;
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
