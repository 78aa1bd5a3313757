/*
 * log.h
 *	  The log: one JSON object a line, on standard error.  Tokens, texts and numbers of callers are
 *	  never given to it.
 */
#ifndef GATEWAY_LOG_H
#define GATEWAY_LOG_H

typedef enum gw_level
{
	GW_INFO,
	GW_WARNING,
	GW_ERROR
} gw_level;

/* "what" says what happened, always in the same words; the rest is the detail, NULL for none. */
extern void gw_log(gw_level level, const char *what, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* GATEWAY_LOG_H */
