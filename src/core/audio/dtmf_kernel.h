/*
 * dtmf_kernel.h
 *	  Between the code paths of the DTMF receiver: what their arithmetic has in common.
 */
#ifndef MB_DTMF_KERNEL_H
#define MB_DTMF_KERNEL_H

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
sum_of(__m128i x)
{
	x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4E));
	x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0xB1));
	return (uint32_t) _mm_cvtsi128_si32(x);
}

/* The sums over windows need no more than SSE2. */
extern uint32_t
mb_dtmf_windows_sse2(const uint32_t *energy, int hops, uint32_t floor, uint32_t *window);

extern const dtmf_kernel mb_dtmf_avx2_kernel;

#endif /* DTMF_X86 */

#endif /* MB_DTMF_KERNEL_H */
