/*
 * ingest.h
 *	  What taking one packet and taking a batch of them have in common.
 */
#ifndef MULBERRY_INGEST_H
#define MULBERRY_INGEST_H

#include "postgres.h"

#include "fmgr.h"

#include "calls/calls.h"
#include "events/events.h"
#include "calls/packets.h"

/* Why a packet is refused, before anything is written. */
typedef struct mulberry_fault
{
	int sqlstate; /* as of errcode() */
	const char *message;
	const char *detail; /* may be NULL */
	const char *hint;	/* may be NULL */
} mulberry_fault;

/* What the sender says about the track of a packet, or of all packets of a batch. */
typedef struct mulberry_format
{
	bool has_encoding;
	mulberry_call_encoding encoding;
	int32 sample_rate;	  /* 0: not said */
	int counter_bits;	  /* 0: not said */
	int64 first_sequence; /* MULBERRY_NO_FIRST: not said */
} mulberry_format;

/*
 * A track of a call while packets are added to it: the rows (if they exist yet), and where
 * it stands.  Points into itself, so it cannot be copied.
 */
typedef struct mulberry_intake
{
	bool exists;		 /* the call does */
	bool track_exists;	 /* then its track does too, or is to be created like the call */
	TimestampTz arrived; /* now, as all decisions take it */
	mulberry_call call;
	mulberry_track
		*track; /* the call's first, or other_track; as it will be if it is to be created */
	mulberry_track other_track;
	mulberry_open_partitions *partitions;
	mulberry_partition *partition; /* of the call that exists */
	int32 next;					   /* next expected sequence */
	bool supposed;	/* it is, unless somebody has written a packet by hand and left no gap */
	bool was_whole; /* nothing announced was missing when it began */
	int64 missing;	/* sequences in gaps */
} mulberry_intake;

/* What becomes of a packet. */
typedef enum mulberry_packet_verdict
{
	MULBERRY_ACCEPTED,
	MULBERRY_DUPLICATE,
	MULBERRY_REJECTED, /* the call no longer takes packets */
	MULBERRY_FAULTY
} mulberry_packet_verdict;

/*
 * Finds a call whose lock is held and its track ("track" NULL: the first), and where that
 * stands.  The day of "arrived" has a partition, and the partitions that it needs stay open behind it.  Who may "suppose"
 * where that is has to store what is admitted as supposed, before he admits a packet that is not the next one.
 */
extern void
mulberry_begin_intake(mulberry_intake *intake, Relation calls, mulberry_open_partitions *partitions,
					  const mulberry_tenant *tenant, const text *call_id, const text *track,
					  const mulberry_format *format, TimestampTz arrived, bool suppose);

/* Where the track stands, by the index; nothing is supposed any more. */
extern void mulberry_look_for_end(mulberry_intake *intake);

/*
 * Decides about a packet with the sender's "number"; "sequence" is where it belongs in the track.
 * An accepted one has changed the gaps and intake's figures, and created call and track if it was
 * their first; the caller must store it, and finish with mulberry_end_intake().
 */
extern mulberry_packet_verdict
mulberry_admit_packet(mulberry_intake *intake, Relation calls, const mulberry_format *format,
					  int64 number, Datum data, int32 *sequence, mulberry_fault *fault);
extern void mulberry_end_intake(mulberry_intake *intake, Relation calls);

static inline int64
mulberry_total_received(const mulberry_intake *intake)
{
	return (int64) intake->next - intake->missing;
}

/* The words for a verdict: "accepted" …, and a sentence. */
extern const char *mulberry_packet_verdict_status(mulberry_packet_verdict verdict);
extern const char *
mulberry_packet_verdict_message(mulberry_packet_verdict verdict, const mulberry_call *call);

/* Hands what happened to a packet to the supervisors' feed, and counts it. */
extern void mulberry_report_intake(const mulberry_intake *intake, mulberry_packet_verdict verdict,
								   int32 sequence, Datum data);

/* From _PG_init. */
extern void mulberry_ingest_init(void);

#endif /* MULBERRY_INGEST_H */
