/*
 * test_waveform_lanes.c
 *	  Several lanes in one picture, the words below them, and that however much there is to show, the picture
 *	  stays readable and small.
 */
#include "core/audio/waveform.h"
#include "svg_setup.h"

#define WIDTH 1068 /* 1,000 of them are the plot */
#define LEFT MB_WAVEFORM_LEFT_MARGIN
#define RATE 8000

/* Lanes of so many seconds, all of them a quiet saw. */
static mb_waveform_lane *
make_lanes(size_t n, double seconds)
{
	static mb_waveform waveforms[MB_WAVEFORM_MAX_LANES];
	static mb_waveform_column columns[MB_WAVEFORM_MAX_LANES][WIDTH];
	static mb_waveform_lane lanes[MB_WAVEFORM_MAX_LANES];
	uint64_t total = (uint64_t) (seconds * RATE);
	int16_t samples[1000];

	for (int i = 0; i < 1000; i++)
		samples[i] = (int16_t) (i * 3);
	for (size_t k = 0; k < n; k++)
	{
		mb_waveform *w = &waveforms[k];

		check_int(mb_waveform_init(w, columns[k], mb_waveform_columns(WIDTH, total), total), MB_OK);
		for (uint64_t i = 0; i + 1000 <= total && i < 100000; i += 1000)
			check_int(mb_waveform_feed(w, samples, 1000), MB_OK);
		check_int(mb_waveform_skip(w, total - w->position), MB_OK);
		check_int(mb_waveform_skip(w, 1), MB_ERR_RANGE);
		lanes[k] = (mb_waveform_lane){ .name = "a lane", .waveform = w, .sample_rate = RATE };
	}
	return lanes;
}

/* Draws lanes at a height that suits them; the picture is in svg. */
static mb_status
draw(const mb_waveform_lane *lanes, size_t n, const char *title)
{
	mb_waveform_picture picture = { .width = WIDTH, .title = title, .lanes = lanes, .n_lanes = n };

	picture.height = mb_waveform_good_height(&picture);
	svg_size = 0;
	return mb_waveform_write(&picture, collect, NULL);
}

/* Where the text that holds this is. */
static bool
text_at(const char *text, double *x, double *y)
{
	const char *found = strstr(svg, text);

	while (found != NULL && found > svg && strncmp(found, "<text ", 6) != 0)
		found--;
	return found != NULL && found > svg && (found = strstr(found, " x=\"")) != NULL &&
		   sscanf(found, " x=\"%lf\" y=\"%lf\"", x, y) == 2;
}

static void
lanes_stand_below_each_other(void)
{
	mb_waveform_lane *lanes = make_lanes(3, 10);
	mb_waveform_digit digit = { '5', 1, 1.1 };
	double x;
	double first;
	double second;
	double third;

	lanes[0].name = "caller <1>";
	lanes[1].name = "agent";
	lanes[1].digits = &digit;
	lanes[1].n_digits = 1;
	lanes[2].name = NULL;
	check_int(draw(lanes, 3, "three"), MB_OK);
	REQUIRE(text_at(">caller &lt;1&gt;<", &x, &first));
	check_near(x, LEFT, 0.06);
	REQUIRE(text_at(">agent<", &x, &second));
	check(second > first + 100);
	REQUIRE(text_at(">5</text>", &x, &third));
	check(third > second);
	check_near(x, LEFT + 105.0, 0.06);
	check_int(count("-2-wave\" d="), 1);
	check_int(count("class=\"hue2\""), 1);
	/* only the one without a name says how long it is */
	check_int(count("10.0 s"), 1);

	/* of the same length, one ms forgiven */
	make_lanes(1, 10.0005);
	check_int(draw(lanes, 3, "three"), MB_OK);
	make_lanes(1, 10.002);
	check_int(draw(lanes, 3, "three"), MB_ERR_RANGE);
	lanes = make_lanes(2, 10);
	check_int(draw(lanes, 0, "none"), MB_ERR_RANGE);
}

static void
heights_are_enough(void)
{
	mb_waveform_lane *lanes = make_lanes(MB_WAVEFORM_MAX_LANES, 10);
	mb_waveform_word word = { "word", 1, 2, true };
	mb_waveform_picture picture = { .width = WIDTH, .lanes = lanes };

	for (size_t n = 1; n <= MB_WAVEFORM_MAX_LANES; n++)
	{
		lanes[n - 1].words = &word;
		lanes[n - 1].n_words = n % 2;
		picture.n_lanes = n;
		check(mb_waveform_least_height(&picture) < mb_waveform_good_height(&picture));
		check(mb_waveform_good_height(&picture) <= MB_WAVEFORM_MAX_HEIGHT);
		picture.height = mb_waveform_least_height(&picture);
		check_int(mb_waveform_check(&picture), MB_OK);
		picture.height--;
		check_int(mb_waveform_check(&picture), MB_ERR_RANGE);
	}
}

