/*
 * vad.h
 *	  Voice activity over frames of 20 ms: energy above a noise floor that adapts, and
 *	  voicing, with a hangover, as a streaming object of fixed size.
 *
 * What is measured has passed a high-pass at 250 Hz (24 dB an octave), so that a car or a hum
 * below is no speech.  A frame is active, and says why (mb_vad_reason), when
 *	- its power exceeds the noise floor by on_db, and once speech is suspected by off_db
 *	- or that of the band in which voices are strongest (250 to 1400 Hz) exceeds its floor so
 *	- or it is voiced: the band repeats itself with a period of 60 to 400 Hz,
 * and in any case its power reaches min_dbfs (dBFS as in level.h).  Voicing hears a
 * talker whose power is that of the noise.  Speech has started when frames of start_ms were
 * active with no pause over 40 ms; it has ended when none was for hangover_ms.  Reported
 * times are those of the signal: a segment reaches from the first sample of its first active
 * frame to the last sample of its last one, whatever the detector needed to be sure.
 *
 * A floor is the lowest power of a frame in the last two seconds, so that it falls
 * at once, survives speech, which has a pause of a syllable at least that often,
 * and follows a noise that begins.  Digital silence says nothing about the noise: up to half a
 * second of it, as lost packets leave, does not move the floor; after that the line
 * is taken to be silent.  The first frame sets the floor to its level, but at most
 * to -45 dBFS, so that a call that begins with speech is heard.
 *
 * Impulses that come again and again (keys, drops) are not active: frames loud for a part of their time alone that have no pitch, from
 * the fifth or so within two seconds on.  One right in front of an active frame or right behind one may belong to a word, and counts.
 *
 * What is not speech but changes its level quickly or has a pitch (music, tones, clicks of 100 ms or that ring) is active, too.
 * The result does not depend on how the signal is cut into pieces.
 */
#ifndef MB_VAD_H
#define MB_VAD_H

#include "core/mb.h"

#define MB_VAD_FRAME_MS 20

/* Window of the noise floor: MB_VAD_FLOOR_BUCKETS parts of MB_VAD_BUCKET_FRAMES frames. */
#define MB_VAD_FLOOR_BUCKETS 8
#define MB_VAD_BUCKET_FRAMES 13

/* The band of voices is looked at MB_VAD_BAND_RATE times a second, 40 ms and the longest period at once. */
#define MB_VAD_BAND_RATE 4000
#define MB_VAD_BAND_WINDOW 160
#define MB_VAD_SHORTEST_PERIOD 10
#define MB_VAD_LONGEST_PERIOD 67
#define MB_VAD_BAND_SAMPLES (MB_VAD_BAND_WINDOW + MB_VAD_LONGEST_PERIOD)

/* Parts of a frame of which the power is measured, and how many of them, the quietest, must be loud as well. */
#define MB_VAD_SLOTS 8
#define MB_VAD_QUIETEST_SLOTS 5

/* Digital silence of this many frames (500 ms) leaves the floor alone. */
#define MB_VAD_SILENCE_FRAMES 25

typedef enum mb_vad_event_kind
{
	MB_VAD_SPEECH_STARTED,
	MB_VAD_SPEECH_ENDED
} mb_vad_event_kind;

/* Times are samples at the rate of mb_vad_init(), counted from the first one fed. */
typedef struct mb_vad_event
{
	mb_vad_event_kind kind;
	uint64_t onset;	   /* first sample of the segment */
	uint64_t end;	   /* first sample behind it; so far, when it has just started */
	uint64_t detected; /* samples fed when this became known */
	double level_dbfs; /* mean power of its active frames */
} mb_vad_event;

/* Why a frame is active; the first that holds. */
typedef enum mb_vad_reason
{
	MB_VAD_QUIET,  /* it is not */
	MB_VAD_ENERGY, /* above the floor */
	MB_VAD_BAND,   /* above the floor in the band of voices */
	MB_VAD_VOICED  /* it has a pitch */
} mb_vad_reason;

/* What was measured of a frame, for who wants to know why. */
typedef struct mb_vad_frame
{
	uint64_t position; /* first sample behind it */
	mb_vad_reason reason;
	double level_dbfs;		/* of all above 250 Hz */
	double floor_dbfs;		/* under it */
	double band_dbfs;		/* of the band of voices */
	double band_floor_dbfs; /* under it */
	double
		voicing; /* 0 … 1; -1 where nobody asked, because energy decided or the level is too low */
} mb_vad_frame;

typedef void (*mb_vad_frame_callback)(void *arg, const mb_vad_frame *frame);

