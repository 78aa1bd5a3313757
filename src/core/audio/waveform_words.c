/*
 * waveform_words.c
 *	  What is said in a lane, below it.
 *
 * Where there is room, each word stands where it is said, and those that would overlap stand in rows below
 * each other.  Where there is not, as in most calls of more than half a minute, the words are
 * put together to blocks that begin where their first word is said, and as much of each as
 * has room until the next one is written.
 */
#include "core/audio/waveform_draw.h"

#include <math.h>
#include <string.h>

#define FONT MB_WAVEFORM_TEXT_FONT
#define ROWS MB_WAVEFORM_MAX_WORD_ROWS

/* Between two words in a row, and two blocks. */
#define WORD_SPACE 5.0
#define BLOCK_SPACE 10.0

/* A block goes on until a phrase begins, but is so wide at least; the words of one phrase are parted when it is wider than that. */
#define BLOCK_LEAST 90.0
#define BLOCK_WIDE 170.0

/* Bytes of a block that its tooltip shows. */
#define TOOLTIP 400

/* Where words stand one by one: how far each row is filled. */
typedef struct word_rows
{
	double filled[ROWS];
	int n; /* rows in use */
} word_rows;

/* Finds the row and place of a word; false when it has none. */
static bool
place_word(const mb_waveform_canvas *canvas, const mb_waveform_word *word, word_rows *rows,
		   int *row, double *x)
{
	double width = mb_svg_text_width(word->text, FONT);
	double right = canvas->left + canvas->width;

	for (int i = 0; i < ROWS; i++)
	{
		*x = mb_waveform_x(canvas, word->start);
		/* the last words may begin a little earlier, to stay inside */
		if (*x + width > right)
			*x = right - width;
		if (*x < canvas->left || *x < rows->filled[i])
			continue;
		rows->filled[i] = *x + width + WORD_SPACE;
		if (i >= rows->n)
			rows->n = i + 1;
		*row = i;
		return true;
	}
	return false;
}

/* Whether all words have room one by one, and in how many rows; 0 when they have not. */
static int
single_word_rows(const mb_waveform_canvas *canvas, const mb_waveform_lane *lane)
{
	word_rows rows = { 0 };

	for (size_t i = 0; i < lane->n_words; i++)
	{
		int row;
		double x;

		if (!place_word(canvas, &lane->words[i], &rows, &row, &x))
			return 0;
	}
	return rows.n;
}

int
mb_waveform_word_rows(const mb_waveform_canvas *canvas, const mb_waveform_lane *lane)
{
	int rows;

	if (lane->n_words == 0)
		return 0;
	rows = single_word_rows(canvas, lane);
	return rows > 0 ? rows : ROWS;
}

static double
baseline(const mb_waveform_place *place, int row)
{
	return place->words + 13 + row * MB_WAVEFORM_WORD_ROW;
}

static void
begin_text(const mb_waveform_canvas *canvas, double x, double y)
{
	mb_svg_put(&canvas->svg, "<text class=\"word\"");
	mb_svg_coordinate(&canvas->svg, " x=\"", x, "\"");
	mb_svg_coordinate(&canvas->svg, " y=\"", y, "\">");
}

/* Each word where it is said, with a line as long as it lasts. */
static void
put_single_words(const mb_waveform_canvas *canvas, const mb_waveform_lane *lane,
				 const mb_waveform_place *place)
{
	word_rows rows = { 0 };

	for (size_t i = 0; i < lane->n_words; i++)
	{
		const mb_waveform_word *word = &lane->words[i];
		int row = 0;
		double x = 0;
		double y;

		(void) place_word(canvas, word, &rows, &row, &x);
		y = baseline(place, row);
		mb_svg_rectangle(&canvas->svg, "said", mb_waveform_x(canvas, word->start),
						 mb_waveform_x(canvas, word->end), y - 11.5, y - 10, 0);
		begin_text(canvas, x, y);
		mb_svg_escaped(&canvas->svg, word->text, strlen(word->text));
		mb_svg_put(&canvas->svg, "</text>\n");
	}
}

/* The words first..last-1, and what room they have. */
typedef struct word_block
{
	size_t first;
	size_t last;
	double left;
	double right;
} word_block;

/* A place in the words of a block: tokens are parted by spaces. */
typedef struct token
{
	size_t word;
	const char *text; /* what is left of that word */
	size_t length;
} token;

/* Goes to the next token; false when there is none. */
static bool
next_token(const mb_waveform_lane *lane, const word_block *block, token *at)
{
	if (at->text == NULL)
		at->text = lane->words[at->word].text;
	else
		at->text += at->length;
	for (;;)
	{
		at->text += strspn(at->text, " \t\r\n");
		if (*at->text != '\0')
			break;
		if (++at->word >= block->last)
			return false;
		at->text = lane->words[at->word].text;
	}
	at->length = strcspn(at->text, " \t\r\n");
	return true;
}