/* A lane in which nothing was sent. */
static void
silence_says_so(void)
{
	mb_waveform_lane *lanes = make_lanes(2, 10);
	mb_waveform_column columns[WIDTH];
	mb_waveform nothing;

	REQUIRE(mb_waveform_init(&nothing, columns, 1000, 10 * RATE) == MB_OK);
	lanes[1].waveform = &nothing;
	check_int(draw(lanes, 2, NULL), MB_OK);
	check_int(count(">no audio<"), 1);
	check_int(count("-1-wave"), 0);
}

static void
words_stand_where_they_are_said(void)
{
	mb_waveform_lane *lanes = make_lanes(1, 10);
	mb_waveform_word words[] = { { "well", 1, 1.4, true },		{ "yes & no", 1.1, 1.3, false },
								 { "third", 1.2, 1.5, true },	{ "fourth", 3, 3.5, true },
								 { "the end", 9.99, 10, true }, { "", 10, 10, false } };
	double x[4];
	double y[4];

	lanes[0].words = words;
	lanes[0].n_words = 6;
	check_int(draw(lanes, 1, NULL), MB_OK);
	REQUIRE(text_at(">well<", &x[0], &y[0]));
	check_near(x[0], LEFT + 100.0, 0.06);
	/* what would overlap stands below */
	REQUIRE(text_at(">yes &amp; no<", &x[1], &y[1]));
	check_near(x[1], LEFT + 110.0, 0.06);
	check(y[1] > y[0] + 10);
	REQUIRE(text_at(">third<", &x[2], &y[2]));
	check(y[2] > y[1] + 10);
	REQUIRE(text_at(">fourth<", &x[3], &y[3]));
	check_near(y[3], y[0], 0.01);
	/* and what would run over the edge begins earlier */
	REQUIRE(text_at(">the end<", &x[3], &y[3]));
	check(x[3] > LEFT + 900 && x[3] < LEFT + 980);
	check_int(count("class=\"said\""), 6);
}

/* Where single words have no room they are blocks, cut where the next one begins. */
static void
crowds_of_words_become_blocks(void)
{
	static mb_waveform_word words[20000];
	mb_waveform_lane *lanes = make_lanes(1, 3600);
	int blocks;
	double x;
	double y;

	for (int i = 0; i < 20000; i++)
		words[i] = (mb_waveform_word){ i == 7 ? "unbelievably-long-word-that-fits-no-row-of-a-block"
											  : "another",
									   i * 0.18, i * 0.18 + 0.1, i % 11 == 0 };
	lanes[0].words = words;
	lanes[0].n_words = 20000;
	check_int(draw(lanes, 1, NULL), MB_OK);
	blocks = count("class=\"said\"");
	check(blocks >= 5 && blocks <= 12);
	check(count("class=\"word\"") <= 3 * blocks);
	check(count("&#8230;</text>") >= blocks);
	check(svg_size < 120000);
	REQUIRE(text_at(">another", &x, &y));
	check_near(x, LEFT + 5.0, 0.06);
	/* the tooltip of a block tells when it is */
	check(strstr(svg, "<title>0:00 another another") != NULL);

	/* one phrase without times of its words is broken into rows, and nothing of it is lost where it fits */
	words[0] = (mb_waveform_word){
		"a phrase  of\nsome words that is too long to stand in one row of the picture, so it "
		"goes on in the next one, and there it ends behind this word that is the last: here",
		1800, 1810, true
	};
	words[1] = (mb_waveform_word){ "the next phrase", 1801, 1802, true };
	words[2] = (mb_waveform_word){ "and one more to fill the rows", 1802, 1803, true };
	words[3] = (mb_waveform_word){ "so that they do not stand one by one", 1803, 1804, true };
	lanes[0].n_words = 4;
	check_int(draw(lanes, 1, NULL), MB_OK);
	check_int(count("class=\"said\""), 1);
	check_int(count("of some words"), 2);
	check_int(count("one by one</text>"), 1);
	/* a single phrase that begins at the very end still has room for something */
	words[0].start = words[0].end = 3600;
	lanes[0].n_words = 1;
	check_int(draw(lanes, 1, NULL), MB_OK);
	check_int(count(">a phrase"), 1);
	/* as have texts of nothing */
	words[0].text = " ";
	words[1] = words[2] = words[3] = words[0];
	lanes[0].n_words = 4;
	check_int(draw(lanes, 1, NULL), MB_OK);
}

