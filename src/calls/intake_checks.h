/*
 * intake_checks.h
 *	  What a packet can be refused for.  A check returns false and says why in "fault".
 */
#ifndef MULBERRY_INTAKE_CHECKS_H
#define MULBERRY_INTAKE_CHECKS_H

#include "postgres.h"

#include "fmgr.h"

#include "calls/ingest.h"

/* Fills in a fault without detail and hint; false. */
extern bool mulberry_refuse(mulberry_fault *fault, int sqlstate, const char *message);
pg_noreturn extern void mulberry_raise_fault(const mulberry_fault *fault);

/*
 * Reads what the caller says from four arguments: encoding, sample_rate, counter_bits and
 * first_sequence (none: -1).  Raises what is unknown.
 */
extern void mulberry_read_format(FunctionCallInfo fcinfo, int encoding, int sample_rate,
								 int counter_bits, int first_sequence, mulberry_format *format);

/*
 * Checks that need no call; each returns false and says why in "fault".
 */
extern bool mulberry_check_call_id(const text *call_id, mulberry_fault *fault);
extern bool mulberry_check_track_name(const text *track, mulberry_fault *fault);
extern bool mulberry_check_sequence(int64 sequence, mulberry_fault *fault);
extern bool mulberry_check_size(Datum data, mulberry_fault *fault);
extern bool mulberry_check_sent_at(TimestampTz sent_at, mulberry_fault *fault);

/* "call "x"", or "track "y" of call "x"" when its tracks have names. */
extern char *mulberry_describe_track(const mulberry_call *call, const mulberry_track *track);

/* What the sender says about the track is what it already is. */
extern bool mulberry_check_format(const mulberry_call *call, const mulberry_track *track,
								  const mulberry_format *format, mulberry_fault *fault);

/* The bytes can be what the encoding says; the first ones of a track are no file of another kind. */
extern bool
mulberry_check_content(const mulberry_intake *intake, Datum data, mulberry_fault *fault);

/* The call can have the track that its packet would begin. */
extern bool mulberry_check_new_track(const mulberry_intake *intake, mulberry_fault *fault);

/*
 * Where a packet with the sender's number belongs: how many after the first.  Counters are unwrapped
 * to the number that is nearest to the expected one.
 */
extern bool mulberry_place_packet(const mulberry_intake *intake, int64 number, int32 *sequence,
								  mulberry_fault *fault);

/*
 * Whether a duplicate is what it says.  A counter that began anew in mid-call looks like
 * duplicates of what it counted before, so for a track with counter_bits the bytes are compared
 * with those stored; false, and why in "fault", when they are others.  All accepted packets are stored.
 */
extern bool mulberry_check_duplicate(const mulberry_intake *intake, int32 sequence, Datum data,
									 mulberry_fault *fault);

#endif /* MULBERRY_INTAKE_CHECKS_H */
