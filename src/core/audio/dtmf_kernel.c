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
#include "core/audio/dtmf_internal.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define DTMF_X86 1
#include <immintrin.h>
#endif

#define BAND_SHIFT 15 /* the taps have 14 bits: half the amplitude comes out */
#define BAND_ROUND (1 << (BAND_SHIFT - 1))
#define ENERGY_SHIFT 4 /* before squares are added up, so that 32 bits do for a window */
#define TOTAL_SHIFT 7  /* twice as many samples of twice the amplitude give the same */

/* Half of a bin's taps, rounded up to what a vector holds. */
#define FOLDED 16

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

static void
tonal_plain(float (*power)[8], const uint32_t *window, int hops, float share, int8_t *best)
{
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
			best[hop] = (int8_t) (4 * row + column);
	}
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

static const dtmf_kernel plain_kernel = { band_plain, bins_plain, tonal_plain, loud_plain };

/* Order of exchanges that sorts eight values. */
#define SORT_EIGHT(exchange)                                                                       \
	exchange(0, 2) exchange(1, 3) exchange(4, 6) exchange(5, 7) exchange(0, 4) exchange(1, 5)      \
		exchange(2, 6) exchange(3, 7) exchange(0, 1) exchange(2, 3) exchange(4, 5) exchange(6, 7)  \
			exchange(2, 4) exchange(3, 5) exchange(1, 4) exchange(3, 6) exchange(1, 2)             \
				exchange(3, 4) exchange(5, 6)

#ifdef DTMF_X86

/* Two neighbouring taps in every 32-bit lane, and two neighbouring samples likewise. */
static inline int32_t
pair_at(const int16_t *p)
{
	int32_t pair;

	memcpy(&pair, p, sizeof(pair));
	return pair;
}

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
sum_of(__m128i x)
{
	x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4E));
	x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0xB1));
	return (uint32_t) _mm_cvtsi128_si32(x);
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

static void
tonal_sse2(float (*power)[8], const uint32_t *window, int hops, float share, int8_t *best)
{
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
		}
	}
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

static const dtmf_kernel sse2_kernel = { band_sse2, bins_sse2, tonal_sse2, loud_sse2 };

void
mb_dtmf_sort_columns(float (*v)[8], int columns)
{
	for (int half = 0; half < columns; half += 4)
	{
		__m128 r[8];
		__m128 low;

		for (int i = 0; i < 8; i++)
			r[i] = _mm_loadu_ps(v[i] + half);
#define EXCHANGE(a, b)                                                                             \
	low = _mm_min_ps(r[a], r[b]);                                                                  \
	r[b] = _mm_max_ps(r[a], r[b]);                                                                 \
	r[a] = low;
		SORT_EIGHT(EXCHANGE)
#undef EXCHANGE
		for (int i = 0; i < 8; i++)
			_mm_storeu_ps(v[i] + half, r[i]);
	}
}

#define AVX2 __attribute__((target("avx2")))

/* One pair of taps onto the 16 outputs of a hop. */
#define BAND_STEP(k)                                                                               \
	{                                                                                              \
		__m256i taps = _mm256_set1_epi32(pair_at(mb_dtmf_band_taps + (k)));                        \
		a = _mm256_add_epi32(a, _mm256_madd_epi16(load_avx2(input + (k)), taps));                  \
		b = _mm256_add_epi32(b, _mm256_madd_epi16(load_avx2(input + (k) + 16), taps));             \
	}

AVX2 static inline __m256i
load_avx2(const int16_t *p)
{
	return _mm256_loadu_si256((const __m256i *) p);
}

AVX2 static void
band_avx2(const int16_t *input, int hops, int16_t *band, uint32_t *energy, uint32_t *total)
{
	const __m256i round = _mm256_set1_epi32(BAND_ROUND);

	for (int hop = 0; hop < hops; hop++)
	{
		__m256i a = round;
		__m256i b = round;
		__m256i square;

		/* unrolled by hand: the compiler spends a move on each sum in a loop */
		for (int k = 0; k < DTMF_BAND_TAPS; k += 8)
		{
			BAND_STEP(k)
			BAND_STEP(k + 2)
			BAND_STEP(k + 4)
			BAND_STEP(k + 6)
		}
		/* packing works in halves of the register; put its quarters into order */
		a = _mm256_packs_epi32(_mm256_srai_epi32(a, BAND_SHIFT), _mm256_srai_epi32(b, BAND_SHIFT));
		a = _mm256_permute4x64_epi64(a, 0xD8);
		_mm256_storeu_si256((__m256i *) band, a);
		square = _mm256_srli_epi32(_mm256_madd_epi16(a, a), ENERGY_SHIFT);
		energy[hop] = sum_of(
			_mm_add_epi32(_mm256_castsi256_si128(square), _mm256_extracti128_si256(square, 1)));
		total[hop] = total_of(input);
		input += DTMF_HOP;
		band += DTMF_HALF_HOP;
	}
}

AVX2 static inline void
store_avx2(__m256i re, __m256i im, int32_t *bin, float *power)
{
	__m256 x = _mm256_cvtepi32_ps(re);
	__m256 y = _mm256_cvtepi32_ps(im);

	_mm256_storeu_si256((__m256i *) bin, re);
	_mm256_storeu_si256((__m256i *) bin + 1, im);
	_mm256_storeu_ps(power, _mm256_add_ps(_mm256_mul_ps(x, x), _mm256_mul_ps(y, y)));
}