/* Marks that fall into one pixel are one, however many there are. */
static void
crowds_of_marks_are_few(void)
{
	static mb_waveform_digit digits[17580];
	static mb_waveform_span spans[90000];
	mb_waveform_lane *lanes = make_lanes(1, 3600);

	for (int i = 0; i < 17580; i++)
		digits[i] = (mb_waveform_digit){ "0123456789ABCD*#"[i % 16], i * 0.2, i * 0.2 + 0.1 };
	for (int i = 0; i < 90000; i++)
		spans[i] = (mb_waveform_span){ i * 0.04, i * 0.04 + 0.005 };
	lanes[0].digits = digits;
	lanes[0].n_digits = 17580;
	lanes[0].lost = lanes[0].speech = spans;
	lanes[0].n_lost = lanes[0].n_speech = 90000;
	check_int(draw(lanes, 1, NULL), MB_OK);
	check(count("<rect") <= 6 * 260);
	check(svg_size < 300000);
	check_int(count("17580 digits"), 1);
	check_int(count("class=\"label\""), 1);
	/* half of the time is tone, an eighth is lost: not as strong as if it were all of it */
	check(count("class=\"tone most\"") + count("class=\"tone half\"") > 200);
	check(count("class=\"lost quarter\"") > 200);
	check_int(count("class=\"lost\""), 0);
	/* a single one of a few ms stays as it is */
	lanes[0].n_lost = 1;
	check_int(draw(lanes, 1, NULL), MB_OK);
	check_int(count("class=\"lost\""), 1);
	/* spans that overlap are no more than all */
	spans[0] = (mb_waveform_span){ 0, 3000 };
	lanes[0].n_lost = 90000;
	check_int(draw(lanes, 1, NULL), MB_OK);
	check(count("class=\"lost") < 260);
}

static void
long_texts_are_cut(void)
{
	mb_waveform_lane *lanes = make_lanes(1, 10);
	char title[3001];
	const char *end;

	memset(title, 'n', 3000);
	title[3000] = '\0';
	check_int(draw(lanes, 1, title), MB_OK);
	check_int(count("n&#8230;</text>"), 1);
	/* the document's own title has all of it */
	check_int(count(title), 1);
	/* between characters, of several bytes */
	for (int i = 0; i < 3000; i += 3)
		memcpy(title + i, "\xE2\x82\xAC", 3);
	lanes[0].name = title;
	check_int(draw(lanes, 1, title), MB_OK);
	check_int(count("\xE2\x82\xAC&#8230;</text>"), 1);
	end = strstr(svg, "\xE2\x82\xAC&#8230;</tspan>");
	check(end != NULL);
	/* what is no character is told so, and what XML has no place for is left out */
	lanes[0].name = "a\xFF\xE2\x82z\xED\xA0\x80\xEF\xBF\xBF\x01\tb";
	check_int(draw(lanes, 1, NULL), MB_OK);
	check_int(count(">a&#65533;&#65533;&#65533;z b<"), 1);
}

static void
bad_words_are_refused(void)
{
	mb_waveform_lane *lanes = make_lanes(1, 10);
	mb_waveform_word words[] = { { "a", 1, 2, true }, { "b", 1, 2, false } };
	mb_waveform_span spans[] = { { 1, 2 }, { 1, 1.5 } };

	lanes[0].words = words;
	lanes[0].n_words = 2;
	check_int(draw(lanes, 1, NULL), MB_OK);
	words[1].start = 0.9;
	check_int(draw(lanes, 1, NULL), MB_ERR_RANGE);
	words[1].start = 1;
	words[1].end = 0.5;
	check_int(draw(lanes, 1, NULL), MB_ERR_RANGE);
	words[1].end = 10.1;
	check_int(draw(lanes, 1, NULL), MB_ERR_RANGE);
	words[1].end = NAN;
	check_int(draw(lanes, 1, NULL), MB_ERR_RANGE);
	lanes[0].n_words = 0;
	lanes[0].lost = spans;
	lanes[0].n_lost = 2;
	check_int(draw(lanes, 1, NULL), MB_OK);
	spans[1].start = 0.9;
	check_int(draw(lanes, 1, NULL), MB_ERR_RANGE);
}

int
main(void)
{
	check_run("lanes stand below each other", lanes_stand_below_each_other);
	check_run("heights are enough", heights_are_enough);
	check_run("silence says so", silence_says_so);
	check_run("words stand where they are said", words_stand_where_they_are_said);
	check_run("crowds of words become blocks", crowds_of_words_become_blocks);
	check_run("crowds of marks are few", crowds_of_marks_are_few);
	check_run("long texts are cut", long_texts_are_cut);
	check_run("bad words are refused", bad_words_are_refused);
	free(svg);
	return check_done();
}
