/*
 * waveform.h
 *	  A picture of a recording, or of the tracks of a call one below the other, as SVG 1.1: the
 *	  envelope over time, with the parts that are speech, the digits that were dialled, the
 *	  stretches that were lost, the words that were said, and the turns of a conversation.
 *
 * The envelope is gathered first, from samples in any pieces, into columns that
 * the caller owns; then the picture is written to a function of the caller.
 * What is speech or a digit is the caller's to find out (vad.h, dtmf.h).
 *
 * The SVG is UTF-8 and plain ASCII but for the caller's texts, has no scripts and refers to nothing
 * outside itself; its ids contain a digest, so that several pictures fit one page.  Its size
 * is bounded by that of the picture and the number of its lanes, not by what there is to
 * mark: marks that would fall into one pixel are one, and of texts there is what fits.
 */
#ifndef MB_WAVEFORM_H
#define MB_WAVEFORM_H

#include "core/audio/level.h"
#include "core/audio/svg.h"
#include "core/mb.h"

/* Size of a picture, in pixels. */
#define MB_WAVEFORM_MIN_WIDTH 240
#define MB_WAVEFORM_MAX_WIDTH 8000
#define MB_WAVEFORM_MIN_HEIGHT 140
#define MB_WAVEFORM_MAX_HEIGHT 4000
#define MB_WAVEFORM_MAX_LANES 16

/* What a picture has left and right of the signal. */
#define MB_WAVEFORM_LEFT_MARGIN 52
#define MB_WAVEFORM_RIGHT_MARGIN 16

/* One column of the envelope. */
typedef struct mb_waveform_column
{
	int16_t minimum;
	int16_t maximum;
	double sum_of_squares;
	uint64_t n;
} mb_waveform_column;

typedef struct mb_waveform
{
	uint64_t total;	   /* samples that the picture shows */
	uint64_t position; /* samples fed */
	size_t n_columns;
	mb_waveform_column *columns;
	mb_level level;
} mb_waveform;

/* A stretch of the signal, in seconds from its begin. */
typedef struct mb_waveform_span
{
	double start;
	double end;
} mb_waveform_span;

typedef struct mb_waveform_digit
{
	char symbol;
	double start; /* seconds */
	double end;
} mb_waveform_digit;

/* What was said; a word, or all of a phrase whose words have no times. */
typedef struct mb_waveform_word
{
	const char *text; /* any, escaped here */
	double start;	  /* seconds */
	double end;
	bool first; /* of a phrase */
} mb_waveform_word;

/* A turn of a conversation in a lane: of who begins it what he says, of who answers the reply. */
typedef struct mb_waveform_turn
{
	double start; /* seconds */
	double end;
	const char *label; /* short, such as its number; any text, as the next one */
	const char *about; /* what a reader is told who points at it */
	bool cut;		   /* it ended because it was interrupted */
	int false_ones;	   /* times that it paused for what was no interruption */
} mb_waveform_turn;

/* A recording, or a track of a call; arrays are ordered by their starts, and may be NULL when empty. */
typedef struct mb_waveform_lane
{
	const char *name; /* any text, escaped here; NULL for none */
	const mb_waveform *waveform;
	int sample_rate;
	const mb_waveform_digit *digits;
	size_t n_digits;
	const mb_waveform_span *speech;
	size_t n_speech;
	const mb_waveform_span *lost;
	size_t n_lost;
	const mb_waveform_word *words;
	size_t n_words;
	const mb_waveform_turn *turns;
	size_t n_turns;
	bool replies; /* the turns are replies */
} mb_waveform_lane;

/* What the picture shows. */
typedef struct mb_waveform_picture
{
	int width;
	int height;
	const char *title;			   /* any text, escaped here; NULL for none */
	const mb_waveform_lane *lanes; /* of the same length, from the top */
	size_t n_lanes;
} mb_waveform_picture;

/*
 * Columns that a picture of this width needs for total samples: one a pixel, or
 * one a sample when those are fewer.  0 when width is out of range or total is 0.
 */
extern size_t mb_waveform_columns(int width, uint64_t total);

/* Starts an envelope of total samples in n columns; MB_ERR_EMPTY for 0 of either. */
extern mb_status mb_waveform_init(mb_waveform *waveform, mb_waveform_column *columns,
								  size_t n_columns, uint64_t total);

/* Takes n samples; MB_ERR_RANGE, and nothing taken, when they would be more than total. */
extern mb_status mb_waveform_feed(mb_waveform *waveform, const int16_t *samples, size_t n);

/* Goes on n samples without any: silence that counts for no level. */
extern mb_status mb_waveform_skip(mb_waveform *waveform, uint64_t n);

/*
 * MB_OK when the picture can be drawn.  MB_ERR_RANGE when its size or the number of its lanes is out of
 * range, when it is too low for them, when lanes differ in length by more than one ms, or when
 * something is not in order inside the signal (0 <= start <= end, one ms beyond the
 * signal's end forgiven); MB_ERR_RATE for a rate below 1; MB_ERR_SYMBOL for a digit that is
 * no DTMF symbol.
 */
extern mb_status mb_waveform_check(const mb_waveform_picture *picture);

/* The height that a picture of its width needs at least, and one that shows its lanes well. */
extern int mb_waveform_least_height(const mb_waveform_picture *picture);
extern int mb_waveform_good_height(const mb_waveform_picture *picture);

/* Writes the picture, or nothing when mb_waveform_check() has an error, which is returned. */
extern mb_status
mb_waveform_write(const mb_waveform_picture *picture, mb_svg_writer write, void *arg);

#endif /* MB_WAVEFORM_H */
