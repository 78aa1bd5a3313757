/*
 * waveform.h
 *	  A picture of a recording as SVG 1.1: the envelope over time, with the parts that are
 *	  speech, the digits that were dialled and the stretches that were lost.
 *
 * The envelope is gathered first, from samples in any pieces, into columns that
 * the caller owns; then the picture is written to a function of the caller.
 * What is speech or a digit is the caller's to find out (vad.h, dtmf.h).
 *
 * The SVG is plain ASCII but for the title, has no scripts and refers to nothing outside
 * itself; its ids contain a digest, so that several pictures fit one page.
 */
#ifndef MB_WAVEFORM_H
#define MB_WAVEFORM_H

#include "core/audio/level.h"
#include "core/mb.h"

/* Size of a picture, in pixels. */
#define MB_WAVEFORM_MIN_WIDTH 240
#define MB_WAVEFORM_MAX_WIDTH 8000
#define MB_WAVEFORM_MIN_HEIGHT 140
#define MB_WAVEFORM_MAX_HEIGHT 2000

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

/* What the picture shows; arrays are ordered by time, and may be NULL when empty. */
typedef struct mb_waveform_picture
{
	int width;
	int height;
	int sample_rate;
	const char *title; /* any text, escaped here; NULL for none */
	const mb_waveform_digit *digits;
	size_t n_digits;
	const mb_waveform_span *speech;
	size_t n_speech;
	const mb_waveform_span *lost;
	size_t n_lost;
} mb_waveform_picture;

/* Takes the next n bytes of the picture; may leave by longjmp. */
typedef void (*mb_waveform_writer)(void *arg, const char *text, size_t n);

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

/*
 * MB_OK when the picture can be drawn.  MB_ERR_RANGE when its size is out of range, or
 * a span or digit is not in order inside the signal (0 <= start <= end, one ms beyond the
 * signal's end forgiven); MB_ERR_RATE for a rate below 1; MB_ERR_SYMBOL for a digit that is
 * no DTMF symbol.
 */
extern mb_status mb_waveform_check(const mb_waveform *waveform, const mb_waveform_picture *picture);

/* Writes the picture, or nothing when mb_waveform_check() has an error, which is returned. */
extern mb_status mb_waveform_write(const mb_waveform *waveform, const mb_waveform_picture *picture,
								   mb_waveform_writer write, void *arg);

#endif /* MB_WAVEFORM_H */
