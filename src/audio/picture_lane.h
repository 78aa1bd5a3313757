/*
 * picture_lane.h
 *	  Fills a lane of a picture: the envelope of audio, its digits and its speech.
 */
#ifndef MULBERRY_PICTURE_LANE_H
#define MULBERRY_PICTURE_LANE_H

#include "postgres.h"

#include "core/audio/waveform.h"

/* A height that is left to mulberry_draw_picture(). */
#define MULBERRY_GOOD_HEIGHT 0

/* Where the audio of a lane comes from; it is read twice. */
typedef struct mulberry_lane_source
{
	/*
	 * Puts the next samples, at most MULBERRY_AUDIO_SLICE, and returns how many; 0 with *lost > 0 where so
	 * many are missing, and 0 with *lost 0 at the end.
	 */
	size_t (*next)(void *arg, int16 *samples, int64 *lost);
	void (*rewind)(void *arg); /* to the first sample */
	void *arg;
	int sample_rate;
	int64 total; /* samples that the lane shows: those of the source, or more */
} mulberry_lane_source;

/*
 * Fills waveform, sample_rate, digits and speech of a lane, in the current context, for a picture of a width that
 * is in range.  The tones of digits are no speech.
 */
extern void
mulberry_fill_lane(mb_waveform_lane *lane, const mulberry_lane_source *source, int width);

/* Error unless pictures can have that size. */
extern void mulberry_check_picture_size(int width, int height);

/*
 * The picture as text in the encoding of the database.  Its texts are UTF-8 (mulberry_picture_text()); the
 * height MULBERRY_GOOD_HEIGHT becomes one that shows the lanes well, and one that is too low for them is an error.
 */
extern text *mulberry_draw_picture(mb_waveform_picture *picture);

/* A text for a picture. */
extern char *mulberry_picture_text(const text *value);

#endif /* MULBERRY_PICTURE_LANE_H */
