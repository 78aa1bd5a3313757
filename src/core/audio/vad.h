/*
 * vad.h
 *	  Voice activity: an energy detector over frames of 20 ms with a noise floor that
 *	  adapts and a hangover, as a streaming object of fixed size.
 *
 * A frame is active when its power, DC removed, exceeds the noise floor by on_db, and
 * once speech is suspected by off_db, and in any case min_dbfs (dBFS as in
 * level.h).  Speech has started when frames of start_ms were active with no pause over
 * 40 ms; it has ended when none was for hangover_ms.  Reported times are those of the
 * signal: a segment reaches from the first sample of its first active frame to the
 * last sample of its last one, whatever the detector needed to be sure.
 *
 * The floor is the lowest power of a frame in the last two seconds, so that it falls
 * at once, survives speech, which has a pause of a syllable at least that often,
 * and follows a noise that begins.  Digital silence says nothing about the noise: up to half a
 * second of it, as lost packets leave, does not move the floor; after that the line
 * is taken to be silent.  The first frame sets the floor to its level, but at most
 * to -45 dBFS, so that a call that begins with speech is heard.
 *
 * What is not speech but changes its level quickly (music, tones, clicks of 100 ms) is active, too.
 * The result does not depend on how the signal is cut into pieces.
 */
#ifndef MB_VAD_H
#define MB_VAD_H

#include "core/mb.h"

#define MB_VAD_FRAME_MS 20

/* Window of the noise floor: MB_VAD_FLOOR_BUCKETS parts of MB_VAD_BUCKET_FRAMES frames. */
#define MB_VAD_FLOOR_BUCKETS 8
#define MB_VAD_BUCKET_FRAMES 13

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

/* Called within mb_vad_feed() and mb_vad_flush(); may leave by longjmp, and then the state is lost. */
typedef void (*mb_vad_callback)(void *arg, const mb_vad_event *event);

typedef struct mb_vad_options
{
	double on_db;			  /* above the floor; 3 … 40 */
	double off_db;			  /* above the floor; 1 … on_db */
	double min_dbfs;		  /* quieter is never speech; -90 … 0 */
	int start_ms;			  /* activity until speech has started; 20 … 1000 */
	int hangover_ms;		  /* silence until it has ended; 20 … 10000 */
	mb_vad_callback on_event; /* may be NULL, for who only asks for the state */
	void *arg;
} mb_vad_options;

/* 9 dB, 6 dB, -50 dBFS, 100 ms, 250 ms, no callback. */
extern const mb_vad_options mb_vad_default_options;

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

	/* the frame being filled */
	int n;
	int64_t sum;
	uint64_t sum_of_squares;

	/* the floor */
	double buckets[MB_VAD_FLOOR_BUCKETS]; /* lowest power in each part of the window */
	int bucket;							  /* being filled */
	int bucket_frames;					  /* frames in it */
	bool heard_floor;					  /* a frame has entered it */
	int silent_frames;					  /* of digital silence up to now */
	double pending_power;				  /* the last frame, not yet in the floor; -1 when none */
	double floor;

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
