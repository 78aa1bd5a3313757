/*
 * ingest.h
 *	  What taking one packet and taking a batch of them have in common.
 */
#ifndef MULBERRY_INGEST_H
#define MULBERRY_INGEST_H

#include "postgres.h"

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

/* What the sender says about the audio of a packet, or of all packets of a batch. */
typedef struct mulberry_format
{
	bool has_encoding;
	mulberry_call_encoding encoding;
	int32 sample_rate; /* 0: not said */
} mulberry_format;

/* Reads encoding and rate as given by the caller; raises what is unknown. */
extern void
mulberry_read_format(const text *encoding, bool has_rate, int32 rate, mulberry_format *format);

/*
 * Checks that need no call; each returns false and says why in "fault".
 */
extern bool mulberry_check_call_id(const text *call_id, mulberry_fault *fault);
extern bool mulberry_check_sequence(int32 sequence, mulberry_fault *fault);
extern bool mulberry_check_size(Datum data, mulberry_fault *fault);

/*
 * A call while packets are added to it: its row (if it exists yet), and where
 * it stands.
 */
typedef struct mulberry_intake
{
	bool exists;
	TimestampTz arrived; /* now, as all decisions take it */
	mulberry_call call;	 /* encoding and rate also of a call to be created */
	mulberry_partition partition;
	bool partition_open;
	int32 next;		/* next expected sequence */
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
 * Finds a call whose lock is held, and where it stands.  The day of "arrived" has
 * a partition.
 */
extern void mulberry_begin_intake(mulberry_intake *intake, Relation calls,
								  const mulberry_tenant *tenant, const char *call_id, int length,
								  const mulberry_format *format, TimestampTz arrived);

/*
 * Decides about a packet.  An accepted one has changed the gaps and intake's
 * figures, and created the call if it was its first; the caller must store it,
 * and finish with mulberry_end_intake().
 */
extern mulberry_packet_verdict
mulberry_admit_packet(mulberry_intake *intake, Relation calls, const mulberry_format *format,
					  int32 sequence, Datum data, mulberry_fault *fault);
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

/* Hands what happened to a packet to the supervisors' feed. */
extern void mulberry_report_intake(const mulberry_intake *intake, mulberry_packet_verdict verdict,
								   int32 sequence);

#endif /* MULBERRY_INGEST_H */
