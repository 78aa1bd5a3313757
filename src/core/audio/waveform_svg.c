/*
 * waveform_svg.c
 *	  Makes the picture of a recording or a call: see waveform.h.
 *
 * From top to bottom: title; for each lane a line of figures, the digits, the envelope with its
 * level grid, a row that shows speech, the turns, and the words (waveform_lane.c, waveform_turns.c, waveform_words.c); the time axis.
 */
#include "core/audio/waveform_draw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Layout in pixels. */
#define TOP_MARGIN 8
#define TITLE_HEIGHT 22
#define LANE_SPACE 14
#define AXIS_HEIGHT 24

/* Heights of the envelope: the least, and good ones for one or two, some, and many lanes. */
#define LEAST_PLOT 24
#define GOOD_PLOT 120
#define SMALL_PLOT 84
#define TINY_PLOT 52

/* Lanes have so many colours, one after another. */
#define HUES 4

double
mb_waveform_x(const mb_waveform_canvas *canvas, double seconds)
{
	double x = seconds / canvas->seconds;

	return canvas->left + canvas->width * (x > 1 ? 1 : x);
}

const char *
mb_waveform_time(char *text, double seconds, bool clock, int decimals)
{
	char figures[MB_SVG_NUMBER];
	long long whole;

	if (!clock)
	{
		snprintf(text, MB_SVG_NUMBER + 4, "%s s", mb_svg_number(figures, seconds, decimals));
		return text;
	}
	whole = llrint(seconds);
	if (whole >= 3600)
		snprintf(text, MB_SVG_NUMBER + 4, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60,
				 whole % 60);
	else
		snprintf(text, MB_SVG_NUMBER + 4, "%lld:%02lld", whole / 60, whole % 60);
	return text;
}

/* FNV-1a. */
static uint32_t
mix(uint32_t hash, uint32_t value)
{
	return (hash ^ value) * 16777619u;
}

/* Over all that decides where things lie: the same picture has the same ids, two others different ones. */
static uint32_t
digest(const mb_waveform_picture *picture)
{
	uint32_t hash = mix(mix(2166136261u, (uint32_t) picture->width), (uint32_t) picture->height);

	for (size_t k = 0; k < picture->n_lanes; k++)
	{
		const mb_waveform_lane *lane = &picture->lanes[k];

		for (size_t i = 0; i < lane->waveform->n_columns; i++)
		{
			hash = mix(hash, (uint16_t) lane->waveform->columns[i].minimum);
			hash = mix(hash, (uint16_t) lane->waveform->columns[i].maximum);
		}
		hash = mix(hash, (uint32_t) lane->waveform->total);
		hash = mix(hash, (uint32_t) lane->n_digits);
		hash = mix(hash, (uint32_t) lane->n_words);
		for (size_t i = 0; i < lane->n_turns; i++)
			hash = mix(hash, (uint32_t) (lane->turns[i].end * 1000));
		for (size_t i = 0; i < lane->n_speech; i++)
		{
			hash = mix(hash, (uint32_t) (lane->speech[i].start * 1000));
			hash = mix(hash, (uint32_t) (lane->speech[i].end * 1000));
		}
	}
	return hash;
}

