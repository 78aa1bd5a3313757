/*
 * test_waveform.c
 *	  The picture is well-formed XML that shows what is in the signal, at the
 *	  place where it is.
 */
#include "core/audio/waveform.h"
#include "svg_setup.h"

#include <unistd.h>

#define WIDTH 868
#define HEIGHT 240

/* Width of the plot: chosen so that one second of a picture of 8 s has 100 pixels. */
#define PLOT_WIDTH (WIDTH - MB_WAVEFORM_LEFT_MARGIN - MB_WAVEFORM_RIGHT_MARGIN)

/* A picture of one lane. */
typedef struct drawn
{
	int width;
	int height;
	const char *title;
	mb_waveform_lane lane;
} drawn;

/* Draws n samples; the picture is in svg. */
static mb_status
draw(const int16_t *samples, size_t n, const drawn *drawn)
{
	mb_waveform_lane lane = drawn->lane;
	mb_waveform_picture picture = { .width = drawn->width,
									.height = drawn->height,
									.title = drawn->title,
									.lanes = &lane,
									.n_lanes = 1 };
	mb_waveform waveform;
	size_t n_columns = mb_waveform_columns(picture.width, n);
	mb_waveform_column *columns = malloc(sizeof(*columns) * (n_columns + 1));
	mb_status status;

	svg_size = 0;
	svg_capacity = 0;
	free(svg);
	svg = NULL;
	lane.waveform = &waveform;
	status = mb_waveform_init(&waveform, columns, n_columns, n);
	if (status == MB_OK)
		status = mb_waveform_feed(&waveform, samples, n);
	if (status == MB_OK)
		status = mb_waveform_write(&picture, collect, NULL);
	free(columns);
	return status;
}

static drawn
plain_picture(void)
{
	return (drawn){ .width = WIDTH, .height = HEIGHT, .lane.sample_rate = 8000 };
}

/*
 * Reads the rectangle number k of a class; false when there is none.
 */
static bool
rectangle(const char *class, int k, double *x, double *width)
{
	char pattern[64];
	const char *p = svg;

	snprintf(pattern, sizeof(pattern), "<rect class=\"%s\"", class);
	for (;;)
	{
		double y;

		p = strstr(p, pattern);
		if (p == NULL)
			return false;
		p += strlen(pattern);
		if (k-- == 0)
			return sscanf(p, " x=\"%lf\" y=\"%lf\" width=\"%lf\"", x, &y, width) == 3;
	}
}

/* Well-formed as xmllint sees it; true where it is not installed. */
static bool
well_formed(void)
{
	FILE *pipe;
	static int installed = -1;

	if (installed < 0)
		installed = system("command -v xmllint >/dev/null 2>&1") == 0;
	if (!installed)
		return true;
	pipe = popen("xmllint --noout -", "w");
	if (pipe == NULL)
		return false;
	fwrite(svg, 1, svg_size, pipe);
	return pclose(pipe) == 0;
}

