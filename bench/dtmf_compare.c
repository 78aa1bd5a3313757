/*
 * dtmf_compare.c
 *	  The DTMF receiver beside libspandsp's and multimon-ng's, over the same signals in the same
 *	  run: one table of error rates over all conditions, one of speed.
 *
 *		dtmf_compare [SYMBOLS]		symbols a condition, 1000 when not given
 *
 * multimon-ng is left out of the tables when it is not installed.  Prints to standard output,
 * writes no file.
 */
#include <time.h>

#include "dtmf_conditions.h"
#include "dtmf_multimon.h"
#include "dtmf_others.h"
#include "dtmf_receive.h"
#include "dtmf_spandsp.h"

#define DEFAULT_SYMBOLS 1000
#define OTHERS_SECONDS 600.0

/* Runs of each receiver over a signal; the medians of interleaved runs are told. */
#define RUNS 15
#define SPEED_SECONDS 30
#define PACKET 160

static bool have_multimon;

/* Errors of what was received, in percent of the symbols sent. */
static double
error_rate(const signal_condition *c, const char *sent, const char *got)
{
	double errors = c->none ? (double) strlen(got) : signal_distance(sent, got);

	return 100 * errors / (double) strlen(sent);
}

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return x < y ? -1 : x > y;
}

/* 95th percentile of the distance of told from true onsets, ms; -1 when digits are missing. */
static double
onset_error(const char *sent, const uint64_t *onsets, const received *r)
{
	double result = -1;
	double *off = malloc((r->n + 1) * sizeof(*off));

	if (r->n > 0 && strcmp(sent, r->digits) == 0)
	{
		for (size_t i = 0; i < r->n; i++)
			off[i] = fabs((double) r->events[i].onset - (double) onsets[i]) / 8;
		qsort(off, r->n, sizeof(*off), compare_doubles);
		result = off[(size_t) ((double) r->n * 0.95)];
	}
	free(off);
	return result;
}

static void
print_rate(double rate)
{
	if (rate < 0)
		printf(" %9s", "-");
	else
		printf(" %8.2f%%", rate);
}

/* One line of the table.  True when ours keeps what is allowed. */
static bool
compare_condition(const signal_condition *c, uint64_t seed, int symbols)
{
	size_t room = (size_t) symbols * 8 + 64;
	char *sent = malloc(room);
	char *got = malloc(room);
	uint64_t *onsets = malloc(room * sizeof(*onsets));
	size_t n;
	int16_t *samples = signal_make(c, seed, symbols, sent, onsets, &n);
	received r = receive(samples, n, 8000, PACKET, -1);
	double ours = error_rate(c, sent, received_digits(&r));
	double onset = c->none ? -1 : onset_error(sent, onsets, &r);
	bool kept = ours <= 100 * c->max_error;
	/* display width: ± takes two bytes */
	int width = 38 + (strstr(c->name, "±") != NULL);

	printf("%-*s %-6s %7.1f%%", width, c->name, c->target ? "target" : "must", 100 * c->max_error);
	print_rate(ours);
	spandsp_receive(samples, n, got, room);
	print_rate(error_rate(c, sent, got));
	if (have_multimon)
		print_rate(multimon_receive(samples, n, got, room) ? error_rate(c, sent, got) : -1);
	if (onset >= 0)
		printf(" %7.2f", onset);
	else
		printf(" %7s", "-");
	printf("%s\n", kept ? "" : "  missed");
	fflush(stdout);
	received_free(&r);
	free(samples);
	free(onsets);
	free(got);
	free(sent);
	return kept;
}

/* False digits in what is none. */
static bool
compare_other(int which)
{
	enum
	{
		ROOM = 100000
	};
	static char got[ROOM];
	size_t n;
	int16_t *samples = others_make(which, OTHERS_SECONDS, 900 + (uint64_t) which, &n);
	received r = receive(samples, n, 8000, PACKET, -1);

	printf("%-38s %-6s %8d %9zu", others[which].name, "must", 0, r.n);
	spandsp_receive(samples, n, got, ROOM);
	printf(" %9zu", strlen(got));
	if (have_multimon)
	{
		if (multimon_receive(samples, n, got, ROOM))
			printf(" %9zu", strlen(got));
		else
			printf(" %9s", "-");
	}
	printf("\n");
	fflush(stdout);
	free(samples);
	received_free(&r);
	return r.n == 0;
}

