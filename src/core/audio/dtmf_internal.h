/*
 * dtmf_internal.h
 *	  Between the files of the DTMF receiver: filters (dtmf_kernel.c, dtmf_tables.c), the
 *	  stream (dtmf.c) and the judgement (dtmf_track.c, dtmf_measure.c, dtmf_judge.c).  Nobody else includes it.
 */
#ifndef MB_DTMF_INTERNAL_H
#define MB_DTMF_INTERNAL_H

#include "core/audio/dtmf.h"

/*
 * Scales.  A sine of amplitude A at the input has amplitude A / 2 behind the band
 * filter, and its bin a magnitude of A * 2^14 once the half window is full of it.
 * Energy is summed over a hop behind the band filter and divided by 16.
 */
#define DTMF_BIN_SCALE 16384.0f

/* A window of pure tones: both halves' power in the bins over the band's energy. */
#define DTMF_POWER_OVER_ENERGY (2 * DTMF_BIN_SCALE * DTMF_BIN_SCALE * 8 / DTMF_WINDOW)

/* A half window's middle lies that many samples before its hop begins. */
#define DTMF_DELAY 7.5f

/* Samples by which the band lags: a hop's total energy is taken that much earlier. */
#define DTMF_INPUT_DELAY 10

/* Share of the band's power in two tones for a window that may be a digit. */
#define DTMF_TONAL_SHARE 0.65f

/*
 * Hops of interruption that a digit survives: longer than a dropout of 10 ms, shorter than
 * the pause of 25 ms between two.
 */
#define DTMF_BRIDGE 4

extern const int16_t mb_dtmf_band_taps[DTMF_BAND_TAPS];
/*
 * [pair of taps][real, imaginary][bin][tap of the pair], the first half of the taps: the real parts
 * are symmetric about the middle, the imaginary ones antisymmetric.
 */
extern const int16_t mb_dtmf_bin_taps[DTMF_BIN_TAPS / 4 * 32];
/* Undoes a nominal tone's advance over DTMF_DISTANCE hops. */
extern const float mb_dtmf_turn_re[8];
extern const float mb_dtmf_turn_im[8];
/* The same over one hop. */
extern const float mb_dtmf_hop_turn_re[8];
extern const float mb_dtmf_hop_turn_im[8];
/* What the band filter leaves of the tones' power; the bins have made up for it. */
extern const float mb_dtmf_band_gain[8];

/* The code paths; all compute the same integers. */
typedef enum dtmf_path
{
	DTMF_PATH_PLAIN,
	DTMF_PATH_SSE2,
	DTMF_PATH_AVX2
} dtmf_path;

/*
 * One path's arithmetic over a number of hops.
 *
 * band: hops * 32 samples behind DTMF_INPUT_HISTORY ones make hops * 16 of the band, its
 * energy and the input's.  bins: hops * 16 behind DTMF_BAND_HISTORY ones make 16 sums and
 * 8 powers a hop.  tonal: the best row and column, as 4 * row + column, where they have more than
 * share of the energy of the window, both halves' powers added up, and -1 elsewhere; which hops have one, as bits, the
 * first being the lowest; power[-DTMF_DISTANCE] must exist.  loud:
 * the hops of which some sample reaches the gate, which is a power of two, likewise.  windows: each hop's energy and
 * those of the DTMF_WINDOW - 1 before it, and, as bits, which of these sums reach the floor.
 */
typedef struct dtmf_kernel
{
	void (*band)(const int16_t *input, int hops, int16_t *band, uint32_t *energy, uint32_t *total);
	void (*bins)(const int16_t *band, int hops, int32_t (*bin)[16], float (*power)[8]);
	uint32_t (*tonal)(float (*power)[8], const uint32_t *window, int hops, float share,
					  int8_t *best);
	uint32_t (*loud)(const int16_t *input, int hops, int gate);
	uint32_t (*windows)(const uint32_t *energy, int hops, uint32_t floor, uint32_t *window);
} dtmf_kernel;

