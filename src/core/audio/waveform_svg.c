/*
 * waveform_svg.c
 *	  Draws the envelope of a recording as SVG: see waveform.h.
 *
 * From top to bottom: title, a line of figures, the digits, the envelope with its
 * level grid, a lane that shows speech, and the time axis.  Numbers are printed
 * from integers, so that no locale can put commas into them.
 */
#include "core/audio/waveform.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Layout in pixels. */
#define LEFT_MARGIN MB_WAVEFORM_LEFT_MARGIN
#define RIGHT_MARGIN MB_WAVEFORM_RIGHT_MARGIN
#define TOP_MARGIN 8
#define TITLE_HEIGHT 22
#define FIGURES_HEIGHT 20
#define DIGITS_HEIGHT 22
#define SPEECH_HEIGHT 20
#define AXIS_HEIGHT 24

/* Mean width of a character of the small text and of a digit's label. */
#define TEXT_CHARACTER 6.2
#define DIGIT_CHARACTER 8.0
#define DIGIT_PADDING 8.0

/* Room for a number as number() prints it. */
#define NUMBER_SIZE 48

/* Digits that one label names before it is cut. */
#define MAX_LABEL 48

/* A quiet recording is drawn larger, but never by more than this, so that noise stays noise. */
#define QUIETEST_FULL_HEIGHT_DBFS (-36.0)

/* The picture being written. */
typedef struct canvas
{
	mb_waveform_writer write;
	void *arg;
	const mb_waveform *waveform;
	const mb_waveform_picture *picture;
	char id[12];	/* of the elements that are referred to */
	double seconds; /* what the width shows */
	double plot_left;
	double plot_width;
	double plot_top;
	double plot_bottom;
	double middle;
	double scale; /* pixels of a sample step */
} canvas;

/* Formats into a buffer on the stack; used for short pieces without fractions only. */
__attribute__((format(printf, 2, 3))) static void
put(const canvas *c, const char *format, ...)
{
	char text[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n > 0)
		c->write(c->arg, text, (size_t) n < sizeof(text) ? (size_t) n : sizeof(text) - 1);
}

/* Writes value with that many decimals (0-3) into text, which holds NUMBER_SIZE characters. */
static const char *
number(char *text, double value, int decimals)
{
	static const int powers[] = { 1, 10, 100, 1000 };
	long long scaled = llrint(value * powers[decimals]);
	long long magnitude = scaled < 0 ? -scaled : scaled;
	int power = powers[decimals];

	if (decimals == 0)
		snprintf(text, NUMBER_SIZE, "%s%lld", scaled < 0 ? "-" : "", magnitude);
	else
		snprintf(text, NUMBER_SIZE, "%s%lld.%0*lld", scaled < 0 ? "-" : "", magnitude / power,
				 decimals, magnitude % power);
	return text;
}

/* A coordinate: a tenth of a pixel is finer than anybody sees. */
static void
put_coordinate(const canvas *c, const char *before, double value, const char *after)
{
	char text[NUMBER_SIZE];

	put(c, "%s%s%s", before, number(text, value, 1), after);
}

static double
x_of(const canvas *c, double seconds)
{
	double x = seconds / c->seconds;

	return c->plot_left + c->plot_width * (x > 1 ? 1 : x);
}

/* Text of the caller's, with what XML reserves escaped and control characters left out. */
static void
put_escaped(const canvas *c, const char *text)
{
	for (; *text != '\0'; text++)
	{
		switch (*text)
		{
			case '&':
				put(c, "&amp;");
				break;
			case '<':
				put(c, "&lt;");
				break;
			case '>':
				put(c, "&gt;");
				break;
			case '"':
				put(c, "&quot;");
				break;
			default:
				if ((unsigned char) *text >= 0x20 && *text != 0x7F)
					c->write(c->arg, text, 1);
		}
	}
}

/* FNV-1a over the envelope: the same picture has the same ids, two others different ones. */
static uint32_t
digest(const mb_waveform *waveform)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < waveform->n_columns; i++)
	{
		hash = (hash ^ (uint16_t) waveform->columns[i].minimum) * 16777619u;
		hash = (hash ^ (uint16_t) waveform->columns[i].maximum) * 16777619u;
	}
	return (hash ^ (uint32_t) waveform->total) * 16777619u;
}

