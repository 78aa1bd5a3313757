/*
 * svg.c
 *	  Writes elements of SVG; see svg.h.
 */
#include "core/audio/svg.h"

#include "core/text/utf8.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
mb_svg_put(const mb_svg *svg, const char *format, ...)
{
	char text[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n > 0)
		svg->write(svg->arg, text, (size_t) n < sizeof(text) ? (size_t) n : sizeof(text) - 1);
}

const char *
mb_svg_number(char *text, double value, int decimals)
{
	static const int powers[] = { 1, 10, 100, 1000 };
	long long scaled = llrint(value * powers[decimals]);
	long long magnitude = scaled < 0 ? -scaled : scaled;
	int power = powers[decimals];

	if (decimals == 0)
		snprintf(text, MB_SVG_NUMBER, "%s%lld", scaled < 0 ? "-" : "", magnitude);
	else
		snprintf(text, MB_SVG_NUMBER, "%s%lld.%0*lld", scaled < 0 ? "-" : "", magnitude / power,
				 decimals, magnitude % power);
	return text;
}

void
mb_svg_coordinate(const mb_svg *svg, const char *before, double value, const char *after)
{
	char text[MB_SVG_NUMBER];

	mb_svg_put(svg, "%s%s%s", before, mb_svg_number(text, value, 1), after);
}

void
mb_svg_escaped(const mb_svg *svg, const char *text, size_t n)
{
	size_t length;

	for (size_t i = 0; i < n && text[i] != '\0'; i += length)
	{
		uint32_t c = mb_utf8_next(text + i, &length);

		if (c == '&')
			mb_svg_put(svg, "&amp;");
		else if (c == '<')
			mb_svg_put(svg, "&lt;");
		else if (c == '>')
			mb_svg_put(svg, "&gt;");
		else if (c == '"')
			mb_svg_put(svg, "&quot;");
		else if (c == MB_NOT_UTF8)
			mb_svg_put(svg, "&#65533;");
		else if (c == '\t' || c == '\n' || c == '\r')
			mb_svg_put(svg, " ");
		else if (c != 0x7F && mb_xml_character(c))
			svg->write(svg->arg, text + i, length);
	}
}

/* Of a character, in parts of the font's size. */
static double
character_width(uint32_t c)
{
	if (c < ' ' || c == 0x7F || (c >= 0x300 && c <= 0x36F) || (c >= 0x200B && c <= 0x200F))
		return 0;
	if (c == MB_NOT_UTF8)
		return 1;
	if (c < 0x80)
	{
		if (strchr(" !'(),./:;I[]`fijlrt|", (int) c) != NULL)
			return 0.34;
		if (strchr("%@MWmw", (int) c) != NULL)
			return 0.9;
		return (c >= 'A' && c <= 'Z') ? 0.7 : 0.59;
	}
	/* ideographs, Hangul, pictures */
	return c < 0x1100 ? 0.65 : c < 0x2E80 && c > 0x11FF ? 0.7 : 1.05;
}

size_t
mb_svg_text_fitting(const char *text, size_t n, double size, double width, double *used)
{
	double sum = 0;
	size_t i = 0;

	while (i < n && text[i] != '\0')
	{
		size_t length;
		double more = size * character_width(mb_utf8_next(text + i, &length));

		if (sum + more > width)
			break;
		sum += more;
		i += length;
	}
	if (used != NULL)
		*used = sum;
	return i;
}

double
mb_svg_text_width(const char *text, double size)
{
	double width;

	(void) mb_svg_text_fitting(text, SIZE_MAX, size, INFINITY, &width);
	return width;
}

void
mb_svg_fitted(const mb_svg *svg, const char *text, double size, double width)
{
	size_t n = mb_svg_text_fitting(text, SIZE_MAX, size, width, NULL);

	if (text[n] == '\0')
	{
		mb_svg_escaped(svg, text, n);
		return;
	}
	n = mb_svg_text_fitting(text, SIZE_MAX, size, width - size, NULL);
	while (n > 0 && text[n - 1] == ' ')
		n--;
	mb_svg_escaped(svg, text, n);
	mb_svg_put(svg, "&#8230;");
}

void
mb_svg_text(const mb_svg *svg, const char *class, const char *anchor, double x, double y,
			const char *ascii)
{
	mb_svg_put(svg, "<text class=\"%s\" text-anchor=\"%s\"", class, anchor);
	mb_svg_coordinate(svg, " x=\"", x, "\"");
	mb_svg_coordinate(svg, " y=\"", y, "\">");
	mb_svg_put(svg, "%s</text>\n", ascii);
}

void
mb_svg_rectangle(const mb_svg *svg, const char *class, double left, double right, double top,
				 double bottom, double radius)
{
	/* what is shorter than a pixel is still to be seen */
	double width = right - left < 1.2 ? 1.2 : right - left;

	mb_svg_put(svg, "<rect class=\"%s\"", class);
	mb_svg_coordinate(svg, " x=\"", left, "\"");
	mb_svg_coordinate(svg, " y=\"", top, "\"");
	mb_svg_coordinate(svg, " width=\"", width, "\"");
	mb_svg_coordinate(svg, " height=\"", bottom - top, "\"");
	if (radius > width / 3)
		radius = width / 3;
	if (radius > 0)
		mb_svg_coordinate(svg, " rx=\"", radius, "\"");
	mb_svg_put(svg, "/>\n");
}

void
mb_svg_line(const mb_svg *svg, const char *class, double x1, double y1, double x2, double y2)
{
	mb_svg_put(svg, "<line class=\"%s\"", class);
	mb_svg_coordinate(svg, " x1=\"", x1, "\"");
	mb_svg_coordinate(svg, " y1=\"", y1, "\"");
	mb_svg_coordinate(svg, " x2=\"", x2, "\"");
	mb_svg_coordinate(svg, " y2=\"", y2, "\"/>\n");
}
