/*
 * check.h
 *	  The harness of the core's unit tests: prints TAP, so that prove runs the
 *	  binaries, and says file, line and both values where a check fails.
 *
 * A test program is one C file: functions without arguments that call check…(),
 * and a main() that names them:
 *
 *		int
 *		main(void)
 *		{
 *			check_run("silence decodes to zero", silence_is_zero);
 *			return check_done();
 *		}
 *
 * Each check_run() is one TAP line.  A failed check does not end the function,
 * so that one run shows everything that is wrong; REQUIRE() does, for what
 * later lines depend on.  A function in which nothing was checked fails: a test
 * that cannot fail proves nothing.
 *
 * The header also has the seeded generator that all test signals come from, so
 * that a failure can be repeated.  It must not know anything about the product.
 */
#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_UNUSED __attribute__((unused))

/* Diagnostics printed for one test before the rest is only counted. */
#define CHECK_MAX_DIAGNOSTICS 20

static int check_tests;			   /* TAP lines so far */
static int check_failed_tests;	   /* of them "not ok" */
static unsigned long check_checks; /* checks in the running test */
static unsigned long check_failures;
static const char *check_skip_reason;

/* Counts one check and prints the diagnostic of a failed one. */
CHECK_UNUSED __attribute__((format(printf, 4, 5))) static bool
check_report(bool ok, const char *file, int line, const char *format, ...)
{
	check_checks++;
	if (ok)
		return true;
	if (++check_failures <= CHECK_MAX_DIAGNOSTICS)
	{
		va_list args;

		printf("# %s:%d: ", file, line);
		va_start(args, format);
		vprintf(format, args);
		va_end(args);
		printf("\n");
	}
	return false;
}

CHECK_UNUSED static bool
check_int_at(const char *file, int line, const char *what, int64_t got, int64_t want)
{
	return check_report(got == want, file, line, "%s is %" PRId64 ", expected %" PRId64, what, got,
						want);
}

CHECK_UNUSED static bool
check_range_at(const char *file, int line, const char *what, double got, double low, double high)
{
	/* written so that a NaN fails */
	return check_report(got >= low && got <= high, file, line, "%s is %.9g, expected %.9g to %.9g",
						what, got, low, high);
}

CHECK_UNUSED static bool
check_string_at(const char *file, int line, const char *what, const char *got, const char *want)
{
	return check_report(got != NULL && strcmp(got, want) == 0, file, line,
						"%s is \"%s\", expected \"%s\"", what, got ? got : "(null)", want);
}

CHECK_UNUSED static bool
check_bytes_at(const char *file, int line, const char *what, const void *got, const void *want,
			   size_t n)
{
	const unsigned char *g = got;
	const unsigned char *w = want;
	size_t i;

	for (i = 0; i < n && g[i] == w[i]; i++)
		;
	if (i == n)
		return check_report(true, file, line, "%s", what);
	return check_report(false, file, line, "%s differs at byte %zu: 0x%02x, expected 0x%02x", what,
						i, g[i], w[i]);
}

/* condition holds */
#define check(condition) check_report((condition), __FILE__, __LINE__, "not true: %s", #condition)

/* integers (and enums, booleans) are equal */
#define check_int(got, want)                                                                       \
	check_int_at(__FILE__, __LINE__, #got, (int64_t) (got), (int64_t) (want))

/* low <= got <= high */
#define check_range(got, low, high) check_range_at(__FILE__, __LINE__, #got, (got), (low), (high))

/* |got - want| <= tolerance */
#define check_near(got, want, tolerance)                                                           \
	check_range_at(__FILE__, __LINE__, #got, (got), (want) - (tolerance), (want) + (tolerance))

/* NUL-terminated strings are equal */
#define check_string(got, want) check_string_at(__FILE__, __LINE__, #got, (got), (want))

/* n bytes of memory are equal */
#define check_bytes(got, want, n) check_bytes_at(__FILE__, __LINE__, #got, (got), (want), (n))

/* like check(), and leaves the test function when it fails */
#define REQUIRE(condition)                                                                         \
	do                                                                                             \
	{                                                                                              \
		if (!check(condition))                                                                     \
			return;                                                                                \
	} while (0)

/* Leaves the running test as skipped, e.g. because a peer is not installed. */
#define check_skip(reason)                                                                         \
	do                                                                                             \
	{                                                                                              \
		check_skip_reason = (reason);                                                              \
		return;                                                                                    \
	} while (0)

/* Adds a remark to the output, for figures that a reader wants to see. */
CHECK_UNUSED __attribute__((format(printf, 1, 2))) static void
check_note(const char *format, ...)
{
	va_list args;

	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* Runs one test and prints its TAP line.  The name is the sentence it proves. */
CHECK_UNUSED static void
check_run(const char *name, void (*test)(void))
{
	bool ok;

	check_checks = 0;
	check_failures = 0;
	check_skip_reason = NULL;
	test();
	check_tests++;
	if (check_failures > CHECK_MAX_DIAGNOSTICS)
		printf("# … and %lu more failures\n", check_failures - CHECK_MAX_DIAGNOSTICS);
	if (check_checks == 0 && check_skip_reason == NULL)
		printf("# nothing was checked\n");
	ok = check_failures == 0 && (check_checks > 0 || check_skip_reason != NULL);
	printf("%s %d - %s", ok ? "ok" : "not ok", check_tests, name);
	if (ok && check_skip_reason != NULL)
		printf(" # SKIP %s", check_skip_reason);
	printf("\n");
	fflush(stdout);
	if (!ok)
		check_failed_tests++;
}

/* Prints the plan; its result is main()'s. */
CHECK_UNUSED static int
check_done(void)
{
	printf("1..%d\n", check_tests);
	return check_failed_tests == 0 && check_tests > 0 ? 0 : 1;
}

/*
 * Seeded random numbers (splitmix64): the same seed gives the same signal on
 * every machine.
 */
typedef struct check_random
{
	uint64_t state;
} check_random;

CHECK_UNUSED static uint64_t
check_random_bits(check_random *random)
{
	uint64_t z = (random->state += 0x9E3779B97F4A7C15u);

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return z ^ (z >> 31);
}

/* 0 <= result < bound; bound > 0 */
CHECK_UNUSED static uint64_t
check_random_below(check_random *random, uint64_t bound)
{
	return check_random_bits(random) % bound;
}

/* 0 <= result < 1 */
CHECK_UNUSED static double
check_random_uniform(check_random *random)
{
	return (double) (check_random_bits(random) >> 11) * 0x1p-53;
}

/* normal distribution, mean 0, standard deviation 1 */
CHECK_UNUSED static double
check_random_normal(check_random *random)
{
	double u = 1.0 - check_random_uniform(random);
	double v = check_random_uniform(random);

	return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

#endif /* CHECK_H */