static void
put_style(const canvas *c)
{
	/* every rule is bound to this picture: a style element is valid for a whole page */
	static const char *const rules[][2] = {
		{ "", "font-family:system-ui,'Segoe UI','Helvetica Neue',Arial,sans-serif" },
		{ " .paper", "fill:#fff" },
		{ " .title", "fill:#2b2230;font-size:14px;font-weight:600" },
		{ " .text", "fill:#6b6171;font-size:11px" },
		{ " .grid", "stroke:#ebe6ed;stroke-width:1" },
		{ " .zero", "stroke:#cfc7d3;stroke-width:1" },
		{ " .wave", "fill:#bcb3c1;stroke:#bcb3c1;stroke-width:.6;stroke-linejoin:round" },
		{ " .body", "fill:#978ca0" },
		{ " .trace", "fill:none;stroke:#978ca0;stroke-width:1.2;stroke-linejoin:round" },
		{ " .spoken .wave", "fill:#c77ba4;stroke:#c77ba4" },
		{ " .spoken .body", "fill:#8a2b5f" },
		{ " .spoken .trace", "stroke:#8a2b5f" },
		{ " .band", "fill:#8a2b5f;fill-opacity:.06" },
		{ " .bar", "fill:#8a2b5f" },
		{ " .tone", "fill:#0f766e;fill-opacity:.18" },
		{ " .label", "fill:#0f766e" },
		{ " .digit", "fill:#fff;font-size:12px;font-weight:600;"
					 "font-family:ui-monospace,Consolas,'DejaVu Sans Mono',monospace" },
		{ " .lost", "fill:#d97706;fill-opacity:.28" },
	};
	static const char *const dark_rules[][2] = {
		{ " .paper", "fill:#1c1820" },		  { " .title", "fill:#f1ecf3" },
		{ " .text", "fill:#a99fb0" },		  { " .grid", "stroke:#2e2834" },
		{ " .zero", "stroke:#4a4152" },		  { " .wave", "fill:#5c5264;stroke:#5c5264" },
		{ " .body", "fill:#81758a" },		  { " .spoken .wave", "fill:#9c4a78;stroke:#9c4a78" },
		{ " .spoken .body", "fill:#e08fbb" }, { " .band", "fill:#e08fbb" },
		{ " .bar", "fill:#e08fbb" },
	};

	put(c, "<style>");
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		put(c, "#%s%s{%s}", c->id, rules[i][0], rules[i][1]);
	put(c, "@media (prefers-color-scheme:dark){");
	for (size_t i = 0; i < sizeof(dark_rules) / sizeof(dark_rules[0]); i++)
		put(c, "#%s%s{%s}", c->id, dark_rules[i][0], dark_rules[i][1]);
	put(c, "}</style>\n");
}

static void
put_text(const canvas *c, const char *class, const char *anchor, double x, double y,
		 const char *text)
{
	put(c, "<text class=\"%s\" text-anchor=\"%s\"", class, anchor);
	put_coordinate(c, " x=\"", x, "\"");
	put_coordinate(c, " y=\"", y, "\">");
	put(c, "%s</text>\n", text);
}

static void
put_rectangle(const canvas *c, const char *class, double left, double right, double top,
			  double bottom, double radius)
{
	/* what is shorter than a pixel is still to be seen */
	double width = right - left < 1.2 ? 1.2 : right - left;

	put(c, "<rect class=\"%s\"", class);
	put_coordinate(c, " x=\"", left, "\"");
	put_coordinate(c, " y=\"", top, "\"");
	put_coordinate(c, " width=\"", width, "\"");
	put_coordinate(c, " height=\"", bottom - top, "\"");
	if (radius > width / 3)
		radius = width / 3;
	if (radius > 0)
		put_coordinate(c, " rx=\"", radius, "\"");
	put(c, "/>\n");
}

static void
put_line(const canvas *c, const char *class, double x1, double y1, double x2, double y2)
{
	put(c, "<line class=\"%s\"", class);
	put_coordinate(c, " x1=\"", x1, "\"");
	put_coordinate(c, " y1=\"", y1, "\"");
	put_coordinate(c, " x2=\"", x2, "\"");
	put_coordinate(c, " y2=\"", y2, "\"/>\n");
}