/* As fold(), all at once: the last two of the sixteen are not used. */
AVX2 static inline void
fold_avx2(const int16_t *band, int16_t (*folded)[FOLDED])
{
	const __m256i backwards =
		_mm256_setr_epi8(14, 15, 12, 13, 10, 11, 8, 9, 6, 7, 4, 5, 2, 3, 0, 1, 14, 15, 12, 13, 10,
						 11, 8, 9, 6, 7, 4, 5, 2, 3, 0, 1);
	__m256i early = load_avx2(band);
	__m256i late = _mm256_shuffle_epi8(load_avx2(band + DTMF_BIN_TAPS - FOLDED), backwards);

	late = _mm256_permute4x64_epi64(late, 0x4E);
	_mm256_storeu_si256((__m256i *) folded[0], _mm256_adds_epi16(early, late));
	_mm256_storeu_si256((__m256i *) folded[1], _mm256_subs_epi16(early, late));
}

/* One pair of taps onto the 16 sums of two hops. */
#define BIN_STEP(k)                                                                                \
	{                                                                                              \
		__m256i re = taps[k];                                                                      \
		__m256i im = taps[(k) + 1];                                                                \
		a = _mm256_add_epi32(a, _mm256_madd_epi16(_mm256_set1_epi32(pair_at(one[0] + (k))), re));  \
		b = _mm256_add_epi32(b, _mm256_madd_epi16(_mm256_set1_epi32(pair_at(one[1] + (k))), im));  \
		c = _mm256_add_epi32(c, _mm256_madd_epi16(_mm256_set1_epi32(pair_at(two[0] + (k))), re));  \
		d = _mm256_add_epi32(d, _mm256_madd_epi16(_mm256_set1_epi32(pair_at(two[1] + (k))), im));  \
	}

AVX2 static void
bins_avx2(const int16_t *band, int hops, int32_t (*bin)[16], float (*power)[8])
{
	int16_t folded[DTMF_BLOCK + 1][2][FOLDED];

	for (int hop = 0; hop < hops; hop++)
		fold_avx2(band + hop * DTMF_HALF_HOP, folded[hop]);
	/* an odd one at the end is done twice */
	fold_avx2(band + (hops - 1) * DTMF_HALF_HOP, folded[hops]);

	/* two at a time, which share the taps and hide the latency of the sums */
	for (int hop = 0; hop < hops; hop += 2)
	{
		const __m256i *taps = (const __m256i *) mb_dtmf_bin_taps;
		const int16_t(*one)[FOLDED] = (const int16_t(*)[FOLDED]) folded[hop];
		const int16_t(*two)[FOLDED] = (const int16_t(*)[FOLDED]) folded[hop + 1];
		int second = hop + 1 < hops ? 1 : 0;
		__m256i a = _mm256_setzero_si256();
		__m256i b = a;
		__m256i c = a;
		__m256i d = a;

		BIN_STEP(0)
		BIN_STEP(2)
		BIN_STEP(4)
		BIN_STEP(6)
		BIN_STEP(8)
		BIN_STEP(10)
		BIN_STEP(12)
		store_avx2(a, b, bin[hop], power[hop]);
		store_avx2(c, d, bin[hop + second], power[hop + second]);
	}
}

_Static_assert(DTMF_BIN_TAPS == 28,
			   "bins_avx2 has as many steps as there are pairs of taps in half");

AVX2 static uint32_t
loud_avx2(const int16_t *input, int hops, int gate)
{
	const __m256i above = _mm256_set1_epi16((int16_t) (gate - 1));
	const __m256i below = _mm256_set1_epi16((int16_t) -gate);
	uint32_t loud = 0;

	for (int hop = 0; hop < hops; hop++)
	{
		__m256i a = load_avx2(input), b = load_avx2(input + 16);
		__m256i high = _mm256_cmpgt_epi16(_mm256_max_epi16(a, b), above);
		__m256i low = _mm256_cmpgt_epi16(below, _mm256_min_epi16(a, b));

		loud |= (uint32_t) (_mm256_movemask_epi8(_mm256_or_si256(high, low)) != 0) << hop;
		input += DTMF_HOP;
	}
	return loud;
}

/* As tonal_sse2(), rows in one half of the register and columns in the other. */
AVX2 static void
tonal_avx2(float (*power)[8], const uint32_t *window, int hops, float share, int8_t *best)
{
	for (int hop = 0; hop < hops; hop++)
	{
		__m256 sum =
			_mm256_add_ps(_mm256_loadu_ps(power[hop]), _mm256_loadu_ps(power[hop - DTMF_DISTANCE]));
		__m256 both = _mm256_max_ps(sum, _mm256_permute_ps(sum, 0x4E));
		__m128 low, high;

		both = _mm256_max_ps(both, _mm256_permute_ps(both, 0xB1));
		low = _mm256_castps256_ps128(both);
		high = _mm256_extractf128_ps(both, 1);
		best[hop] = -1;
		if (_mm_cvtss_f32(_mm_add_ss(low, high)) > share * (float) window[hop])
		{
			unsigned equal = (unsigned) _mm256_movemask_ps(_mm256_cmp_ps(sum, both, _CMP_EQ_OQ));

			best[hop] = (int8_t) (4 * __builtin_ctz(equal) + __builtin_ctz(equal >> 4));
		}
	}
}

static const dtmf_kernel avx2_kernel = { band_avx2, bins_avx2, tonal_avx2, loud_avx2 };

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
