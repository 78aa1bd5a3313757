/*
 * dtmf.h
 *	  The DTMF receiver of SQL functions, whose digits become rows.
 */
#ifndef MULBERRY_DTMF_H
#define MULBERRY_DTMF_H

#include "postgres.h"

#include "funcapi.h"

#include "core/audio/dtmf.h"
#include "core/audio/dtmf_holes.h"

/* Where digits go as rows (digit, start_ms, duration_ms, level_dbm0, twist_db). */
typedef struct mulberry_digit_sink
{
	ReturnSetInfo *result;
	int sample_rate; /* Hz */
	bool long_times; /* milliseconds are bigint: a call may be longer than any value */
} mulberry_digit_sink;

/*
 * A receiver in the current memory context; a null floor is the receiver's own.  Error for a floor
 * that is out of range.
 */
extern mb_dtmf *mulberry_dtmf_receiver(int sample_rate, const NullableDatum *floor_dbm0,
									   mb_dtmf_callback on_digit, void *arg);

/* The same for who knows where samples are missing. */
extern mb_dtmf_holes *mulberry_dtmf_holes_receiver(int sample_rate, const NullableDatum *floor_dbm0,
												   mb_dtmf_callback on_digit, void *arg);

/* Callback of a receiver whose "arg" is a mulberry_digit_sink. */
extern void mulberry_put_digit(void *arg, const mb_dtmf_event *event);

#endif /* MULBERRY_DTMF_H */
