/*
 * time_text.c
 *	  Times as clients write them; see time_text.h.
 */
#include "time_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MILLISECONDS_FROM 2e10 /* pydantic's watershed */
#define LAST_SECOND 253402300799.0

/* Takes exactly n digits off a text; false when they are not there. */
static bool
digits(const char **at, int n, unsigned *value)
{
	*value = 0;
	for (; n > 0; n--, (*at)++)
	{
		if (**at < '0' || **at > '9')
			return false;
		*value = *value * 10 + (unsigned) (**at - '0');
	}
	return true;
}

static const char *
from_number(double seconds, char time[GW_TIME_SIZE])
{
	time_t whole;
	long micros;
	struct tm tm;

	if (fabs(seconds) > MILLISECONDS_FROM)
		seconds /= 1000;
	if (!(seconds >= 0 && seconds < LAST_SECOND))
		return "dates before 1970 and after 9999 are not supported as numbers";
	whole = (time_t) floor(seconds);
	micros = lround((seconds - floor(seconds)) * 1e6);
	if (micros == 1000000)
	{
		whole++;
		micros = 0;
	}
	gmtime_r(&whole, &tm);
	snprintf(time, GW_TIME_SIZE, "%04d-%02d-%02d %02d:%02d:%02d.%06ld+00", tm.tm_year + 1900,
			 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, micros);
	return NULL;
}

/* The time of day, from its hours on; nothing of it may be missing but seconds and their fraction. */
static const char *
read_clock(const char **at, char *clock, size_t size)
{
	unsigned hours;
	unsigned minutes;
	unsigned seconds = 0;
	unsigned micros = 0;
	int places = 0;

	if (!digits(at, 2, &hours) || *(*at)++ != ':' || !digits(at, 2, &minutes))
		return "invalid character in hour or minute";
	if (**at == ':')
	{
		(*at)++;
		if (!digits(at, 2, &seconds))
			return "invalid character in second";
		if (**at == '.' || **at == ',')
		{
			for ((*at)++; **at >= '0' && **at <= '9'; (*at)++)
			{
				if (places++ < 6)
					micros = micros * 10 + (unsigned) (**at - '0');
			}
			if (places == 0)
				return "invalid character in second fraction";
			for (; places < 6; places++)
				micros *= 10;
		}
	}
	if (hours > 23)
		return "hour value is outside expected range of 0-23";
	if (minutes > 59)
		return "minute value is outside expected range of 0-59";
	if (seconds > 59)
		return "second value is outside expected range of 0-59";
	snprintf(clock, size, "%02u:%02u:%02u.%06u", hours, minutes, seconds, micros);
	return NULL;
}

/* Z, or +hh:mm or +hhmm; without it UTC. */
static const char *
read_zone(const char **at, char *zone, size_t size)
{
	char sign = **at;
	unsigned hours = 0;
	unsigned minutes = 0;

	if (sign == 'Z' || sign == 'z')
		(*at)++;
	if (sign != '+' && sign != '-')
		sign = '+';
	else
	{
		(*at)++;
		if (!digits(at, 2, &hours))
			return "invalid character in timezone";
		*at += **at == ':';
		if (**at != '\0' && !digits(at, 2, &minutes))
			return "invalid character in timezone";
		/* beyond it PostgreSQL takes none */
		if (hours > 15 || minutes > 59)
			return "timezone offset must be less than 16 hours";
	}
	snprintf(zone, size, "%c%02u:%02u", sign, hours, minutes);
	return NULL;
}

const char *
gw_time_read(const char *text, char time[GW_TIME_SIZE])
{
	static const unsigned days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	const char *at = text;
	const char *wrong;
	char *end;
	char clock[20] = "00:00:00";
	char zone[10] = "+00:00";
	unsigned year;
	unsigned month;
	unsigned day;

	if (*text != '\0' && strspn(text, "-0123456789.") == strlen(text) &&
		(strchr(text + 1, '-') == NULL))
	{
		double number = strtod(text, &end);

		return *end == '\0' ? from_number(number, time) : "invalid character in year";
	}
	if (strlen(text) < 10)
		return "input is too short";
	if (!digits(&at, 4, &year))
		return "invalid character in year";
	if (*at++ != '-')
		return "invalid date separator, expected `-`";
	if (!digits(&at, 2, &month))
		return "invalid character in month";
	if (*at++ != '-')
		return "invalid date separator, expected `-`";
	if (!digits(&at, 2, &day))
		return "invalid character in day";
	if (month < 1 || month > 12)
		return "month value is outside expected range of 1-12";
	if (day < 1 || year < 1 ||
		day >
			days[month - 1] + (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)))
		return "day value is outside expected range";
	if (*at == 'T' || *at == 't' || *at == '_' || *at == ' ')
	{
		at++;
		wrong = read_clock(&at, clock, sizeof(clock));
		if (wrong == NULL)
			wrong = read_zone(&at, zone, sizeof(zone));
		if (wrong != NULL)
			return wrong;
	}
	else if (*at != '\0')
		return "invalid datetime separator, expected `T`, `t`, `_` or space";
	if (*at != '\0')
		return "unexpected extra characters at the end of the input";
	snprintf(time, GW_TIME_SIZE, "%04u-%02u-%02u %s%s", year, month, day, clock, zone);
	return NULL;
}