static void
marks_lie_where_they_are_in_time(void)
{
	static const mb_waveform_digit digits[] = { { '4', 1.0, 1.1 },
												{ '#', 2.0, 2.25 },
												{ '2', 7.9, 8.0 } };
	static const mb_waveform_span speech[] = { { 3.0, 4.5 }, { 5.0, 8.0 } };
	static const mb_waveform_span lost[] = { { 0.0, 0.5 } };
	static int16_t samples[64000];
	drawn picture = plain_picture();
	double x;
	double width;

	picture.lane.digits = digits;
	picture.lane.n_digits = 3;
	picture.lane.speech = speech;
	picture.lane.n_speech = 2;
	picture.lane.lost = lost;
	picture.lane.n_lost = 1;
	for (int i = 0; i < 64000; i++)
		samples[i] = (int16_t) (i % 100 * 100);
	check_int(draw(samples, 64000, &picture), MB_OK);
	REQUIRE(svg != NULL);
	check(well_formed());

	REQUIRE(rectangle("tone", 0, &x, &width));
	check_near(x, MB_WAVEFORM_LEFT_MARGIN + 100.0, 0.06);
	check_near(width, 10, 0.06);
	REQUIRE(rectangle("tone", 1, &x, &width));
	check_near(x, MB_WAVEFORM_LEFT_MARGIN + 200.0, 0.06);
	check_near(width, 25, 0.06);
	REQUIRE(rectangle("tone", 2, &x, &width));
	check_near(x + width, WIDTH - MB_WAVEFORM_RIGHT_MARGIN, 0.06);
	REQUIRE(rectangle("bar", 0, &x, &width));
	check_near(x, MB_WAVEFORM_LEFT_MARGIN + 300.0, 0.06);
	check_near(width, 150, 0.06);
	REQUIRE(rectangle("band", 1, &x, &width));
	check_near(x, MB_WAVEFORM_LEFT_MARGIN + 500.0, 0.06);
	REQUIRE(rectangle("lost", 0, &x, &width));
	check_near(x, MB_WAVEFORM_LEFT_MARGIN, 0.06);
	check_near(width, 50, 0.06);
	check_int(count(">4</text>"), 1);
	check_int(count(">#</text>"), 1);
	check_int(count(">2</text>"), 1);
	check_int(count("3 digits"), 1);
	check_int(count("2 speech segments"), 1);
	check_int(count("1 gap"), 1);
	check_int(count(">7 s</text>"), 1);
	/* the last label stays inside the picture */
	REQUIRE(rectangle("label", 2, &x, &width));
	check(x + width <= WIDTH - MB_WAVEFORM_RIGHT_MARGIN + 0.06);
}

/* Digits that stand too close for labels of their own share one. */
static void
crowded_digits_share_a_label(void)
{
	static int16_t samples[64000];
	mb_waveform_digit digits[60];
	drawn picture = plain_picture();

	for (int i = 0; i < 60; i++)
		digits[i] = (mb_waveform_digit){ "0123456789"[i % 10], 0.1 * i, 0.1 * i + 0.05 };
	picture.lane.digits = digits;
	picture.lane.n_digits = 5;
	check_int(draw(samples, 64000, &picture), MB_OK);
	check_int(count(">01234</text>"), 1);
	check_int(count("class=\"label\""), 1);
	check_int(count("class=\"tone\""), 5);
	/* a label names 48 digits at most and says that it was cut */
	picture.lane.n_digits = 60;
	check_int(draw(samples, 64000, &picture), MB_OK);
	check_int(count("01234567&#8230;</text>"), 1);
	check_int(count("class=\"tone\""), 60);
	check(well_formed());
}

/* The outline of a tone that swells has its largest extent where it is loudest. */
static void
outline_follows_the_signal(void)
{
	static int16_t samples[80000];
	mb_waveform waveform;
	mb_waveform_column columns[PLOT_WIDTH];
	mb_waveform pieces;
	mb_waveform_column other[PLOT_WIDTH];

	for (int i = 0; i < 80000; i++)
		samples[i] = (int16_t) ((i % 2 ? 1 : -1) * (i / 4));
	REQUIRE(mb_waveform_columns(WIDTH, 80000) == PLOT_WIDTH);
	REQUIRE(mb_waveform_init(&waveform, columns, PLOT_WIDTH, 80000) == MB_OK);
	check_int(mb_waveform_feed(&waveform, samples, 80000), MB_OK);
	/* 800 columns of 100 samples each */
	for (int i = 0; i < PLOT_WIDTH; i++)
	{
		check_int(columns[i].n, 100);
		check_int(columns[i].maximum, (100 * i + 99) / 4);
		check_int(columns[i].minimum, -((100 * i + 98) / 4));
	}

	REQUIRE(mb_waveform_init(&pieces, other, PLOT_WIDTH, 80000) == MB_OK);
	for (size_t position = 0; position < 80000;)
	{
		size_t n = position % 777 + 1;

		n = n < 80000 - position ? n : 80000 - position;
		check_int(mb_waveform_feed(&pieces, samples + position, n), MB_OK);
		position += n;
	}
	for (int i = 0; i < PLOT_WIDTH; i++)
	{
		check_int(other[i].n, columns[i].n);
		check_int(other[i].minimum, columns[i].minimum);
		check_int(other[i].maximum, columns[i].maximum);
		check(other[i].sum_of_squares == columns[i].sum_of_squares);
	}
	check_int(mb_waveform_feed(&pieces, samples, 1), MB_ERR_RANGE);
}

