/*
 * time_text.h
 *	  Times as clients write them: ISO 8601, or seconds since 1970.
 */
#ifndef GATEWAY_TIME_TEXT_H
#define GATEWAY_TIME_TEXT_H

#define GW_TIME_SIZE 48

/*
 * Writes a time as PostgreSQL takes it in any setting, with its zone: without one it is in UTC.  A number is
 * taken as pydantic takes it: seconds, or milliseconds when they would lie beyond the year 2603.  Returns NULL, or
 * what is wrong with it.
 */
extern const char *gw_time_read(const char *text, char time[GW_TIME_SIZE]);

#endif /* GATEWAY_TIME_TEXT_H */
