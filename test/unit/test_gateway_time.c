/*
 * test_gateway_time.c
 *	  Times as clients write them, and what is none.
 */
#define _GNU_SOURCE
#include "check.h"
#include "../../gateway/time_text.c"

/* What is read; or what is wrong with it, in brackets. */
static const char *
read_as(const char *text)
{
	static char answer[200];
	char time_read[GW_TIME_SIZE];
	/* on the heap, so that reading beyond its end is seen */
	char *copy = strdup(text);
	const char *wrong = gw_time_read(copy, time_read);

	if (wrong == NULL)
		snprintf(answer, sizeof(answer), "%s", time_read);
	else
		snprintf(answer, sizeof(answer), "(%s)", wrong);
	free(copy);
	return answer;
}

static void
dates(void)
{
	check_string(read_as("2026-03-01"), "2026-03-01 00:00:00+00:00");
	check_string(read_as("2026-03-01T12:30"), "2026-03-01 12:30:00.000000+00:00");
	check_string(read_as("2026-03-01t12:30:15z"), "2026-03-01 12:30:15.000000+00:00");
	check_string(read_as("2026-03-01 12:30:15,25"), "2026-03-01 12:30:15.250000+00:00");
	check_string(read_as("2026-03-01_23:59:59.123456789"), "2026-03-01 23:59:59.123456+00:00");
	check_string(read_as("2024-02-29"), "2024-02-29 00:00:00+00:00");
	check_string(read_as("2000-02-29"), "2000-02-29 00:00:00+00:00");
	check_string(read_as("0001-01-01"), "0001-01-01 00:00:00+00:00");
	check_string(read_as("9999-12-31T23:59:59.999999Z"), "9999-12-31 23:59:59.999999+00:00");
}

static void
zones(void)
{
	check_string(read_as("2026-03-01T12:30+05:45"), "2026-03-01 12:30:00.000000+05:45");
	check_string(read_as("2026-03-01T12:30-0930"), "2026-03-01 12:30:00.000000-09:30");
	check_string(read_as("2026-03-01T12:30+01"), "2026-03-01 12:30:00.000000+01:00");
	check_string(read_as("2026-03-01T12:30+15:59"), "2026-03-01 12:30:00.000000+15:59");
	check_string(read_as("2026-03-01T12:30+16:00"), "(timezone offset must be less than 16 hours)");
	check_string(read_as("2026-03-01T12:30+05:60"), "(timezone offset must be less than 16 hours)");
	check_string(read_as("2026-03-01T12:30+5"), "(invalid character in timezone)");
	check_string(read_as("2026-03-01T12:30+"), "(invalid character in timezone)");
	check_string(read_as("2026-03-01T12:30+05:4"), "(invalid character in timezone)");
	check_string(read_as("2026-03-01T12:30Zx"),
				 "(unexpected extra characters at the end of the input)");
	check_string(read_as("2026-03-01T12:30 UTC"),
				 "(unexpected extra characters at the end of the input)");
}

static void
numbers(void)
{
	check_string(read_as("0"), "1970-01-01 00:00:00.000000+00");
	check_string(read_as("1772364615.25"), "2026-03-01 11:30:15.250000+00");
	check_string(read_as("1772364615.9999996"), "2026-03-01 11:30:16.000000+00");
	check_string(read_as("1772364615250"), "2026-03-01 11:30:15.250000+00");
	check_string(read_as("20000000000"), "2603-10-11 11:33:20.000000+00");
	check_string(read_as("20000000001"), "1970-08-20 11:33:20.001000+00");
	check_string(read_as("-1"), "(dates before 1970 and after 9999 are not supported as numbers)");
	check_string(read_as("253402300799000"),
				 "(dates before 1970 and after 9999 are not supported as numbers)");
	check_string(read_as("99999999999999999999999999999999999999999"),
				 "(dates before 1970 and after 9999 are not supported as numbers)");
	check_string(read_as("1.2.3"), "(invalid character in year)");
	check_string(read_as("."), "(invalid character in year)");
	check_string(read_as("-"), "(invalid character in year)");
}

static void
refused(void)
{
	check_string(read_as(""), "(input is too short)");
	check_string(read_as("now"), "(input is too short)");
	check_string(read_as("1e5"), "(input is too short)");
	check_string(read_as("2026-3-1T00"), "(invalid character in month)");
	check_string(read_as("26-03-01T00:00"), "(invalid character in year)");
	check_string(read_as("2026/03/01"), "(invalid date separator, expected `-`)");
	check_string(read_as("2026-03/01"), "(invalid date separator, expected `-`)");
	check_string(read_as("2026-00-01"), "(month value is outside expected range of 1-12)");
	check_string(read_as("2026-13-01"), "(month value is outside expected range of 1-12)");
	check_string(read_as("2026-04-31"), "(day value is outside expected range)");
	check_string(read_as("2026-02-29"), "(day value is outside expected range)");
	check_string(read_as("1900-02-29"), "(day value is outside expected range)");
	check_string(read_as("0000-01-01"), "(day value is outside expected range)");
	check_string(read_as("2026-03-01x"),
				 "(invalid datetime separator, expected `T`, `t`, `_` or space)");
	check_string(read_as("2026-03-01T"), "(invalid character in hour or minute)");
	check_string(read_as("2026-03-01T12"), "(invalid character in hour or minute)");
	check_string(read_as("2026-03-01T12:"), "(invalid character in hour or minute)");
	check_string(read_as("2026-03-01T24:00"), "(hour value is outside expected range of 0-23)");
	check_string(read_as("2026-03-01T12:60"), "(minute value is outside expected range of 0-59)");
	check_string(read_as("2026-03-01T12:30:60"),
				 "(second value is outside expected range of 0-59)");
	check_string(read_as("2026-03-01T12:30:"), "(invalid character in second)");
	check_string(read_as("2026-03-01T12:30:15."), "(invalid character in second fraction)");
}

int
main(void)
{
	check_run("dates and times of day are read, to the microsecond", dates);
	check_run("zones are kept, and without one it is UTC", zones);
	check_run("numbers are seconds, or milliseconds when they are large", numbers);
	check_run("what is no time is told by what is wrong with it", refused);
	return check_done();
}