/* Every number of samples and columns: each sample lands in exactly one column. */
static void
columns_cover_every_sample(void)
{
	static int16_t samples[3000];

	for (uint64_t total = 1; total < 3000; total += 7)
	{
		for (int width = MB_WAVEFORM_MIN_WIDTH; width < 1000; width += 131)
		{
			mb_waveform waveform;
			mb_waveform_column columns[1000];
			size_t n_columns = mb_waveform_columns(width, total);
			uint64_t sum = 0;

			REQUIRE(n_columns > 0 && n_columns <= 1000);
			REQUIRE(mb_waveform_init(&waveform, columns, n_columns, total) == MB_OK);
			REQUIRE(mb_waveform_feed(&waveform, samples, (size_t) total) == MB_OK);
			for (size_t i = 0; i < n_columns; i++)
			{
				check(columns[i].n >= total / n_columns && columns[i].n <= total / n_columns + 1);
				sum += columns[i].n;
			}
			check_int(sum, total);
		}
	}
}

static void
titles_are_escaped(void)
{
	int16_t samples[10] = { 1, 2, 3 };
	drawn picture = plain_picture();

	picture.title = "<script>alert(\"1 & 2\")</script>\n\x01 fin";
	check_int(draw(samples, 10, &picture), MB_OK);
	check_int(count("<script"), 0);
	/* once as the document's title, once on paper */
	check_int(count("&lt;script&gt;alert(&quot;1 &amp; 2&quot;)&lt;/script&gt;  fin<"), 2);
	check(well_formed());
}

/* One sample, silence, full scale, a day: no division by zero, all well-formed. */
static void
extremes_are_drawn(void)
{
	static int16_t samples[20000];
	drawn picture = plain_picture();

	check_int(draw(samples, 1, &picture), MB_OK);
	check(well_formed());
	check_int(draw(samples, 20000, &picture), MB_OK);
	check(well_formed());
	check_int(count("peak &#8722;&#8734; dBFS"), 1);
	check_int(count("nan"), 0);
	check_int(count("inf"), 0);
	for (int i = 0; i < 20000; i++)
		samples[i] = i % 2 ? 32767 : -32768;
	picture.lane.sample_rate = 1; /* 20,000 s */
	picture.width = MB_WAVEFORM_MIN_WIDTH;
	picture.height = MB_WAVEFORM_MIN_HEIGHT;
	check_int(draw(samples, 20000, &picture), MB_OK);
	check(well_formed());
	check_int(count("5:33:20"), 1);
	picture.width = MB_WAVEFORM_MAX_WIDTH;
	picture.height = MB_WAVEFORM_MAX_HEIGHT;
	picture.lane.sample_rate = 48000;
	check_int(draw(samples, 20000, &picture), MB_OK);
	check(well_formed());
	/* few samples: a line through each of them */
	picture.width = WIDTH;
	check_int(draw(samples, 100, &picture), MB_OK);
	check_int(count("-trace\" d="), 1);
	check_int(count("-body\" d="), 0);
}