/* Called within mb_vad_feed() and mb_vad_flush(); may leave by longjmp, and then the state is lost. */
typedef void (*mb_vad_callback)(void *arg, const mb_vad_event *event);

typedef struct mb_vad_options
{
	double on_db;					/* above the floor; 3 … 40 */
	double off_db;					/* above the floor; 1 … on_db */
	double min_dbfs;				/* quieter is never speech; -90 … 0 */
	int start_ms;					/* activity until speech has started; 20 … 1000 */
	int hangover_ms;				/* silence until it has ended; 20 … 10000 */
	bool voicing;					/* is measured of every active frame, for on_frame */
	mb_vad_callback on_event;		/* may be NULL, for who only asks for the state */
	mb_vad_frame_callback on_frame; /* may be NULL; before on_event */
	void *arg;
} mb_vad_options;

/* 9 dB, 6 dB, -50 dBFS, 100 ms, 250 ms, no callback. */
extern const mb_vad_options mb_vad_default_options;

/* A noise floor. */
typedef struct mb_vad_floor
{
	double buckets[MB_VAD_FLOOR_BUCKETS]; /* lowest power in each part of the window */
	int bucket;							  /* being filled */
	int bucket_frames;					  /* frames in it */
	bool heard;							  /* a frame has entered it */
	double pending;						  /* the last frame, not yet entered; -1 when none */
	double power;
} mb_vad_floor;

/* A biquad: coefficients, and what it remembers. */
typedef struct mb_vad_filter
{
	float b0, b1, b2, a1, a2;
	float z1, z2;
} mb_vad_filter;

/* Caller-owned; no field is for the caller, the functions below tell what is known. */
typedef struct mb_vad
{
	mb_vad_options options;
	int sample_rate;
	int frame_samples;
	int start_frames;
	int hangover_frames;
	double on_factor; /* of power */
	double off_factor;
	double min_power;
	double silence_power; /* quieter frames do not enter the floor */
	bool floor_held;	  /* none do */

	/* what the frame being filled has passed */
	mb_vad_filter high_pass[2];
	mb_vad_filter low_pass[2];
	bool begun;
	float first; /* the first sample, so that direct current does not ring */
	int phase;	 /* of taking every so manyth sample of the band */
	float band[MB_VAD_BAND_SAMPLES];
	int band_new; /* of them, in this frame */

	/* the frame being filled */
	int n;
	double power;				/* sums over it */
	double slots[MB_VAD_SLOTS]; /* the same over its parts */
	double band_power;
	double full_power; /* before the filters, for the level that is told */
	double sum;

	double impulses; /* heard, each counting less with every frame since */
	int in_a_row;	 /* impulses up to now */
	bool left_out;	 /* the last frame was one that was not active */

	int silent_frames; /* of digital silence up to now */
	mb_vad_floor floor;
	mb_vad_floor band_floor;

	/* the segment */
	bool suspected;	   /* a first frame was active */
	bool speaking;	   /* and enough followed */
	uint64_t position; /* samples fed */
	uint64_t onset;
	uint64_t end;
	uint64_t active_frames;
	int quiet_frames;	 /* since the last active one */
	double active_power; /* sum over the active frames */
	double last_power;
} mb_vad;

/*
 * Starts a detector for one of the supported rates; options are copied.  MB_ERR_RATE,
 * MB_ERR_RANGE for an option outside the range noted above.
 */
extern mb_status mb_vad_init(mb_vad *vad, int sample_rate, const mb_vad_options *options);

/* Takes n samples, any number from 0 on. */
extern void mb_vad_feed(mb_vad *vad, const int16_t *samples, size_t n);

/*
 * Ends the signal: judges a last frame of 10 ms or more, and ends speech that has
 * started.  Afterwards the detector is as after mb_vad_init().
 */
extern void mb_vad_flush(mb_vad *vad);

/* Holds the floors where they are, or lets them follow again: while something is heard that is no noise of the line. */
extern void mb_vad_hold_floor(mb_vad *vad, bool hold);

/* True from "speech started" to "speech ended". */
extern bool mb_vad_speaking(const mb_vad *vad);

/*
 * Length in ms, from onset to the last active frame, of the speech that has
 * started or is suspected; 0 in silence.  For reactions before "started" or after.
 */
extern int mb_vad_speech_ms(const mb_vad *vad);

/* Time in ms since the last active frame of the current segment; 0 in silence. */
extern int mb_vad_quiet_ms(const mb_vad *vad);

/* The noise floor and the last whole frame in dBFS. */
extern double mb_vad_floor_dbfs(const mb_vad *vad);
extern double mb_vad_level_dbfs(const mb_vad *vad);

#endif /* MB_VAD_H */