/* Seconds of the processor, so that other work on it counts least. */
static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static void
ignore_event(void *arg, const mb_dtmf_event *event)
{
	(void) event;
	++*(int *) arg;
}

/* Time of one path over a signal in portions, ns a sample. */
static double
time_ours(const int16_t *samples, size_t n, size_t portion, int path)
{
	static mb_dtmf dtmf;
	int digits = 0;
	mb_dtmf_options options = { MB_DTMF_DEFAULT_FLOOR_DBM0, ignore_event, &digits };
	double begin;

	mb_dtmf_init(&dtmf, 8000, &options);
	if (!mb_dtmf_use_path(&dtmf, (dtmf_path) path))
		return -1;
	begin = now();
	for (size_t i = 0; i < n; i += portion)
		mb_dtmf_feed(&dtmf, samples + i, n - i < portion ? n - i : portion);
	mb_dtmf_flush(&dtmf);
	return (now() - begin) * 1e9 / (double) n;
}

static double
time_spandsp(const int16_t *samples, size_t n, size_t portion)
{
	dtmf_rx_state_t *receiver = dtmf_rx_init(NULL, NULL, NULL);
	char digits[129];
	double begin = now();

	for (size_t i = 0; i < n; i += portion)
	{
		dtmf_rx(receiver, samples + i, (int) (n - i < portion ? n - i : portion));
		dtmf_rx_get(receiver, digits, 128);
	}
	begin = (now() - begin) * 1e9 / (double) n;
	dtmf_rx_free(receiver);
	return begin;
}

static double
median(double *v, int n)
{
	qsort(v, (size_t) n, sizeof(*v), compare_doubles);
	return v[n / 2];
}

/*
 * One line: medians over interleaved runs, and the medians of the ratios of each pair.
 */
static void
compare_speed(const char *name, const int16_t *samples, size_t n, size_t portion)
{
	double ours[3][RUNS], peer[RUNS], ratio[3][RUNS];
	double medians[3];

	for (int run = 0; run < RUNS; run++)
	{
		for (int path = DTMF_PATH_PLAIN; path <= DTMF_PATH_AVX2; path++)
			ours[path][run] = time_ours(samples, n, portion, path);
		peer[run] = time_spandsp(samples, n, portion);
		for (int path = DTMF_PATH_PLAIN; path <= DTMF_PATH_AVX2; path++)
			ratio[path][run] = peer[run] / ours[path][run];
	}
	for (int path = DTMF_PATH_PLAIN; path <= DTMF_PATH_AVX2; path++)
		medians[path] = median(ours[path], RUNS);
	printf("%-30s %8zu %8.2f", name, portion, medians[DTMF_PATH_PLAIN]);
	for (int path = DTMF_PATH_SSE2; path <= DTMF_PATH_AVX2; path++)
	{
		if (medians[path] < 0)
			printf(" %8s", "-");
		else
			printf(" %8.2f", medians[path]);
	}
	printf(" %10.2f %8.1f", median(peer, RUNS), median(ratio[DTMF_PATH_SSE2], RUNS));
	if (medians[DTMF_PATH_AVX2] < 0)
		printf(" %8s\n", "-");
	else
		printf(" %8.1f\n", median(ratio[DTMF_PATH_AVX2], RUNS));
	fflush(stdout);
}

/* Digits of the condition for about SPEED_SECONDS. */
static int16_t *
digits_for_speed(double on_ms, double off_ms, size_t *n)
{
	signal_condition c = { .on_ms = on_ms, .off_ms = off_ms, .level = -15 };
	int symbols = (int) fmax(1, SPEED_SECONDS * 1000 / (on_ms + off_ms + 5));
	char *sent = malloc((size_t) symbols + 1);
	uint64_t *onsets = malloc((size_t) symbols * sizeof(*onsets));
	int16_t *samples = signal_make(&c, 1, symbols, sent, onsets, n);

	free(sent);
	free(onsets);
	return samples;
}