/* What the tooltip of a block says: when, and its words from the first on. */
static void
put_tooltip(const mb_waveform_canvas *canvas, const mb_waveform_lane *lane, const word_block *block)
{
	const mb_svg *svg = &canvas->svg;
	char text[MB_SVG_NUMBER + 4];
	token at = { .word = block->first };
	size_t n = 0;

	mb_svg_put(svg, "<title>%s",
			   mb_waveform_time(text, lane->words[block->first].start, canvas->seconds >= 60, 1));
	while (next_token(lane, block, &at))
	{
		if (n + at.length > TOOLTIP)
		{
			mb_svg_put(svg, " &#8230;");
			break;
		}
		mb_svg_put(svg, " ");
		mb_svg_escaped(svg, at.text, at.length);
		n += at.length + 1;
	}
	mb_svg_put(svg, "</title>\n");
}

static void
put_block(const mb_waveform_canvas *canvas, const mb_waveform_lane *lane,
		  const mb_waveform_place *place, const word_block *block)
{
	const mb_svg *svg = &canvas->svg;
	const double space = mb_svg_text_width(" ", FONT);
	double width = block->right - block->left;
	token at = { .word = block->first };
	bool more = next_token(lane, block, &at);

	if (!more)
		return;
	mb_svg_put(svg, "<g>\n");
	put_tooltip(canvas, lane, block);
	mb_svg_rectangle(svg, "said", block->left - 5, block->left - 3.8, place->words + 3,
					 place->words + 3 + ROWS * MB_WAVEFORM_WORD_ROW - 4, 0);
	for (int row = 0; row < ROWS && more; row++)
	{
		double used = 0;
		bool last_row = row == ROWS - 1;

		begin_text(canvas, block->left, baseline(place, row));
		while (more)
		{
			double before = used > 0 ? space : 0;
			token here = at;
			double needed;

			(void) mb_svg_text_fitting(here.text, here.length, FONT, INFINITY, &needed);
			more = next_token(lane, block, &at);
			/* behind the last word of the last row an ellipsis must have room */
			if (used + before + needed + (last_row && more ? FONT : 0) > width)
			{
				if (used == 0)
				{
					mb_svg_escaped(
						svg, here.text,
						mb_svg_text_fitting(here.text, here.length, FONT, width - FONT, NULL));
				}
				else if (!last_row)
				{
					at = here;
					more = true;
					break;
				}
				if (used == 0 || last_row)
					mb_svg_put(svg, "&#8230;");
				break;
			}
			if (used > 0)
				mb_svg_put(svg, " ");
			mb_svg_escaped(svg, here.text, here.length);
			used += before + needed;
		}
		mb_svg_put(svg, "</text>\n");
	}
	mb_svg_put(svg, "</g>\n");
}

/* Whether a block that begins at "left" ends in front of this word. */
static bool
begins_block(const mb_waveform_canvas *canvas, const mb_waveform_word *word, double left)
{
	double x = mb_waveform_x(canvas, word->start);

	/* what begins near the right edge has no room for a block of its own */
	if (canvas->left + canvas->width - x < BLOCK_LEAST)
		return false;
	return x - left >= (word->first ? BLOCK_LEAST : BLOCK_WIDE);
}

static void
put_blocks(const mb_waveform_canvas *canvas, const mb_waveform_lane *lane,
		   const mb_waveform_place *place)
{
	word_block block = { 0 };

	while (block.first < lane->n_words)
	{
		double right = canvas->left + canvas->width;

		block.left = mb_waveform_x(canvas, lane->words[block.first].start);
		/* only the first block of all can begin so late */
		if (block.left > right - BLOCK_LEAST)
			block.left = right - BLOCK_LEAST;
		block.left += 5;
		block.last = block.first + 1;
		while (block.last < lane->n_words &&
			   !begins_block(canvas, &lane->words[block.last], block.left))
			block.last++;
		block.right = block.last == lane->n_words
						  ? right
						  : mb_waveform_x(canvas, lane->words[block.last].start) - BLOCK_SPACE;
		put_block(canvas, lane, place, &block);
		block.first = block.last;
	}
}

void
mb_waveform_draw_words(const mb_waveform_canvas *canvas, const mb_waveform_lane *lane,
					   const mb_waveform_place *place)
{
	if (lane->n_words == 0)
		return;
	mb_svg_text(&canvas->svg, "text", "end", canvas->left - 8, baseline(place, 0), "words");
	if (single_word_rows(canvas, lane) > 0)
		put_single_words(canvas, lane, place);
	else
		put_blocks(canvas, lane, place);
}
