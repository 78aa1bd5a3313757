/*
 * waveform_lane.c
 *	  Draws a lane: figures, digits, the envelope with its level grid, and where somebody speaks.
 *
 * The SVG must not grow with what there is to mark: an hour can have ten thousand digits.
 */
#include "core/audio/waveform_draw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Width of a character of a digit's label. */
#define DIGIT_CHARACTER 8.0
#define DIGIT_PADDING 8.0

/* Digits that one label names before it is cut. */
#define MAX_LABEL 48

/* A quiet recording is drawn larger, but never by more than this, so that noise stays noise. */
#define QUIETEST_FULL_HEIGHT_DBFS (-36.0)

/* Marks that are closer are one; where they are many, a new one begins after so many pixels. */
#define MARK_SPACE 1.0
#define CROWD_WIDTH 4.0

/* A lane that is being drawn. */
typedef struct drawing
{
	const mb_waveform_canvas *canvas;
	const mb_svg *svg;
	const mb_waveform_lane *lane;
	const mb_waveform_place *place;
	double middle; /* of the plot */
	double scale;  /* pixels of a sample step */
} drawing;

/* Marks in time, whatever they are of. */
typedef struct marks
{
	const char *first; /* where the span of the first one is */
	size_t stride;
	size_t n;
} marks;

_Static_assert(offsetof(mb_waveform_digit, end) - offsetof(mb_waveform_digit, start) ==
				   offsetof(mb_waveform_span, end),
			   "a digit has a span in it");

static mb_waveform_span
mark(const marks *m, size_t i)
{
	mb_waveform_span span;

	memcpy(&span, m->first + i * m->stride, sizeof(span));
	return span;
}

/* Marks that are drawn as one. */
typedef struct run
{
	size_t next; /* the mark behind it */
	double left;
	double right;
	double share; /* of it that is marked */
} run;

/* The next run; false at the end.  One begins with { 0 }. */
static bool
next_run(const mb_waveform_canvas *canvas, const marks *m, run *r)
{
	size_t first = r->next;
	double marked;

	if (first >= m->n)
		return false;
	r->left = mb_waveform_x(canvas, mark(m, first).start);
	r->right = mb_waveform_x(canvas, mark(m, first).end);
	marked = r->right - r->left;
	for (r->next = first + 1; r->next < m->n; r->next++)
	{
		double left = mb_waveform_x(canvas, mark(m, r->next).start);
		double right = mb_waveform_x(canvas, mark(m, r->next).end);

		if (left - r->right >= MARK_SPACE)
			break;
		/* a crowd is told in pieces, each with its own share */
		if (left - r->left >= CROWD_WIDTH && left > r->right)
			break;
		if (right > r->right)
		{
			marked += right - (left > r->right ? left : r->right);
			r->right = right;
		}
	}
	r->share = r->right > r->left ? marked / (r->right - r->left) : 1;
	return true;
}

/* Marks as rectangles, fainter where they are not all of their pixels. */
static void
put_marks(const drawing *d, const char *name, const marks *m, double top, double bottom,
		  double radius)
{
	static const char *const shares[] = { " quarter", " half", " most", "" };
	run r = { 0 };
	char class[32];

	while (next_run(d->canvas, m, &r))
	{
		int share = r.share < 0.25 ? 0 : r.share < 0.5 ? 1 : r.share < 0.8 ? 2 : 3;

		snprintf(class, sizeof(class), "%s%s", name, shares[share]);
		mb_svg_rectangle(d->svg, class, r.left, r.right, top, bottom, radius);
	}
}

static marks
spans_as_marks(const mb_waveform_span *spans, size_t n)
{
	return (marks){ (const char *) spans, sizeof(*spans), n };
}

/* A level with a true minus sign; digital silence has none. */
static const char *
level_text(char *text, const char *name, double dbfs)
{
	char figures[MB_SVG_NUMBER];

	if (isinf(dbfs))
		snprintf(text, 80, "%s &#8722;&#8734; dBFS", name);
	else
		snprintf(text, 80, "%s %s%s dBFS", name, dbfs < -0.05 ? "&#8722;" : "",
				 mb_svg_number(figures, fabs(dbfs), 1));
	return text;
}