static void
put_style(const mb_waveform_canvas *c, size_t n_lanes)
{
	/* every rule is bound to this picture: a style element is valid for a whole page */
	static const char *const rules[][2] = {
		{ "", "font-family:system-ui,'Segoe UI','Helvetica Neue',Arial,sans-serif" },
		{ " .paper", "fill:#fff" },
		{ " .title", "fill:#2b2230;font-size:14px;font-weight:600" },
		{ " .text", "fill:#6b6171;font-size:11px" },
		{ " .name", "fill:#2b2230;font-size:12px;font-weight:600" },
		{ " .word", "fill:#2b2230;font-size:11px" },
		{ " .grid", "stroke:#ebe6ed;stroke-width:1" },
		{ " .zero", "stroke:#cfc7d3;stroke-width:1" },
		{ " .wave", "fill:#bcb3c1;stroke:#bcb3c1;stroke-width:.6;stroke-linejoin:round" },
		{ " .body", "fill:#978ca0" },
		{ " .trace", "fill:none;stroke:#978ca0;stroke-width:1.2;stroke-linejoin:round" },
		{ " .band", "fill-opacity:.06" },
		{ " .said", "fill-opacity:.45" },
		{ " .tone", "fill:#0f766e;fill-opacity:.18" },
		{ " .label", "fill:#0f766e" },
		{ " .tones", "fill:#0f766e" },
		{ " .digit", "fill:#fff;font-size:12px;font-weight:600;"
					 "font-family:ui-monospace,Consolas,'DejaVu Sans Mono',monospace" },
		{ " .lost", "fill:#d97706;fill-opacity:.28" },
		{ " .gap", "fill:#d97706" },
		{ " .gaps", "fill:#b45309" },
		{ " .turn", "fill-opacity:.3" },
		{ " .number", "fill:#2b2230;font-size:11px;font-weight:600" },
		{ " .cut", "stroke:#dc2626;stroke-width:1.6" },
		{ " .cuts", "fill:#b91c1c" },
		{ " .most", "opacity:.7" },
		{ " .half", "opacity:.45" },
		{ " .quarter", "opacity:.25" },
	};
	static const char *const dark_rules[][2] = {
		{ " .paper", "fill:#1c1820" },	{ " .title", "fill:#f1ecf3" },
		{ " .text", "fill:#a99fb0" },	{ " .name", "fill:#f1ecf3" },
		{ " .word", "fill:#f1ecf3" },	{ " .grid", "stroke:#2e2834" },
		{ " .zero", "stroke:#4a4152" }, { " .wave", "fill:#5c5264;stroke:#5c5264" },
		{ " .body", "fill:#81758a" },	{ " .tones", "fill:#2dd4bf" },
		{ " .gaps", "fill:#f59e0b" },	{ " .number", "fill:#f1ecf3" },
		{ " .cuts", "fill:#f87171" },
	};
	/* of speech: strong and light on white, strong and light on black */
	static const char *const hues[HUES][4] = {
		{ "#8a2b5f", "#c77ba4", "#e08fbb", "#9c4a78" },
		{ "#1d4ed8", "#86a3e8", "#8fb1ff", "#3f5fae" },
		{ "#3f6212", "#98b36a", "#a9d65c", "#5c7a35" },
		{ "#7c2d12", "#cf9a83", "#f2a98a", "#9a5a42" },
	};
	size_t n_hues = n_lanes < HUES ? n_lanes : HUES;

	mb_svg_put(&c->svg, "<style>");
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		mb_svg_put(&c->svg, "#%s%s{%s}", c->id, rules[i][0], rules[i][1]);
	for (int dark = 0; dark < 2; dark++)
	{
		if (dark)
		{
			mb_svg_put(&c->svg, "@media (prefers-color-scheme:dark){");
			for (size_t i = 0; i < sizeof(dark_rules) / sizeof(dark_rules[0]); i++)
				mb_svg_put(&c->svg, "#%s%s{%s}", c->id, dark_rules[i][0], dark_rules[i][1]);
		}
		for (size_t i = 0; i < n_hues; i++)
		{
			static const char *const strong[] = { "band",	"bar",	"said",
												  "speech", "turn", "spoken .body" };
			const char *colour = hues[i][2 * dark];
			const char *light = hues[i][2 * dark + 1];

			for (size_t k = 0; k < sizeof(strong) / sizeof(strong[0]); k++)
				mb_svg_put(&c->svg, "#%s .hue%zu .%s{fill:%s}", c->id, i, strong[k], colour);
			mb_svg_put(&c->svg, "#%s .hue%zu .spoken .wave{fill:%s;stroke:%s}", c->id, i, light,
					   light);
			mb_svg_put(&c->svg, "#%s .hue%zu .spoken .trace{stroke:%s}", c->id, i, colour);
		}
	}
	mb_svg_put(&c->svg, "}</style>\n");
}

/* The time axis: a line through every plot for each label, and the labels below the last one. */
static void
put_time_axis(const mb_waveform_canvas *c, const mb_waveform_place *places, size_t n_lanes,
			  double y)
{
	static const double steps[] = { 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,	0.1,   0.2,	  0.5,
									1,	   2,	  5,	 10,   15,	 30,	60,	   120,	  300,
									600,   900,	  1800,	 3600, 7200, 14400, 21600, 43200, 86400 };
	const size_t n_steps = sizeof(steps) / sizeof(steps[0]);
	double right = c->left + c->width;
	size_t s = 0;
	double step;
	int decimals;

	/* a label needs some 70 pixels */
	while (s + 1 < n_steps && steps[s] / c->seconds * c->width < 70)
		s++;
	step = steps[s];
	while (step / c->seconds * c->width < 70)
		step *= 2;
	decimals = step >= 1 ? 0 : step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3;
	for (int i = 0; i * step <= c->seconds * 1.000001; i++)
	{
		double x = mb_waveform_x(c, i * step);
		char text[MB_SVG_NUMBER + 4];

		for (size_t k = 0; k < n_lanes; k++)
			mb_svg_line(&c->svg, "grid", x, places[k].plot, x, places[k].speech + 4);
		/* the last label would run over the edge */
		if (x < right - 12)
			mb_svg_text(&c->svg, "text", i == 0 ? "start" : "middle", x, y + 16,
						mb_waveform_time(text, i * step, c->seconds >= 60 && step >= 1, decimals));
	}
}

