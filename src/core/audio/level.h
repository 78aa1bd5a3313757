/*
 * level.h
 *	  How loud a signal is: RMS and peak in dBFS and dBm0, DC offset, clipping.
 *
 * dBFS is 20 log10(RMS / 32768), which ITU-T P.56 calls dBov: a square wave of full
 * scale has 0 dBFS, a sine of full scale -3.01 dBFS.  dBm0 is the level at the network's
 * reference point (ITU-T G.711): a sine with peak MB_DBM0_PEAK has 0 dBm0.
 * The level of digital silence is -INFINITY.
 *
 * The state is a sum, so it can be fed in any pieces, and the states of two parts of a signal
 * can be combined.  It holds at least 10^10 samples (14 days at 8 kHz) exactly.
 */
#ifndef MB_LEVEL_H
#define MB_LEVEL_H

#include "core/mb.h"

typedef struct mb_level
{
	uint64_t n; /* samples */
	uint64_t sum_of_squares;
	int64_t sum;
	uint64_t clipped; /* samples at either end of the range */
	int32_t minimum;
	int32_t maximum;
} mb_level;

extern void mb_level_init(mb_level *level);
extern void mb_level_feed(mb_level *level, const int16_t *samples, size_t n);

/* Adds what other has heard; both may have heard nothing. */
extern void mb_level_combine(mb_level *level, const mb_level *other);

/* Level of the whole signal, DC included. */
extern double mb_level_rms_dbfs(const mb_level *level);
extern double mb_level_rms_dbm0(const mb_level *level);

/* Largest magnitude; a full-scale sample has 0 dBFS. */
extern double mb_level_peak_dbfs(const mb_level *level);

/* Mean as a fraction of full scale, -1 … 1; 0 when nothing was fed. */
extern double mb_level_dc(const mb_level *level);

/* dBFS of a mean square (int16 samples squared) and back. */
extern double mb_dbfs_from_power(double mean_square);
extern double mb_power_from_dbfs(double dbfs);

#endif /* MB_LEVEL_H */
