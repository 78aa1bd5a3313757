/*
 * tone.h
 *	  Tone generation: DTMF (ITU-T Q.23) and the tones of call progress, as int16 samples
 *	  at 8, 16, 44.1 or 48 kHz.
 *
 * Both are streaming objects in memory that the caller owns; how the output is cut into pieces
 * does not change it.  Phases are computed from the sample's number in 64 bits, so nothing
 * drifts over long runs, and durations are rounded from the beginning of the signal on.
 *
 * Levels are those of all tones of a signal together, in dBm0 as ITU-T G.711 has it: a sine
 * with peak MB_DBM0_PEAK has 0 dBm0, one that fills mu-law +3.17 dBm0.  Two tones of
 * -3.01 dBm0 each are a signal of 0 dBm0, the loudest pair that never clips.
 */
#ifndef MB_TONE_H
#define MB_TONE_H

#include "core/mb.h"

/* A pause in a string of digits: half a second, one second. */
#define MB_TONE_SHORT_PAUSE 'w'
#define MB_TONE_LONG_PAUSE 'W'
#define MB_TONE_SHORT_PAUSE_MS 500
#define MB_TONE_LONG_PAUSE_MS 1000

#define MB_TONE_MIN_LEVEL_DBM0 (-60.0)
#define MB_TONE_MAX_LEVEL_DBM0 0.0
#define MB_TONE_MAX_TWIST_DB 20.0
#define MB_TONE_MIN_ON_MS 10
#define MB_TONE_MIN_OFF_MS 0
#define MB_TONE_MAX_MS 60000
#define MB_TONE_MAX_RAMP_MS 20

/* How a string of digits sounds. */
typedef struct mb_tone_dtmf_options
{
	double level_dbm0; /* both tones together, -60 … 0 */
	double twist_db;   /* low tone's level minus high tone's, ±20 */
	int on_ms;		   /* each digit, ramps included, 10 … 60000 */
	int off_ms;		   /* silence after each digit, 0 … 60000 */
	int ramp_ms;	   /* raised cosine at both ends, 0 … 20 and at most half of on_ms */
} mb_tone_dtmf_options;

/*
 * What every receiver hears, with a margin: -10 dBm0, no twist, 80 ms on and off.  A ramp of 2 ms
 * keeps the click of a tone that begins at once out of what else is on the line.
 */
#define MB_TONE_DTMF_DEFAULTS                                                                      \
	{                                                                                              \
		.level_dbm0 = -10, .twist_db = 0, .on_ms = 80, .off_ms = 80, .ramp_ms = 2                  \
	}

/*
 * Samples that n_digits symbols (0-9 A-D * # and the pauses w W) become; each digit is followed
 * by its silence.  MB_ERR_RATE; MB_ERR_RANGE for options outside the ranges above;
 * MB_ERR_SYMBOL, then *position is that of the first character which is none.
 * position may be NULL.
 */
extern mb_status
mb_tone_dtmf_samples(const char *digits, size_t n_digits, const mb_tone_dtmf_options *options,
					 int sample_rate, uint64_t *n_samples, size_t *position);

/* One tone or pair of tones from one sample to another, and silence after it.  Private. */
typedef struct mb_tone_burst
{
	int n_tones;
	uint64_t step[2]; /* turns per sample, times 2^64 */
	double peak[2];
	uint64_t begin, end_on, end; /* samples of the signal */
	uint64_t ramp;				 /* samples */
} mb_tone_burst;

/* A string of digits on its way out; the members are private. */
typedef struct mb_tone_dtmf
{
	mb_tone_dtmf_options options;
	const char *digits;
	size_t n_digits;
	size_t next; /* the digit after the burst */
	int sample_rate;
	uint64_t elapsed_ms; /* at the burst's end */
	uint64_t position;	 /* samples written */
	mb_tone_burst burst;
} mb_tone_dtmf;

/*
 * Begins a string of digits, which must stay where it is until the last sample has been
 * read.  Errors as mb_tone_dtmf_samples().
 */
extern mb_status mb_tone_dtmf_init(mb_tone_dtmf *tone, const char *digits, size_t n_digits,
								   const mb_tone_dtmf_options *options, int sample_rate);

/* Writes the next n samples, or as many as are left; returns their number. */
extern size_t mb_tone_dtmf_read(mb_tone_dtmf *tone, int16_t *out, size_t n);

/* Tones of call progress. */
typedef enum mb_call_tone
{
	MB_TONE_DIAL,			/* 350 + 440 Hz (North America) */
	MB_TONE_RINGING,		/* 440 + 480 Hz, 2 s on, 4 s off */
	MB_TONE_BUSY,			/* 480 + 620 Hz, 0.5 s on, 0.5 s off */
	MB_TONE_CONGESTION,		/* 480 + 620 Hz, 0.25 s on, 0.25 s off */
	MB_TONE_DIAL_425,		/* 425 Hz (ETSI TR 101 041, ITU-T E.180) */
	MB_TONE_RINGING_425,	/* 1 s on, 4 s off */
	MB_TONE_BUSY_425,		/* 0.5 s on, 0.5 s off */
	MB_TONE_CONGESTION_425, /* 0.25 s on, 0.25 s off */
	MB_TONE_FAX_CALLING		/* CNG, 1100 Hz, 0.5 s on, 3 s off (ITU-T T.30) */
} mb_call_tone;

/* An endless tone of call progress; the members are private. */
typedef struct mb_tone
{
	mb_call_tone kind;
	int sample_rate;
	uint64_t elapsed_ms;
	uint64_t position;
	mb_tone_burst burst;
} mb_tone;

/* Begins a tone.  MB_ERR_RATE; MB_ERR_RANGE for a level (as above) or an unknown kind. */
extern mb_status mb_tone_init(mb_tone *tone, mb_call_tone kind, double level_dbm0, int sample_rate);

/* Writes the next n samples. */
extern void mb_tone_read(mb_tone *tone, int16_t *out, size_t n);

/* Length of one cycle on and off in ms; 0 for a continuous tone or an unknown kind. */
extern int mb_tone_cycle_ms(mb_call_tone kind);

#endif /* MB_TONE_H */
