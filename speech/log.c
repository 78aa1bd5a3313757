/*
 * log.c
 *	  Lines on standard error; see log.h.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_LINE 1024

static bool log_quiet;

void
speech_log_set_quiet(bool quiet)
{
	log_quiet = quiet;
}

/* Writes a line at once, so that lines of several processes do not mix. */
static void
write_line(const char *level, const char *format, va_list args)
{
	char line[MAX_LINE];
	int prefix = snprintf(line, sizeof(line), "mulberry-speech: %s", level);
	int n = vsnprintf(line + prefix, sizeof(line) - (size_t) prefix - 1, format, args);
	size_t length;

	if (n < 0)
		return;
	length = (size_t) prefix + (size_t) n;
	if (length > sizeof(line) - 2)
		length = sizeof(line) - 2;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char) line[i] < 0x20)
			line[i] = ' ';
	line[length] = '\n';
	if (write(STDERR_FILENO, line, length + 1) < 0)
		return; /* nowhere to complain */
}

void
speech_log_info(const char *format, ...)
{
	va_list args;

	if (log_quiet)
		return;
	va_start(args, format);
	write_line("", format, args);
	va_end(args);
}

void
speech_log_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_line("error: ", format, args);
	va_end(args);
}