/* A time as people write it: 1.25 s below a minute, else 1:23 or 1:02:03. */
static const char *
time_text(char *text, double seconds, bool clock, int decimals)
{
	char figures[NUMBER_SIZE];
	long long whole;

	if (!clock)
	{
		snprintf(text, NUMBER_SIZE + 4, "%s s", number(figures, seconds, decimals));
		return text;
	}
	whole = llrint(seconds);
	if (whole >= 3600)
		snprintf(text, NUMBER_SIZE + 4, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60,
				 whole % 60);
	else
		snprintf(text, NUMBER_SIZE + 4, "%lld:%02lld", whole / 60, whole % 60);
	return text;
}

/* A level with a true minus sign; digital silence has none. */
static const char *
level_text(char *text, const char *name, double dbfs)
{
	char figures[NUMBER_SIZE];

	if (isinf(dbfs))
		snprintf(text, 80, "%s &#8722;&#8734; dBFS", name);
	else
		snprintf(text, 80, "%s %s%s dBFS", name, dbfs < -0.05 ? "&#8722;" : "",
				 number(figures, fabs(dbfs), 1));
	return text;
}

/* The line of figures, as many as fit. */
static void
put_figures(const canvas *c, double y)
{
	const mb_waveform_picture *p = c->picture;
	char items[7][80];
	int n = 0;
	double width = 0;

	time_text(items[n++], c->seconds, c->seconds >= 60, c->seconds < 10 ? 2 : 1);
	snprintf(items[n++], 80, "%d Hz", p->sample_rate);
	level_text(items[n++], "RMS", mb_level_rms_dbfs(&c->waveform->level));
	level_text(items[n++], "peak", mb_level_peak_dbfs(&c->waveform->level));
	snprintf(items[n++], 80, "%zu digit%s", p->n_digits, p->n_digits == 1 ? "" : "s");
	snprintf(items[n++], 80, "%zu speech segment%s", p->n_speech, p->n_speech == 1 ? "" : "s");
	if (p->n_lost > 0)
		snprintf(items[n++], 80, "%zu gap%s", p->n_lost, p->n_lost == 1 ? "" : "s");

	put(c, "<text class=\"text\"");
	put_coordinate(c, " x=\"", c->plot_left, "\"");
	put_coordinate(c, " y=\"", y, "\">");
	for (int i = 0; i < n; i++)
	{
		/* an entity is one character on paper; the longest has eight in the text */
		width += TEXT_CHARACTER * ((double) strlen(items[i]) + 3);
		if (i > 0 && width > c->plot_width)
			break;
		put(c, "%s%s", i > 0 ? " &#183; " : "", items[i]);
	}
	put(c, "</text>\n");
}

/* Level lines, as many as have room, loudest first. */
static void
put_level_grid(const canvas *c)
{
	static const int levels[] = { 0, -3, -6, -12, -18, -24, -30, -36 };
	double last = c->middle - c->plot_top + 100;

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
	{
		double distance = 32768.0 * pow(10, levels[i] / 20.0) * c->scale;
		char text[32];

		if (distance > c->middle - c->plot_top + 0.5 || last - distance < 15 || distance < 13)
			continue;
		last = distance;
		for (int side = -1; side <= 1; side += 2)
		{
			double y = c->middle + side * distance;

			put_line(c, "grid", c->plot_left, y, c->plot_left + c->plot_width, y);
			snprintf(text, sizeof(text), "%s%d", levels[i] < 0 ? "&#8722;" : "", -levels[i]);
			put_text(c, "text", "end", c->plot_left - 8, y + 4, text);
		}
	}
	put_text(c, "text", "end", c->plot_left - 8, c->middle + 4, "dBFS");
}

static void
put_time_axis(const canvas *c, double y)
{
	static const double steps[] = { 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,	0.1,   0.2,	  0.5,
									1,	   2,	  5,	 10,   15,	 30,	60,	   120,	  300,
									600,   900,	  1800,	 3600, 7200, 14400, 21600, 43200, 86400 };
	const size_t n_steps = sizeof(steps) / sizeof(steps[0]);
	size_t s = 0;
	double step;
	int decimals;

	/* a label needs some 70 pixels */
	while (s + 1 < n_steps && steps[s] / c->seconds * c->plot_width < 70)
		s++;
	step = steps[s];
	while (step / c->seconds * c->plot_width < 70)
		step *= 2;
	decimals = step >= 1 ? 0 : step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3;
	for (int i = 0; i * step <= c->seconds * 1.000001; i++)
	{
		double x = x_of(c, i * step);
		char text[NUMBER_SIZE + 4];

		put_line(c, "grid", x, c->plot_top, x, y + 4);
		/* the last label would run over the edge */
		if (x < c->plot_left + c->plot_width - 12)
			put_text(c, "text", i == 0 ? "start" : "middle", x, y + 16,
					 time_text(text, i * step, c->seconds >= 60 && step >= 1, decimals));
	}
}