/* Name and figures, as many as fit. */
static void
put_header(const drawing *d)
{
	const mb_waveform_lane *lane = d->lane;
	const double font = MB_WAVEFORM_TEXT_FONT;
	const char *classes[10] = { NULL };
	char items[10][80];
	double width = 0;
	int n = 0;
	int cut = 0;
	int false_ones = 0;

	if (lane->name == NULL)
	{
		mb_waveform_time(items[n++], d->canvas->seconds, d->canvas->seconds >= 60,
						 d->canvas->seconds < 10 ? 2 : 1);
	}
	snprintf(items[n++], 80, "%d Hz", lane->sample_rate);
	level_text(items[n++], "RMS", mb_level_rms_dbfs(&lane->waveform->level));
	level_text(items[n++], "peak", mb_level_peak_dbfs(&lane->waveform->level));
	classes[n] = "tones";
	snprintf(items[n++], 80, "%zu digit%s", lane->n_digits, lane->n_digits == 1 ? "" : "s");
	classes[n] = "speech";
	snprintf(items[n++], 80, "%zu speech segment%s", lane->n_speech,
			 lane->n_speech == 1 ? "" : "s");
	if (lane->n_lost > 0)
	{
		classes[n] = "gaps";
		snprintf(items[n++], 80, "%zu gap%s", lane->n_lost, lane->n_lost == 1 ? "" : "s");
	}
	for (size_t i = 0; i < lane->n_turns; i++)
	{
		cut += lane->turns[i].cut;
		false_ones += lane->turns[i].false_ones;
	}
	if (lane->n_turns > 0)
	{
		classes[n] = "speech";
		snprintf(items[n++], 80, "%zu %s", lane->n_turns,
				 lane->replies ? (lane->n_turns == 1 ? "reply" : "replies")
							   : (lane->n_turns == 1 ? "turn" : "turns"));
	}
	if (cut > 0)
	{
		classes[n] = "cuts";
		snprintf(items[n++], 80, "%d interruption%s", cut, cut == 1 ? "" : "s");
	}
	if (false_ones > 0)
		snprintf(items[n++], 80, "%d false interruption%s", false_ones, false_ones == 1 ? "" : "s");

	mb_svg_put(d->svg, "<text class=\"text\"");
	mb_svg_coordinate(d->svg, " x=\"", d->canvas->left, "\"");
	mb_svg_coordinate(d->svg, " y=\"", d->place->header + 12, "\">");
	if (lane->name != NULL)
	{
		double most = d->canvas->width * 0.4;

		mb_svg_put(d->svg, "<tspan class=\"name\">");
		mb_svg_fitted(d->svg, lane->name, MB_WAVEFORM_NAME_FONT, most);
		mb_svg_put(d->svg, "</tspan>");
		width = fmin(most, mb_svg_text_width(lane->name, MB_WAVEFORM_NAME_FONT));
	}
	for (int i = 0; i < n; i++)
	{
		/* an entity is one character on paper; the longest has eight in the text */
		width += mb_svg_text_width(items[i], font) + 3 * 0.5 * font;
		if ((i > 0 || lane->name != NULL) && width > d->canvas->width)
			break;
		if (i > 0 || lane->name != NULL)
			mb_svg_put(d->svg, " &#183; ");
		if (classes[i] != NULL)
			mb_svg_put(d->svg, "<tspan class=\"%s\">%s</tspan>", classes[i], items[i]);
		else
			mb_svg_put(d->svg, "%s", items[i]);
	}
	mb_svg_put(d->svg, "</text>\n");
}

/* Level lines, as many as have room, loudest first. */
static void
put_level_grid(const drawing *d)
{
	static const int levels[] = { 0, -3, -6, -12, -18, -24, -30, -36 };
	double left = d->canvas->left;
	double room = d->middle - d->place->plot;
	double last = room + 100;

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
	{
		double distance = 32768.0 * pow(10, levels[i] / 20.0) * d->scale;
		char text[32];

		if (distance > room + 0.5 || last - distance < 15 || distance < 13)
			continue;
		last = distance;
		for (int side = -1; side <= 1; side += 2)
		{
			double y = d->middle + side * distance;

			mb_svg_line(d->svg, "grid", left, y, left + d->canvas->width, y);
			snprintf(text, sizeof(text), "%s%d", levels[i] < 0 ? "&#8722;" : "", -levels[i]);
			mb_svg_text(d->svg, "text", "end", left - 8, y + 4, text);
		}
	}
	mb_svg_text(d->svg, "text", "end", left - 8, d->middle + 4, "dBFS");
}

