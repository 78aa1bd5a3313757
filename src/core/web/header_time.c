/*
 * header_time.c
 *	  Times and durations as services write them; see header_time.h.
 */
#include "core/web/header_time.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LONGEST_VALUE 63		/* characters of a header */
#define SINCE_1970 1e9			/* a number from here on is a point in time, in s */
#define MILLISECONDS_SINCE 1e12 /* and from here on in ms */
#define LONGEST_DELAY 1e9

/* Days from 1970-01-01 to a date of the Gregorian calendar. */
static int64_t
days_since_1970(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = y / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* The month of an English abbreviation, from 1; 0 when it is none. */
static int
month_number(const char *name)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++)
	{
		if (memcmp(names + 3 * i, name, 3) == 0)
			return i + 1;
	}
	return 0;
}

static bool
in_range(int value, int least, int most)
{
	return value >= least && value <= most;
}

bool
mb_mail_date(const char *text, int64_t *seconds)
{
	const char *comma = strchr(text, ',');
	const char *start = comma ? comma + 1 : text;
	char month[4];
	char sign[2];
	int day;
	int year;
	int hour;
	int minute;
	int second;
	int zone = 0;
	int used = 0;
	int number;

	if (sscanf(start, " %2d %3[A-Za-z] %4d %2d:%2d:%2d %n", &day, month, &year, &hour, &minute,
			   &second, &used) != 6 ||
		used == 0 || strlen(month) != 3)
		return false;
	number = month_number(month);
	start += used;
	if (sscanf(start, "%1[+-]%4d%n", sign, &zone, &used) == 2 && used == 5)
	{
		if (!in_range(zone % 100, 0, 59))
			return false;
		zone = (zone / 100 * 60 + zone % 100) * (sign[0] == '-' ? -60 : 60);
	}
	else if (strcmp(start, "GMT") != 0 && strcmp(start, "UT") != 0 && strcmp(start, "UTC") != 0)
		return false;
	if (number == 0 || !in_range(day, 1, 31) || !in_range(year, 1970, 9999) ||
		!in_range(hour, 0, 23) || !in_range(minute, 0, 59) || !in_range(second, 0, 60))
		return false;
	*seconds =
		((days_since_1970(year, number, day) * 24 + hour) * 60 + minute) * 60 + second - zone;
	return true;
}

/* A decimal number without sign; its end is *after.  Negative when there is none. */
static double
decimal(const char *at, const char **after)
{
	double number = 0;
	double place = 1;
	const char *start = at;

	while (isdigit((unsigned char) *at))
		number = number * 10 + (*at++ - '0');
	if (*at == '.')
	{
		at++;
		while (isdigit((unsigned char) *at))
			number += (*at++ - '0') * (place /= 10);
	}
	*after = at;
	return at == start ? -1 : number;
}

/* Seconds in the unit at "at", whose length is *length; 0: it is none. */
static double
unit(const char *at, int *length)
{
	*length = 1;
	if (at[0] == 'm' && at[1] == 's')
	{
		*length = 2;
		return 0.001;
	}
	return at[0] == 's' ? 1 : at[0] == 'm' ? 60 : at[0] == 'h' ? 3600 : at[0] == 'd' ? 86400 : 0;
}

int64_t
mb_reset_delay(const char *value, size_t n, int64_t now)
{
	char copy[LONGEST_VALUE + 1];
	const char *at = copy;
	double delay = 0;

	if (n > LONGEST_VALUE)
		return 0;
	memcpy(copy, value, n);
	copy[n] = '\0';
	while (n > 0 && strchr(" \t\r\n", copy[n - 1]))
		copy[--n] = '\0';
	while (*at == ' ' || *at == '\t')
		at++;
	if (*at == '\0')
		return 0;
	while (*at)
	{
		int length;
		double number = decimal(at, &at);
		double seconds = unit(at, &length);

		if (number < 0 || (seconds == 0 && *at) || (seconds == 0 && delay > 0))
			return 0;
		if (seconds > 0)
			at += length;
		else if (number >= MILLISECONDS_SINCE)
			number = number / 1000 - (double) now;
		else if (number >= SINCE_1970)
			number -= (double) now;
		delay += number * (seconds > 0 ? seconds : 1);
	}
	return delay <= 0 || delay > LONGEST_DELAY ? 0 : (int64_t) ceil(delay - 1e-6);
}