/* The tones of a symbol, of the eight.  Without the sign, what divides by 4 is a shift. */
static inline int
dtmf_row(int symbol)
{
	return (int) ((unsigned) symbol / 4);
}

static inline int
dtmf_column(int symbol)
{
	return (int) (4 + (unsigned) symbol % 4);
}

/* Sorts each of the first "columns" (4 or 8) of eight columns of eight numbers, smallest first. */
extern void mb_dtmf_sort_columns(float (*v)[8], int columns);

/* The path's kernel; NULL when this processor (or build) has not got it. */
extern const dtmf_kernel *mb_dtmf_kernel(dtmf_path path);
extern dtmf_path mb_dtmf_best_path(void);

/* For tests: makes a receiver take another path.  False when there is none such. */
extern bool mb_dtmf_use_path(mb_dtmf *dtmf, dtmf_path path);

/* Follows the bursts through hops first to first + n - 1 of the block; those that are tonal are bits. */
extern void mb_dtmf_track(mb_dtmf *dtmf, int first, int n, uint32_t tonal);
/* Ends a burst that is still open. */
extern void mb_dtmf_track_end(mb_dtmf *dtmf);

/*
 * What tells speech from a digit, larger the less it is one.  "More" is the worse one of the two tones, "less" the
 * other; frequencies are relative to the tone's, energies to the burst's.  What noise makes larger is taken less what the
 * noise explains that is there before and after the burst, inside the band and outside.
 */
enum
{
	DTMF_SPREAD_MORE, /* of the frequency from one window to another */
	DTMF_SPREAD_LESS,
	DTMF_DRIFT_MORE, /* of the frequency from the first half to the second */
	DTMF_DRIFT_LESS,
	DTMF_UNEVENNESS_MORE, /* of the level */
	DTMF_UNEVENNESS_LESS,
	DTMF_ERROR,			/* of the frequency against nominal, the worse one */
	DTMF_IMPURITY,		/* share of the band's energy that is in neither tone */
	DTMF_NEIGHBOURS,	/* energy of the band before or after */
	DTMF_OUTSIDE,		/* energy outside the band that comes and goes with the burst */
	DTMF_INVALID,		/* share of the windows that did not look like the digit */
	DTMF_EXTREME_TWIST, /* dB beyond +6 and -3 */
	DTMF_SHORTNESS,		/* ms below 45 */
	DTMF_RISE,			/* hops that its begin takes: an instrument's is slower */
	DTMF_FALL,			/* ... and its end */
	DTMF_COMPANY, /* of sounds like two tones that were no digit, in the last seconds: music is full of them */
	DTMF_VALUES
};

typedef struct dtmf_measures
{
	float onset; /* hops from the track's begin; fractions count */
	float duration;
	float level; /* dBm0 */
	float twist; /* dB */
	float value[DTMF_VALUES];
} dtmf_measures;

/*
 * The decision (dtmf_model.c): a burst is a digit where the bias and each value's excess over each of its
 * knots, times the weight, add up to no more than 0.  The weights of a value are such that the sum never falls when the
 * value grows.
 */
#define DTMF_KNOTS 4
extern const float mb_dtmf_bias;
extern const float mb_dtmf_knots[DTMF_KNOTS][DTMF_VALUES];
extern const float mb_dtmf_weights[DTMF_KNOTS][DTMF_VALUES];

/* Measures a finished burst; false when it cannot be a digit. */
extern bool mb_dtmf_measure(const mb_dtmf *dtmf, dtmf_measures *m);

/* Hops that looked like two tones and were of no digit, as they have faded until a hop. */
extern float mb_dtmf_company(const mb_dtmf *dtmf, int64_t hop);

/* Judges a burst by its measures; fills *event except for the input's sample rate (8 kHz here). */
extern bool mb_dtmf_judge(const mb_dtmf *dtmf, const dtmf_measures *m, mb_dtmf_event *event);

#endif /* MB_DTMF_INTERNAL_H */
