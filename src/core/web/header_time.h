/*
 * header_time.h
 *	  Times and durations as services write them: RFC 2822 dates, and the headers in which a service
 *	  says when its quota begins anew.
 *
 * No locale and no time zone of the process matters.
 */
#ifndef MB_HEADER_TIME_H
#define MB_HEADER_TIME_H

#include "core/mb.h"

/*
 * Seconds since 1970 of a date such as "Tue, 31 Aug 2010 20:36:28 +0000" (the name of the day may be
 * missing, the zone may be GMT, UT or UTC).  False when it is none.
 */
extern bool mb_mail_date(const char *text, int64_t *seconds);

/*
 * Seconds, rounded up, until the time that a header such as x-ratelimit-reset-requests names:
 * "1s", "6m0s", "1h2m", "120ms", a number of seconds, or seconds or milliseconds since 1970, which
 * are compared with "now".  0 when it says nothing, or a time that is over.
 */
extern int64_t mb_reset_delay(const char *value, size_t n, int64_t now);

#endif /* MB_HEADER_TIME_H */