/* espeak-ng's, which writes a WAV of 22,050 samples a second; NULL where it is not installed. */
static int16_t *
speech_for_speed(size_t *n)
{
	enum
	{
		RATE = 22050,
		HEADER = 22
	};
	FILE *pipe = popen(
		"espeak-ng -v en-gb --stdout 'The early bird eats all of the worms, or so they always say. "
		"Could you read me the number of your contract, please, slowly and digit by digit? Thank "
		"you.' "
		"2>/dev/null",
		"r");
	int16_t *once = malloc(SPEED_SECONDS * RATE * sizeof(*once));
	size_t got = fread(once, sizeof(*once), SPEED_SECONDS * RATE, pipe);
	int16_t *samples = NULL;

	pclose(pipe);
	if (got > RATE)
		samples = signal_resample(once + HEADER, got - HEADER, RATE, SIGNAL_RATE, n);
	free(once);
	return samples;
}

static void
speed_table(void)
{
	static const size_t portions[] = { PACKET, 8000 };
	const size_t length = SPEED_SECONDS * SIGNAL_RATE;
	struct
	{
		const char *name;
		int16_t *samples;
		size_t n;
	} lines[9];
	int count = 0;
	check_random random = { 6 };

	lines[count].name = "digits, 40 ms on, 40 off";
	lines[count].samples = digits_for_speed(40, 40, &lines[count].n);
	count++;
	lines[count].name = "digits, 100 ms on, 100 off";
	lines[count].samples = digits_for_speed(100, 100, &lines[count].n);
	count++;
	lines[count].name = "one digit without end";
	lines[count].samples = digits_for_speed(SPEED_SECONDS * 1000, 0, &lines[count].n);
	count++;
	lines[count].name = "speech";
	lines[count].samples = speech_for_speed(&lines[count].n);
	count += lines[count].samples != NULL;
	lines[count].name = "music";
	lines[count].samples = others_make(3, SPEED_SECONDS, 5, &lines[count].n);
	count++;
	lines[count].name = "white noise";
	lines[count].samples = malloc(length * sizeof(int16_t));
	lines[count].n = length;
	for (size_t i = 0; i < length; i++)
		lines[count].samples[i] = (int16_t) lrint(1000 * check_random_normal(&random));
	count++;
	lines[count].name = "noise 60 dB below (idle line)";
	lines[count].samples = malloc(length * sizeof(int16_t));
	lines[count].n = length;
	for (size_t i = 0; i < length; i++)
		lines[count].samples[i] = (int16_t) (8 * (int) check_random_below(&random, 3) - 8) / 4;
	count++;
	lines[count].name = "silence";
	lines[count].samples = calloc(length, sizeof(int16_t));
	lines[count].n = length;
	count++;

	printf("\nSpeed, ns a sample of one thread at 8 kHz; medians of %d interleaved runs\n\n", RUNS);
	printf("%-30s %8s %8s %8s %8s %10s %8s %8s\n", "signal", "portion", "plain C", "SSE2", "AVX2",
		   "libspandsp", "/ SSE2", "/ AVX2");
	for (int i = 0; i < count; i++)
	{
		for (int p = 0; p < 2; p++)
			compare_speed(lines[i].name, lines[i].samples, lines[i].n, portions[p]);
		free(lines[i].samples);
	}
	printf("\nportion: samples a call.  Ratios: libspandsp over ours, both for stock x86-64; AVX2 "
		   "is what is\n"
		   "taken where the processor has it.\n");
}

int
main(int argc, char **argv)
{
	int symbols = argc > 1 ? atoi(argv[1]) : DEFAULT_SYMBOLS;
	int missed = 0;

	if (symbols < 1 || symbols > 100000)
	{
		fprintf(stderr, "usage: dtmf_compare [SYMBOLS], 1 to 100000\n");
		return 2;
	}
	signal_codec_hook = spandsp_codec;
	have_multimon = multimon_installed();
	printf("DTMF receivers: errors per symbol sent, %d symbols a condition\n\n", symbols);
	printf("%-38s %-6s %8s %9s %9s%s %7s\n", "condition", "", "allowed", "ours", "spandsp",
		   have_multimon ? "  multimon" : "", "onset");
	for (int i = 0; i < SIGNAL_CONDITIONS; i++)
		missed += !compare_condition(&signal_conditions[i], 7000 + (uint64_t) i, symbols);
	printf(
		"\nonset: 95th percentile of our error in ms.  Where nothing may be received, errors are\n"
		"false digits.\n\nFalse digits in %.0f minutes of each\n\n",
		OTHERS_SECONDS / 60);
	for (int i = 0; i < OTHERS; i++)
		missed += !compare_other(i);
	speed_table();
	printf("\n%d conditions missed\n", missed);
	return missed > 0;
}
