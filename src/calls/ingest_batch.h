/*
 * ingest_batch.h
 *	  A batch of packets as the arrays of ingest_packets() say it.
 */
#ifndef MULBERRY_INGEST_BATCH_H
#define MULBERRY_INGEST_BATCH_H

#include "postgres.h"

#include "fmgr.h"

#include "calls/ingest.h"

/* One packet of a batch, and what became of it. */
typedef struct mulberry_batch_packet
{
	int position; /* in the arrays */
	uint64 lock_key;
	text *call_id;
	text *track; /* NULL: the first */
	int64 number;
	int32 sequence; /* its place in the track, where it has one */
	Datum data;
	bool has_sent_at;
	TimestampTz sent_at;
	TimestampTz received_at; /* of the packet that is stored; DT_NOBEGIN: none, or not known */
	mulberry_packet_verdict verdict;
	mulberry_fault fault;			  /* of a faulty one */
	struct mulberry_batch_call *call; /* NULL for a faulty one that reached no call */
} mulberry_batch_packet;

/* A track of a call after the batch, for the results of its packets. */
typedef struct mulberry_batch_call
{
	int64 first_sequence; /* what the sender calls packet 0 */
	int64 total_received;
	int64 missing_count;
	Datum missing_sequences;
	const char *rejection; /* message for rejected packets */
} mulberry_batch_call;

/* The packets that are good as far as can be seen without their calls, in sorted; still in the order of the arrays. */
typedef struct mulberry_batch_input
{
	int npackets;
	mulberry_batch_packet *packets; /* in the order of the arrays */
	mulberry_batch_packet **sorted;
	int nsorted;
} mulberry_batch_input;

/* Arguments of the function, in order. */
enum mulberry_batch_argument
{
	Arg_call_ids,
	Arg_sequences,
	Arg_data,
	Arg_sent_at,
	Arg_encoding,
	Arg_sample_rate,
	Arg_tenant,
	Arg_tracks,
	Arg_counter_bits
};

/* Reads the arrays into packets and checks what can be checked without their calls. */
extern void mulberry_read_batch(FunctionCallInfo fcinfo, mulberry_batch_input *input);

#endif /* MULBERRY_INGEST_BATCH_H */
