/*
 * svg.h
 *	  Writes elements of SVG to a function of the caller: numbers, shapes and texts.
 *
 * Numbers are printed from integers, so that no locale can put commas into them.  Texts are
 * UTF-8 and come from anywhere: what XML reserves is escaped, what it does not allow is left
 * out, and bytes that are no UTF-8 become U+FFFD each.
 */
#ifndef MB_SVG_H
#define MB_SVG_H

#include "core/mb.h"

/* Takes the next n bytes of a picture; may leave by longjmp. */
typedef void (*mb_svg_writer)(void *arg, const char *text, size_t n);

typedef struct mb_svg
{
	mb_svg_writer write;
	void *arg;
} mb_svg;

/* Room for a number as mb_svg_number() prints it. */
#define MB_SVG_NUMBER 48

/* Formats a piece without fractions of less than 512 bytes. */
extern void
mb_svg_put(const mb_svg *svg, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes value with so many decimals (0-3) into text, which holds MB_SVG_NUMBER characters. */
extern const char *mb_svg_number(char *text, double value, int decimals);

/* A coordinate: a tenth of a pixel is finer than anybody sees. */
extern void
mb_svg_coordinate(const mb_svg *svg, const char *before, double value, const char *after);

/* n bytes of a text of the caller's, or less where it ends. */
extern void mb_svg_escaped(const mb_svg *svg, const char *text, size_t n);

/*
 * How many of the first n bytes of a text, whole characters, are no wider than "width" in pixels, in
 * a sans-serif font of that size, by estimate; *used (may be NULL) is their width.
 */
extern size_t
mb_svg_text_fitting(const char *text, size_t n, double size, double width, double *used);

/* Of a whole text. */
extern double mb_svg_text_width(const char *text, double size);

/* As much of a text as fits a width, with an ellipsis where that is not all. */
extern void mb_svg_fitted(const mb_svg *svg, const char *text, double size, double width);

/* Elements. */
extern void mb_svg_text(const mb_svg *svg, const char *class, const char *anchor, double x,
						double y, const char *ascii);
extern void mb_svg_rectangle(const mb_svg *svg, const char *class, double left, double right,
							 double top, double bottom, double radius);
extern void
mb_svg_line(const mb_svg *svg, const char *class, double x1, double y1, double x2, double y2);

#endif /* MB_SVG_H */
