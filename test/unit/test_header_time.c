/*
 * test_header_time.c
 *	  Dates as Twilio writes them, and headers that say when a quota begins anew.
 */
#include "core/web/header_time.h"

#include <string.h>

#include "check.h"

static void
check_date(const char *text, int64_t expected)
{
	int64_t seconds = -1;

	check(mb_mail_date(text, &seconds));
	check_int(seconds, expected);
}

static void
dates(void)
{
	static const char *const none[] = {
		"",
		"yesterday",
		"Tue, 31 Aug 2010",
		"Tue, 31 Aug 2010 20:36:28",
		"Tue, 31 Auk 2010 20:36:28 +0000",
		"Tue, 31 Aug 2010 24:36:28 +0000",
		"Tue, 31 Aug 2010 20:60:28 +0000",
		"Tue, 0 Aug 2010 20:36:28 +0000",
		"Tue, 31 Aug 1969 20:36:28 +0000",
		"Tue, 31 Aug 2010 20:36:28 +000",
		"Tue, 31 Aug 2010 20:36:28 +0099",
		"Tue, 31 Aug 2010 20:36:28 PST",
		"2010-08-31T20:36:28Z",
		NULL,
	};
	int64_t seconds;

	check_date("Tue, 31 Aug 2010 20:36:28 +0000", 1283286988);
	check_date("31 Aug 2010 20:36:28 GMT", 1283286988);
	check_date("Tue, 31 Aug 2010 13:36:28 -0700", 1283286988);
	check_date("Wed, 1 Sep 2010 02:06:28 +0530", 1283286988);
	check_date("Thu, 01 Jan 1970 00:00:00 UTC", 0);
	check_date("Tue, 29 Feb 2000 12:00:00 +0000", 951825600);
	check_date("Fri, 31 Dec 9999 23:59:60 +0000", 253402300800);
	for (int i = 0; none[i]; i++)
		check(!mb_mail_date(none[i], &seconds));
}

static void
check_delay(const char *value, int64_t expected)
{
	check_int(mb_reset_delay(value, strlen(value), 1700000000), expected);
}

static void
delays(void)
{
	check_delay("1s", 1);
	check_delay("6m0s", 360);
	check_delay("1h2m3s", 3723);
	check_delay("1m12.5s", 73);
	check_delay("120ms", 1);
	check_delay("1.0s", 1);
	check_delay(" 20 \r\n", 20);
	check_delay("0.25", 1);
	check_delay("1700000030", 30);
	check_delay("1700000030.5", 31);
	check_delay("1700000030000", 30);
	check_delay("1600000000", 0);
	check_delay("0", 0);
	check_delay("", 0);
	check_delay("soon", 0);
	check_delay("-5", 0);
	check_delay("5x", 0);
	check_delay("5s5", 0);
	check_delay("99999999999999999999", 0);
	check_delay("1111111111111111111111111111111111111111111111111111111111111111s", 0);
	check_delay("2030-01-01T00:00:00Z", 0);
}

int
main(void)
{
	check_run("dates of RFC 2822", dates);
	check_run("headers of limits", delays);
	return check_done();
}