static mb_waveform_canvas
begin_canvas(const mb_waveform_picture *picture)
{
	mb_waveform_canvas c = { .left = MB_WAVEFORM_LEFT_MARGIN };

	c.seconds = (double) picture->lanes[0].waveform->total / picture->lanes[0].sample_rate;
	c.width = picture->width - MB_WAVEFORM_LEFT_MARGIN - MB_WAVEFORM_RIGHT_MARGIN;
	return c;
}

/* Lays the lanes out with envelopes of that height; returns where the axis is. */
static double
lay_out(const mb_waveform_canvas *c, const mb_waveform_picture *picture, double plot,
		mb_waveform_place *places)
{
	double y = TOP_MARGIN + (picture->title != NULL ? TITLE_HEIGHT : 0);

	for (size_t i = 0; i < picture->n_lanes; i++)
	{
		const mb_waveform_lane *lane = &picture->lanes[i];
		mb_waveform_place place = { .number = (int) i, .header = y };

		if (i > 0)
			place.header += LANE_SPACE;
		place.digits = place.header + MB_WAVEFORM_HEADER;
		place.plot = place.digits + (lane->n_digits > 0 ? MB_WAVEFORM_DIGITS : 0);
		place.speech = place.plot + plot;
		place.turns = place.speech + MB_WAVEFORM_SPEECH;
		place.words = place.turns + (lane->n_turns > 0 ? MB_WAVEFORM_TURNS : 0);
		place.word_rows = mb_waveform_word_rows(c, lane);
		y = place.words + place.word_rows * MB_WAVEFORM_WORD_ROW + (place.word_rows > 0 ? 4 : 0);
		places[i] = place;
	}
	return y;
}

static int
height_with(const mb_waveform_picture *picture, double plot)
{
	mb_waveform_canvas c = begin_canvas(picture);
	mb_waveform_place places[MB_WAVEFORM_MAX_LANES];
	double height = lay_out(&c, picture, plot, places) + AXIS_HEIGHT;

	return height < MB_WAVEFORM_MIN_HEIGHT ? MB_WAVEFORM_MIN_HEIGHT : (int) ceil(height);
}

int
mb_waveform_least_height(const mb_waveform_picture *picture)
{
	return height_with(picture, LEAST_PLOT);
}

int
mb_waveform_good_height(const mb_waveform_picture *picture)
{
	return height_with(picture, picture->n_lanes <= 2	? GOOD_PLOT
								: picture->n_lanes <= 4 ? SMALL_PLOT
														: TINY_PLOT);
}

mb_status
mb_waveform_write(const mb_waveform_picture *picture, mb_svg_writer write, void *arg)
{
	mb_status status = mb_waveform_check(picture);
	mb_waveform_place places[MB_WAVEFORM_MAX_LANES];
	mb_waveform_canvas c;
	double plots;

	if (status != MB_OK)
		return status;
	c = begin_canvas(picture);
	c.svg = (mb_svg){ .write = write, .arg = arg };
	snprintf(c.id, sizeof(c.id), "mb%08x", (unsigned) digest(picture));
	/* the envelopes share what the rest leaves */
	plots = picture->height - AXIS_HEIGHT - lay_out(&c, picture, 0, places);
	(void) lay_out(&c, picture, plots / (double) picture->n_lanes, places);

	mb_svg_put(&c.svg,
			   "<svg xmlns=\"http://www.w3.org/2000/svg\" "
			   "xmlns:xlink=\"http://www.w3.org/1999/xlink\""
			   " id=\"%s\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\">\n<title>",
			   c.id, picture->width, picture->height, picture->width, picture->height);
	if (picture->title != NULL)
		mb_svg_escaped(&c.svg, picture->title, strlen(picture->title));
	else
		mb_svg_put(&c.svg, "waveform");
	mb_svg_put(&c.svg, "</title>\n");
	put_style(&c, picture->n_lanes);
	mb_svg_put(&c.svg, "<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n", picture->width,
			   picture->height);
	if (picture->title != NULL)
	{
		mb_svg_put(&c.svg, "<text class=\"title\" x=\"%d\" y=\"%d\">", MB_WAVEFORM_LEFT_MARGIN,
				   TOP_MARGIN + 14);
		mb_svg_fitted(&c.svg, picture->title, MB_WAVEFORM_TITLE_FONT, c.width);
		mb_svg_put(&c.svg, "</text>\n");
	}
	put_time_axis(&c, places, picture->n_lanes, picture->height - AXIS_HEIGHT);
	for (size_t i = 0; i < picture->n_lanes; i++)
	{
		mb_svg_put(&c.svg, "<g class=\"hue%zu\">\n", i % HUES);
		mb_waveform_draw_lane(&c, &picture->lanes[i], &places[i]);
		mb_svg_put(&c.svg, "</g>\n");
	}
	mb_svg_put(&c.svg, "</svg>\n");
	return MB_OK;
}
