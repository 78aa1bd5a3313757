/*
 * waveform_turns.c
 *	  Whose turn it is in a lane, below its speech: a bar with a number for each turn, and a line through the lane where
 *	  one was interrupted.
 *
 * Turns that would fall into the same pixels are left to those before them.
 */
#include "core/audio/waveform_draw.h"

#include <math.h>
#include <string.h>

#define FONT MB_WAVEFORM_TEXT_FONT

/* A bar is so wide at least; what a reader can point at, and lines that can be told apart, are so far from each other. */
#define LEAST 2.0
#define APART 4.0

static void
put_bar(const mb_waveform_canvas *canvas, const mb_waveform_turn *turn, double top, double left,
		double right)
{
	double room = right - left - 6;

	mb_svg_put(&canvas->svg, "<g><title>");
	mb_svg_escaped(&canvas->svg, turn->about, strlen(turn->about));
	mb_svg_put(&canvas->svg, "</title>\n");
	mb_svg_rectangle(&canvas->svg, "turn", left, right, top, top + 14, 3);
	if (mb_svg_text_width(turn->label, FONT) <= room)
	{
		mb_svg_put(&canvas->svg, "<text class=\"number\"");
		mb_svg_coordinate(&canvas->svg, " x=\"", left + 4, "\"");
		mb_svg_coordinate(&canvas->svg, " y=\"", top + 11, "\">");
		mb_svg_escaped(&canvas->svg, turn->label, strlen(turn->label));
		mb_svg_put(&canvas->svg, "</text>\n");
	}
	mb_svg_put(&canvas->svg, "</g>\n");
}

void
mb_waveform_draw_turns(const mb_waveform_canvas *canvas, const mb_waveform_lane *lane,
					   const mb_waveform_place *place)
{
	double top = place->turns;
	double last_bar = -APART;
	double last_cut = -APART;

	if (lane->n_turns == 0)
		return;
	mb_svg_text(&canvas->svg, "text", "end", canvas->left - 8, top + 11,
				lane->replies ? "replies" : "turns");
	for (size_t i = 0; i < lane->n_turns; i++)
	{
		const mb_waveform_turn *turn = &lane->turns[i];
		double left = mb_waveform_x(canvas, turn->start);
		double right = fmax(mb_waveform_x(canvas, turn->end), left + LEAST);

		if (left - last_bar >= APART)
		{
			put_bar(canvas, turn, top, left, right);
			last_bar = left;
		}
		if (turn->cut && right - last_cut >= APART)
		{
			mb_svg_line(&canvas->svg, "cut", right, place->plot, right, top + 16);
			last_cut = right;
		}
	}
}