/* The outline between two values of each column as one closed path. */
static void
put_outline(const drawing *d, const char *name, bool body)
{
	const mb_waveform *w = d->lane->waveform;
	double column_width = d->canvas->width / (double) w->n_columns;

	mb_svg_put(d->svg, "<path id=\"%s-%d-%s\" d=\"M", d->canvas->id, d->place->number, name);
	/* forth along the top, back along the bottom */
	for (size_t k = 0; k < 2 * w->n_columns; k++)
	{
		bool top = k < w->n_columns;
		size_t i = top ? k : 2 * w->n_columns - 1 - k;
		const mb_waveform_column *column = &w->columns[i];
		double value = top ? column->maximum : column->minimum;

		if (body)
		{
			double rms = column->n > 0 ? sqrt(column->sum_of_squares / (double) column->n) : 0;

			/* the RMS band lies inside the envelope also where the signal is one-sided */
			value =
				top ? fmin(rms, fmax(column->maximum, 0)) : fmax(-rms, fmin(column->minimum, 0));
		}
		mb_svg_coordinate(d->svg, k > 0 ? " " : "",
						  d->canvas->left + ((double) i + 0.5) * column_width, ",");
		mb_svg_coordinate(d->svg, "", d->middle - value * d->scale, "");
	}
	mb_svg_put(d->svg, "Z\"/>\n");
}

/* True where each column is one sample: then a line shows more than an outline. */
static bool
is_trace(const mb_waveform *waveform)
{
	return waveform->n_columns == waveform->total;
}

static void
put_trace(const drawing *d)
{
	const mb_waveform *w = d->lane->waveform;
	double column_width = d->canvas->width / (double) w->n_columns;

	mb_svg_put(d->svg, "<path id=\"%s-%d-trace\" d=\"M", d->canvas->id, d->place->number);
	for (size_t i = 0; i < w->n_columns; i++)
	{
		mb_svg_coordinate(d->svg, i > 0 ? " " : "", d->canvas->left + (double) i * column_width,
						  ",");
		mb_svg_coordinate(d->svg, "", d->middle - w->columns[i].maximum * d->scale, "");
	}
	mb_svg_put(d->svg, "\"/>\n");
}

/* Draws what was defined. */
static void
put_uses(const drawing *d)
{
	static const char *const names[] = { "wave", "body", "trace" };
	bool trace = is_trace(d->lane->waveform);

	for (size_t i = trace ? 2 : 0; i < (trace ? 3 : 2); i++)
		mb_svg_put(d->svg, "<use class=\"%s\" xlink:href=\"#%s-%d-%s\"/>\n", names[i],
				   d->canvas->id, d->place->number, names[i]);
}

static void
put_envelope(const drawing *d)
{
	const mb_waveform_lane *lane = d->lane;
	marks speech = spans_as_marks(lane->speech, lane->n_speech);
	run r = { 0 };

	mb_svg_put(d->svg, "<defs>\n");
	if (is_trace(lane->waveform))
		put_trace(d);
	else
	{
		put_outline(d, "wave", false);
		put_outline(d, "body", true);
	}
	if (lane->n_speech > 0)
	{
		mb_svg_put(d->svg, "<clipPath id=\"%s-%d-speech\">\n", d->canvas->id, d->place->number);
		while (next_run(d->canvas, &speech, &r))
			mb_svg_rectangle(d->svg, "clip", r.left, r.right, d->place->plot, d->place->speech, 0);
		mb_svg_put(d->svg, "</clipPath>\n");
	}
	mb_svg_put(d->svg, "</defs>\n");
	put_uses(d);
	if (lane->n_speech > 0)
	{
		/* the same again in colour where somebody speaks */
		mb_svg_put(d->svg, "<g class=\"spoken\" clip-path=\"url(#%s-%d-speech)\">\n", d->canvas->id,
				   d->place->number);
		put_uses(d);
		mb_svg_put(d->svg, "</g>\n");
	}
}

static double
center_of(const drawing *d, size_t first, size_t last)
{
	return mb_waveform_x(d->canvas, (d->lane->digits[first].start + d->lane->digits[last].end) / 2);
}