/* The outline between two values of each column as one closed path. */
static void
put_outline(const canvas *c, const char *name, bool body)
{
	const mb_waveform *w = c->waveform;
	double column_width = c->plot_width / (double) w->n_columns;

	put(c, "<path id=\"%s-%s\" d=\"M", c->id, name);
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
		put_coordinate(c, k > 0 ? " " : "", c->plot_left + ((double) i + 0.5) * column_width, ",");
		put_coordinate(c, "", c->middle - value * c->scale, "");
	}
	put(c, "Z\"/>\n");
}

/* True where each column is one sample: then a line shows more than an outline. */
static bool
is_trace(const canvas *c)
{
	return c->waveform->n_columns == c->waveform->total;
}

static void
put_trace(const canvas *c)
{
	const mb_waveform *w = c->waveform;
	double column_width = c->plot_width / (double) w->n_columns;

	put(c, "<path id=\"%s-trace\" d=\"M", c->id);
	for (size_t i = 0; i < w->n_columns; i++)
	{
		put_coordinate(c, i > 0 ? " " : "", c->plot_left + (double) i * column_width, ",");
		put_coordinate(c, "", c->middle - w->columns[i].maximum * c->scale, "");
	}
	put(c, "\"/>\n");
}

/* Draws what was defined. */
static void
put_uses(const canvas *c)
{
	static const char *const names[] = { "wave", "body", "trace" };

	for (size_t i = is_trace(c) ? 2 : 0; i < (is_trace(c) ? 3 : 2); i++)
		put(c, "<use class=\"%s\" xlink:href=\"#%s-%s\"/>\n", names[i], c->id, names[i]);
}

static void
put_envelope(const canvas *c)
{
	const mb_waveform_picture *p = c->picture;

	put(c, "<defs>\n");
	if (is_trace(c))
		put_trace(c);
	else
	{
		put_outline(c, "wave", false);
		put_outline(c, "body", true);
	}
	if (p->n_speech > 0)
	{
		put(c, "<clipPath id=\"%s-speech\">\n", c->id);
		for (size_t i = 0; i < p->n_speech; i++)
			put_rectangle(c, "clip", x_of(c, p->speech[i].start), x_of(c, p->speech[i].end),
						  c->plot_top, c->plot_bottom, 0);
		put(c, "</clipPath>\n");
	}
	put(c, "</defs>\n");
	put_uses(c);
	if (p->n_speech > 0)
	{
		/* the same again in colour where somebody speaks */
		put(c, "<g class=\"spoken\" clip-path=\"url(#%s-speech)\">\n", c->id);
		put_uses(c);
		put(c, "</g>\n");
	}
}

/*
 * Digits: a tint where the tone is, a label above.  Labels that would overlap
 * become one that names all their digits.
 */
static void
put_digits(const canvas *c, double lane_top)
{
	const mb_waveform_picture *p = c->picture;
	const double single = DIGIT_CHARACTER + DIGIT_PADDING;
	size_t i = 0;

	for (size_t k = 0; k < p->n_digits; k++)
		put_rectangle(c, "tone", x_of(c, p->digits[k].start), x_of(c, p->digits[k].end),
					  c->plot_top, c->plot_bottom, 0);

	while (i < p->n_digits)
	{
		char label[MAX_LABEL + 16];
		size_t n = 0;
		size_t last = i;
		double left;
		double right;
		double half;
		double center;
		double next;

		for (;;)
		{
			n = last - i + 1;
			center = x_of(c, (p->digits[i].start + p->digits[last].end) / 2);
			half = (DIGIT_CHARACTER * (double) (n < MAX_LABEL ? n : MAX_LABEL) + DIGIT_PADDING) / 2;
			if (last + 1 == p->n_digits)
				break;
			/* the next one gets a label of its own where there is room for one */
			next = x_of(c, (p->digits[last + 1].start + p->digits[last + 1].end) / 2);
			if (next - x_of(c, (p->digits[last].start + p->digits[last].end) / 2) > single + 2 &&
				next - single / 2 > center + half + 2)
				break;
			last++;
		}
		/* keep the label inside the picture */
		center = fmin(fmax(center, c->plot_left + half), c->plot_left + c->plot_width - half);
		left = center - half;
		right = center + half;
		put_rectangle(c, "label", left, right, lane_top, lane_top + 17, 4);
		for (n = 0; n <= last - i && n < MAX_LABEL; n++)
			label[n] = p->digits[i + n].symbol;
		snprintf(label + n, sizeof(label) - n, "%s", last - i >= MAX_LABEL ? "&#8230;" : "");
		put_text(c, "digit", "middle", center, lane_top + 13, label);
		i = last + 1;
	}
}

