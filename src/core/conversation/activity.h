/*
 * activity.h
 *	  What a frame of a live call holds: the caller's voice, our own coming back, a tone of a key.
 *
 * Samples of 8 kHz go in as they come, with the level of what we play at the time; flags of
 * turn.h come out, one set for each 20 ms.  The voice activity detector (audio/vad.h) says what is
 * active and voiced.  Its floors stand still while the agent's echo may be about as loud as they are, so that it does not
 * raise them, but not before they are known.
 *
 * Echo has no canceller here.  It is told by its level: outbound and inbound envelopes are
 * correlated over delays of 0 to 600 ms while we play and the caller does not, which
 * teaches the delay and the loss of this call's path.  The noise of the line is taken off what came in before,
 * and added to what is expected.  While we play, and for 300 ms after, what
 * is not margin_db above what the path would bring back at most, by what was heard, is echo.  Until the path is known that
 * is what an echo of the loudest we played in the last 400 ms would be at most, which on a line
 * without one is next to nothing, and the bar is no higher than start_loss_db under it.  A noise that comes and goes
 * makes that less certain, and no echo absent.  When we are silent there is no bar.
 */
#ifndef MB_ACTIVITY_H
#define MB_ACTIVITY_H

#include "core/audio/vad.h"
#include "core/conversation/turn.h"

#define MB_ECHO_LAGS 31	   /* of 20 ms */
#define MB_ECHO_HISTORY 48 /* frames of what we played: the lags and 300 ms */

typedef struct mb_echo
{
	float played[MB_ECHO_HISTORY]; /* amplitudes, newest at "now" */
	int now;
	int since_played; /* frames */
	int heard;		  /* frames that taught */

	/* decaying sums for each lag */
	float weight;
	float in;
	float in_squares;
	float out[MB_ECHO_LAGS];
	float out_squares[MB_ECHO_LAGS];
	float products[MB_ECHO_LAGS];

	int lag;	/* frames; -1: not known */
	float gain; /* amplitude in for amplitude out */
	float most; /* which it does not exceed; of a lag that is not known, any */
} mb_echo;

typedef struct mb_activity_options
{
	mb_vad_options vad;	  /* callbacks are not used */
	double margin_db;	  /* above the echo that is expected; 0 … 30 */
	double start_loss_db; /* of a path that is not known; 0 … 60 */
	double noisy_dbfs;	  /* a floor above is a noisy line; -90 … 0 */
} mb_activity_options;

/* The detector's, 6 dB, 12 dB, -38 dBFS (about -35 dBm0). */
extern const mb_activity_options mb_activity_default_options;

/* A frame of 20 ms that has been judged. */
typedef struct mb_activity_frame
{
	uint8_t flags; /* MB_FRAME_… */
	int8_t level;  /* dBFS */
} mb_activity_frame;

typedef struct mb_activity
{
	mb_activity_options options;
	mb_vad vad;
	mb_echo echo;
	mb_vad_frame frame; /* the last that the detector told */
	bool told;
	int floor_frames; /* heard with floors that follow, up to what it takes to know them */
	int tone_run;	  /* frames in a row in which the receiver saw one */
	int tone_frames;  /* it saw one that lasted so long ago */
} mb_activity;

/* MB_ERR_RANGE for an option outside the range noted above.  The state may not be moved. */
extern mb_status mb_activity_init(mb_activity *activity, const mb_activity_options *options);

/*
 * Takes 160 samples.  played_dbfs is the level of what the peer plays at this time,
 * as far as we know, -INFINITY for nothing; the delay it is known with is learnt as the path's.  tone: the
 * DTMF receiver sees one (mb_dtmf_in_progress()), which has heard these samples before.
 */
extern mb_activity_frame
mb_activity_feed(mb_activity *activity, const int16_t *samples, double played_dbfs, bool tone);

/* Delay in ms and loss in dB of the echo's path; false while they are not known. */
extern bool mb_activity_echo(const mb_activity *activity, int *delay_ms, double *loss_db);

#endif /* MB_ACTIVITY_H */