/* Labels of digits; those that would overlap become one that names all their digits. */
static void
put_digit_labels(const drawing *d)
{
	const mb_waveform_lane *lane = d->lane;
	const double single = DIGIT_CHARACTER + DIGIT_PADDING;
	double top = d->place->digits;
	size_t i = 0;

	while (i < lane->n_digits)
	{
		char label[MAX_LABEL + 16];
		size_t n = 0;
		size_t last = i;
		double half;
		double center;

		for (;;)
		{
			n = last - i + 1;
			center = center_of(d, i, last);
			half = (DIGIT_CHARACTER * (double) (n < MAX_LABEL ? n : MAX_LABEL) + DIGIT_PADDING) / 2;
			if (last + 1 == lane->n_digits)
				break;
			/* the next one gets a label of its own where there is room for one */
			if (center_of(d, last + 1, last + 1) - center_of(d, last, last) > single + 2 &&
				center_of(d, last + 1, last + 1) - single / 2 > center + half + 2)
				break;
			last++;
		}
		/* keep the label inside the picture, as much of it as fits */
		while (n > 1 && half * 2 > d->canvas->width)
		{
			n--;
			half -= DIGIT_CHARACTER / 2;
		}
		center =
			fmin(fmax(center, d->canvas->left + half), d->canvas->left + d->canvas->width - half);
		mb_svg_rectangle(d->svg, "label", center - half, center + half, top, top + 17, 4);
		if (n > MAX_LABEL)
			n = MAX_LABEL;
		for (size_t k = 0; k < n; k++)
			label[k] = lane->digits[i + k].symbol;
		snprintf(label + n, sizeof(label) - n, "%s", last - i + 1 > n ? "&#8230;" : "");
		mb_svg_text(d->svg, "digit", "middle", center, top + 13, label);
		i = last + 1;
	}
}

/* Speech, and in the same row what is missing, which in the plot alone may be too faint to be found. */
static void
put_speech_row(const drawing *d, const marks *speech, const marks *lost)
{
	double top = d->place->speech + 8;

	mb_svg_text(d->svg, "text", "end", d->canvas->left - 8, d->place->speech + 16, "speech");
	put_marks(d, "bar", speech, top, top + 6, 3);
	put_marks(d, "gap", lost, top + 1, top + 5, 0);
}

void
mb_waveform_draw_lane(const mb_waveform_canvas *canvas, const mb_waveform_lane *lane,
					  const mb_waveform_place *place)
{
	drawing d = { .canvas = canvas, .svg = &canvas->svg, .lane = lane, .place = place };
	marks speech = spans_as_marks(lane->speech, lane->n_speech);
	marks lost = spans_as_marks(lane->lost, lane->n_lost);
	double peak_dbfs = fmax(mb_level_peak_dbfs(&lane->waveform->level), QUIETEST_FULL_HEIGHT_DBFS);
	double right = canvas->left + canvas->width;

	d.middle = (place->plot + place->speech) / 2;
	d.scale = (d.middle - place->plot - 2) / (32768.0 * pow(10, peak_dbfs / 20));
	put_header(&d);
	put_marks(&d, "band", &speech, place->plot, place->speech, 0);
	put_level_grid(&d);
	put_marks(&d, "lost", &lost, place->plot, place->speech, 0);
	mb_svg_line(d.svg, "zero", canvas->left, d.middle, right, d.middle);
	if (lane->waveform->level.n > 0)
		put_envelope(&d);
	else
		mb_svg_text(d.svg, "text", "middle", (canvas->left + right) / 2, d.middle - 6, "no audio");
	if (lane->n_digits > 0)
	{
		const mb_waveform_digit *digits = lane->digits;
		marks tones = { (const char *) digits + offsetof(mb_waveform_digit, start), sizeof(*digits),
						lane->n_digits };

		put_marks(&d, "tone", &tones, place->plot, place->speech, 0);
		mb_svg_text(d.svg, "text", "end", canvas->left - 8, place->digits + 13, "digits");
		put_digit_labels(&d);
	}
	put_speech_row(&d, &speech, &lost);
	mb_waveform_draw_turns(canvas, lane, place);
	mb_waveform_draw_words(canvas, lane, place);
}