mb_status
mb_waveform_write(const mb_waveform *waveform, const mb_waveform_picture *picture,
				  mb_waveform_writer write, void *arg)
{
	mb_status status = mb_waveform_check(waveform, picture);
	canvas c = { .write = write, .arg = arg, .waveform = waveform, .picture = picture };
	double y = TOP_MARGIN;
	double peak_dbfs;
	double digits_top;
	double speech_top;

	if (status != MB_OK)
		return status;
	c.seconds = (double) waveform->total / picture->sample_rate;
	snprintf(c.id, sizeof(c.id), "mb%08x", (unsigned) digest(waveform));
	c.plot_left = LEFT_MARGIN;
	c.plot_width = picture->width - LEFT_MARGIN - RIGHT_MARGIN;

	put(&c,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" "
		"xmlns:xlink=\"http://www.w3.org/1999/xlink\""
		" id=\"%s\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\">\n<title>",
		c.id, picture->width, picture->height, picture->width, picture->height);
	put_escaped(&c, picture->title != NULL ? picture->title : "waveform");
	put(&c, "</title>\n");
	put_style(&c);
	put(&c, "<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n", picture->width,
		picture->height);

	if (picture->title != NULL)
	{
		put(&c, "<text class=\"title\" x=\"%d\" y=\"%d\">", LEFT_MARGIN, (int) y + 14);
		put_escaped(&c, picture->title);
		put(&c, "</text>\n");
		y += TITLE_HEIGHT;
	}
	put_figures(&c, y + 12);
	y += FIGURES_HEIGHT;
	digits_top = y;
	if (picture->n_digits > 0)
		y += DIGITS_HEIGHT;
	c.plot_top = y;
	c.plot_bottom = picture->height - AXIS_HEIGHT - SPEECH_HEIGHT;
	speech_top = c.plot_bottom;
	c.middle = (c.plot_top + c.plot_bottom) / 2;

	peak_dbfs = fmax(mb_level_peak_dbfs(&waveform->level), QUIETEST_FULL_HEIGHT_DBFS);
	c.scale = (c.middle - c.plot_top - 2) / (32768.0 * pow(10, peak_dbfs / 20));

	for (size_t i = 0; i < picture->n_speech; i++)
		put_rectangle(&c, "band", x_of(&c, picture->speech[i].start),
					  x_of(&c, picture->speech[i].end), c.plot_top, c.plot_bottom, 0);
	put_time_axis(&c, picture->height - AXIS_HEIGHT);
	put_level_grid(&c);
	for (size_t i = 0; i < picture->n_lost; i++)
		put_rectangle(&c, "lost", x_of(&c, picture->lost[i].start), x_of(&c, picture->lost[i].end),
					  c.plot_top, c.plot_bottom, 0);
	put_line(&c, "zero", c.plot_left, c.middle, c.plot_left + c.plot_width, c.middle);
	put_envelope(&c);
	if (picture->n_digits > 0)
	{
		put_text(&c, "text", "end", c.plot_left - 8, digits_top + 13, "digits");
		put_digits(&c, digits_top);
	}
	put_text(&c, "text", "end", c.plot_left - 8, speech_top + 16, "speech");
	for (size_t i = 0; i < picture->n_speech; i++)
		put_rectangle(&c, "bar", x_of(&c, picture->speech[i].start),
					  x_of(&c, picture->speech[i].end), speech_top + 8, speech_top + 14, 3);
	put(&c, "</svg>\n");
	return MB_OK;
}
