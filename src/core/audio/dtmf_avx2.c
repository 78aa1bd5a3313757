/*
 * dtmf_avx2.c
 *	  The arithmetic of the DTMF receiver that runs over every sample, for processors with AVX2; see dtmf_kernel.c.
 */
#include "core/audio/dtmf_kernel.h"

#ifdef DTMF_X86

#define AVX2 __attribute__((target("avx2")))

/* An empty statement between sums, whose order compilers would change so that registers do not suffice. */
#define KEEP_ORDER(a, b) __asm__("" : "+x"(a), "+x"(b));

/* One pair of taps onto the 16 outputs of a hop. */
#define BAND_STEP(k)                                                                               \
	a = _mm256_add_epi32(a, _mm256_madd_epi16(load_avx2(input + (k)), taps_##k));                  \
	b = _mm256_add_epi32(b, _mm256_madd_epi16(load_avx2(input + (k) + 16), taps_##k));             \
	KEEP_ORDER(a, b)
/* All of them, each pair in a register of its own. */
#define BAND_TAPS_AT(k)                                                                            \
	const __m256i taps_##k = _mm256_set1_epi32(pair_at(mb_dtmf_band_taps + (k)));
#define ALL_BAND_TAPS(step)                                                                        \
	step(0) step(2) step(4) step(6) step(8) step(10) step(12) step(14) step(16) step(18) step(20)  \
		step(22)

AVX2 static inline __m256i
load_avx2(const int16_t *p)
{
	return _mm256_loadu_si256((const __m256i *) p);
}

AVX2 static inline __m256i
squares_avx2(__m256i x, int shift)
{
	return _mm256_srli_epi32(_mm256_madd_epi16(x, x), shift);
}

AVX2 static inline uint32_t
sum_of_avx2(__m256i x)
{
	return sum_of(_mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)));
}

AVX2 static void
band_avx2(const int16_t *input, int hops, int16_t *band, uint32_t *energy, uint32_t *total)
{
	const __m256i round = _mm256_set1_epi32(BAND_ROUND);
	ALL_BAND_TAPS(BAND_TAPS_AT)

	for (int hop = 0; hop < hops; hop++)
	{
		__m256i a = round;
		__m256i b = round;

		ALL_BAND_TAPS(BAND_STEP)
		/* packing works in halves of the register; put its quarters into order */
		a = _mm256_packs_epi32(_mm256_srai_epi32(a, BAND_SHIFT), _mm256_srai_epi32(b, BAND_SHIFT));
		a = _mm256_permute4x64_epi64(a, 0xD8);
		_mm256_storeu_si256((__m256i *) band, a);
		energy[hop] = sum_of_avx2(squares_avx2(a, ENERGY_SHIFT));
		a = load_avx2(input + DTMF_INPUT_HISTORY - DTMF_INPUT_DELAY);
		b = load_avx2(input + DTMF_INPUT_HISTORY - DTMF_INPUT_DELAY + 16);
		total[hop] = sum_of_avx2(
			_mm256_add_epi32(squares_avx2(a, TOTAL_SHIFT), squares_avx2(b, TOTAL_SHIFT)));
		input += DTMF_HOP;
		band += DTMF_HALF_HOP;
	}
}

_Static_assert(DTMF_BAND_TAPS == 24, "ALL_BAND_TAPS has as many steps as there are pairs of taps");

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
		KEEP_ORDER(a, b)                                                                           \
		KEEP_ORDER(c, d)                                                                           \
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
AVX2 static uint32_t
tonal_avx2(float (*power)[8], const uint32_t *window, int hops, float share, int8_t *best)
{
	uint32_t tonal = 0;

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
			tonal |= UINT32_C(1) << hop;
		}
	}
	return tonal;
}

const dtmf_kernel mb_dtmf_avx2_kernel = { band_avx2, bins_avx2, tonal_avx2, loud_avx2,
										  mb_dtmf_windows_sse2 };

#endif /* DTMF_X86 */
