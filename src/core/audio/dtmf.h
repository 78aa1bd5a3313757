/*
 * dtmf.h
 *	  The DTMF receiver (ITU-T Q.23, Q.24): a streaming object in memory that the
 *	  caller owns.  Samples go in, digits come out.
 *
 * All 16 symbols 0-9 A-D * #.  Repeated digits are told apart by the silence
 * between them.  The result does not depend on how the signal is cut into
 * pieces, nor on the processor: the same samples give the same events, bit for bit.
 *
 * What it receives, in short (docs/dtmf.md has the measured limits):
 *
 *	duration	35 ms and longer; 26 ms and shorter is no digit
 *	pause		25 ms and longer; interruptions to about 15 ms are bridged
 *	frequency	±1.8 % of nominal; ±3.5 % is no digit
 *	twist		low group up to 8 dB stronger or 4 dB weaker; beyond +10 and -8 dB no digit
 *	level		0 down to the floor of the options
 *
 * A digit is told when it has ended, at most 60 ms (and the resampler's latency)
 * after its last sample.  The receiver does not allocate, print or keep globals.
 */
#ifndef MB_DTMF_H
#define MB_DTMF_H

#include "core/mb.h"
#include "core/audio/resample.h"

/* The symbols: row r, column c of the keypad is MB_DTMF_SYMBOLS[4 * r + c]. */
#define MB_DTMF_SYMBOLS "123A456B789C*0#D"

/* Frequencies in Hz (ITU-T Q.23), rows and columns in the order of the keypad. */
#define MB_DTMF_ROW_HZ                                                                             \
	{                                                                                              \
		697, 770, 852, 941                                                                         \
	}
#define MB_DTMF_COLUMN_HZ                                                                          \
	{                                                                                              \
		1209, 1336, 1477, 1633                                                                     \
	}

/* One digit that was received.  Samples are counted at the rate given to mb_dtmf_init(). */
typedef struct mb_dtmf_event
{
	char digit;		   /* one of MB_DTMF_SYMBOLS */
	uint64_t onset;	   /* its first sample, counted from the first one fed */
	uint64_t duration; /* in samples, bridged interruptions included */
	float level_dbm0;  /* power of both tones together */
	float twist_db;	   /* low tone's level minus high tone's */
} mb_dtmf_event;

/*
 * Takes one event.  It is called from within mb_dtmf_feed() and mb_dtmf_flush(), in the
 * order of the signal, once for each digit, none of which reaches into another; nothing is queued, so nothing can be lost.  It
 * may not call the receiver.  It may leave by longjmp, after which the receiver may
 * only be initialised again or dropped.
 */
typedef void (*mb_dtmf_callback)(void *arg, const mb_dtmf_event *event);

typedef struct mb_dtmf_options
{
	float floor_dbm0;		   /* quieter pairs of tones are ignored; -70 … -10 */
	mb_dtmf_callback on_digit; /* required */
	void *arg;				   /* handed to on_digit */
} mb_dtmf_options;

/*
 * Power of both tones together below which nothing is a digit by default.  Two dB
 * under the -45 dBm0 that must be received, for what a line adds or takes.
 */
#define MB_DTMF_DEFAULT_FLOOR_DBM0 (-47.0f)

/* Private; declared here only so that its size is known. */
#include "core/audio/dtmf_state.h"

/*
 * Bytes of mb_dtmf that a receiver at this rate uses, which depends on how the signal has
 * to be resampled: least at 8 kHz, all of it at 11,025.  A caller with many receivers
 * allocates just that.  The rates are those of mb_resample_rates; 0 for another.
 */
extern size_t mb_dtmf_size(int sample_rate);

/*
 * Makes a receiver in *dtmf (mb_dtmf_size(sample_rate) bytes, aligned as an mb_dtmf).
 * options are copied.  A receiver for 8 kHz may be copied and moved, any other one may
 * not.  MB_ERR_RATE; MB_ERR_RANGE for a floor out of range or a missing callback;
 * MB_ERR_SPACE cannot happen but is passed on from the resampler.
 */
extern mb_status mb_dtmf_init(mb_dtmf *dtmf, int sample_rate, const mb_dtmf_options *options);

/* Takes n samples, any number from 0 on. */
extern void mb_dtmf_feed(mb_dtmf *dtmf, const int16_t *samples, size_t n);

/*
 * Ends the signal: tells a digit that reaches up to its last sample.  Afterwards
 * the receiver is as after mb_dtmf_init(), counting from 0.
 */
extern void mb_dtmf_flush(mb_dtmf *dtmf);

/*
 * True while a digit may be sounding, for a caller that wants to wait with what it
 * plays.  It is a guess that the end of the tone may refute.
 */
extern bool mb_dtmf_in_progress(const mb_dtmf *dtmf);

/* Row (0-3) and column (4-7, into the eight tones) of a symbol; MB_ERR_SYMBOL. */
extern mb_status mb_dtmf_tones(char symbol, int *row, int *column);

#endif /* MB_DTMF_H */
