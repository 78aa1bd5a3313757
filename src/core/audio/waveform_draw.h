/*
 * waveform_draw.h
 *	  What the parts of a picture have in common: the canvas, and where a lane lies on it.
 *
 * waveform_svg.c makes the picture, waveform_lane.c draws a lane, waveform_words.c what is said in it,
 * waveform_turns.c whose turn it is.
 */
#ifndef MB_WAVEFORM_DRAW_H
#define MB_WAVEFORM_DRAW_H

#include "core/audio/svg.h"
#include "core/audio/waveform.h"

/* Sizes of fonts; what is bold is as wide as if it were larger. */
#define MB_WAVEFORM_TITLE_FONT 17
#define MB_WAVEFORM_NAME_FONT 14
#define MB_WAVEFORM_TEXT_FONT 11

/* Heights of the parts of a lane, in pixels. */
#define MB_WAVEFORM_HEADER 20
#define MB_WAVEFORM_DIGITS 22
#define MB_WAVEFORM_SPEECH 20
#define MB_WAVEFORM_TURNS 18
#define MB_WAVEFORM_WORD_ROW 17
#define MB_WAVEFORM_MAX_WORD_ROWS 3

typedef struct mb_waveform_canvas
{
	mb_svg svg;
	char id[12];	/* of the elements that are referred to */
	double seconds; /* what the width shows */
	double left;	/* of the plot */
	double width;
} mb_waveform_canvas;

/* Where a lane lies; the parts follow each other from top to bottom. */
typedef struct mb_waveform_place
{
	int number; /* of the lane, from 0 */
	double header;
	double digits;
	double plot;
	double speech;
	double turns;
	double words;
	int word_rows;
} mb_waveform_place;

/* Where a time is. */
extern double mb_waveform_x(const mb_waveform_canvas *canvas, double seconds);

/* A time as people write it: 1.25 s, or on the clock 1:23 and 1:02:03; text has room for MB_SVG_NUMBER + 4. */
extern const char *mb_waveform_time(char *text, double seconds, bool clock, int decimals);

extern void mb_waveform_draw_lane(const mb_waveform_canvas *canvas, const mb_waveform_lane *lane,
								  const mb_waveform_place *place);

/* How many rows the words of a lane take, and drawing them. */
extern int mb_waveform_word_rows(const mb_waveform_canvas *canvas, const mb_waveform_lane *lane);
extern void mb_waveform_draw_words(const mb_waveform_canvas *canvas, const mb_waveform_lane *lane,
								   const mb_waveform_place *place);

/* The turns of a lane, and where they were interrupted. */
extern void mb_waveform_draw_turns(const mb_waveform_canvas *canvas, const mb_waveform_lane *lane,
								   const mb_waveform_place *place);

#endif /* MB_WAVEFORM_DRAW_H */