/* Two pictures on one page do not share ids. */
static void
ids_differ_between_pictures(void)
{
	int16_t samples[1000] = { 0 };
	drawn picture = plain_picture();
	char first[32];
	char second[32];
	char third[32];

	check_int(draw(samples, 1000, &picture), MB_OK);
	snprintf(first, sizeof(first), "%.13s", strstr(svg, "id=\"mb"));
	check_int(draw(samples, 999, &picture), MB_OK);
	snprintf(second, sizeof(second), "%.13s", strstr(svg, "id=\"mb"));
	samples[5] = 3;
	check_int(draw(samples, 999, &picture), MB_OK);
	snprintf(third, sizeof(third), "%.13s", strstr(svg, "id=\"mb"));
	check(strcmp(first, second) != 0);
	check(strcmp(second, third) != 0);
}

static void
bad_pictures_are_refused(void)
{
	int16_t samples[8000] = { 0 };
	drawn picture;
	mb_waveform_digit digits[2] = { { '1', 0.1, 0.2 }, { '2', 0.3, 0.4 } };
	mb_waveform_span span = { 0.2, 0.4 };
	mb_waveform waveform;
	mb_waveform_column column;

#define EXPECT(expected)                                                                           \
	do                                                                                             \
	{                                                                                              \
		check_int(draw(samples, 8000, &picture), (expected));                                      \
		check((svg == NULL) == ((expected) != MB_OK));                                             \
	} while (0)

	picture = plain_picture();
	picture.lane.digits = digits;
	picture.lane.n_digits = 2;
	picture.lane.speech = &span;
	picture.lane.n_speech = 1;
	EXPECT(MB_OK);
	digits[1].symbol = 'x';
	EXPECT(MB_ERR_SYMBOL);
	digits[1].symbol = '\0';
	EXPECT(MB_ERR_SYMBOL);
	digits[1].symbol = '2';
	digits[1].start = 0.05;
	EXPECT(MB_ERR_RANGE);
	digits[1].start = 0.3;
	digits[1].end = 1.1;
	EXPECT(MB_ERR_RANGE);
	digits[1].end = NAN;
	EXPECT(MB_ERR_RANGE);
	digits[1].end = 0.4;
	span.start = -0.1;
	EXPECT(MB_ERR_RANGE);
	span.start = 0.5;
	EXPECT(MB_ERR_RANGE);
	span.start = 0.2;
	picture.lane.lost = &span;
	picture.lane.n_lost = 1;
	span.end = 1.0005;
	EXPECT(MB_OK);
	span.end = 1.1;
	EXPECT(MB_ERR_RANGE);
	span.end = 0.4;
	picture.lane.sample_rate = 0;
	EXPECT(MB_ERR_RATE);
	picture.lane.sample_rate = 8000;
	picture.height = MB_WAVEFORM_MIN_HEIGHT - 1;
	EXPECT(MB_ERR_RANGE);
	picture.height = MB_WAVEFORM_MAX_HEIGHT + 1;
	EXPECT(MB_ERR_RANGE);
	picture.height = HEIGHT;
	/* without columns there is nothing to draw into */
	picture.width = MB_WAVEFORM_MIN_WIDTH - 1;
	EXPECT(MB_ERR_EMPTY);
	check_int(mb_waveform_columns(MB_WAVEFORM_MAX_WIDTH + 1, 100), 0);
	check_int(mb_waveform_columns(WIDTH, 0), 0);
	check_int(mb_waveform_init(&waveform, &column, 1, 0), MB_ERR_EMPTY);
}

int
main(void)
{
	check_run("marks lie where they are in time", marks_lie_where_they_are_in_time);
	check_run("crowded digits share a label", crowded_digits_share_a_label);
	check_run("the outline follows the signal", outline_follows_the_signal);
	check_run("columns cover every sample once", columns_cover_every_sample);
	check_run("titles are escaped", titles_are_escaped);
	check_run("extremes are drawn", extremes_are_drawn);
	check_run("ids differ between pictures", ids_differ_between_pictures);
	check_run("bad pictures are refused", bad_pictures_are_refused);
	free(svg);
	return check_done();
}
