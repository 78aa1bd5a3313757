/*
 * log.c
 *	  The log: one JSON object a line, on standard error.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "program/text.h"

void
gw_log(gw_level level, const char *what, const char *format, ...)
{
	static const char *const names[] = { "info", "warning", "error" };
	program_text line = { 0 };
	struct timespec now;
	struct tm utc;
	char at[32] = "";
	char detail[1000];
	ssize_t written;
	va_list list;

	clock_gettime(CLOCK_REALTIME, &now);
	if (gmtime_r(&now.tv_sec, &utc) != NULL)
		strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S", &utc);
	program_text_printf(&line, "{\"at\":\"%s.%03ldZ\",\"level\":\"%s\",\"pid\":%ld,\"what\":", at,
						now.tv_nsec / 1000000, names[level], (long) getpid());
	program_text_json(&line, what, strlen(what));
	if (format != NULL)
	{
		va_start(list, format);
		vsnprintf(detail, sizeof(detail), format, list);
		va_end(list);
		program_text_puts(&line, ",\"detail\":");
		program_text_json(&line, detail, strlen(detail));
	}
	program_text_puts(&line, "}\n");
	/* one write, so that lines of several processes do not mix; a log that is not read stops nobody */
	written = line.failed ? 0 : write(STDERR_FILENO, line.data, line.length);
	(void) written;
	program_text_free(&line);
}
