/*
 * log.h
 *	  Lines on standard error.  What callers said or sent is never logged.
 */
#ifndef SPEECH_LOG_H
#define SPEECH_LOG_H

#include <stdbool.h>

/* With quiet, speech_log_info() says nothing. */
extern void speech_log_set_quiet(bool quiet);

/* One line each, of any length up to 1,000 bytes. */
extern void speech_log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern void speech_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* SPEECH_LOG_H */
