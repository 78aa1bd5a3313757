/*
 * packets.h
 *	  The rows of "packets": reading where a call stands and writing packets.
 */
#ifndef MULBERRY_PACKETS_H
#define MULBERRY_PACKETS_H

#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "catalog/pg_type.h"
#include "datatype/timestamp.h"

#include "calls/partitions.h"

/* Columns of "packets", in the order of the table's definition. */
enum packets_column
{
	Anum_packets_call = 1,
	Anum_packets_sequence,
	Anum_packets_sent_at,
	Anum_packets_received_at,
	Anum_packets_data,
	Natts_packets = Anum_packets_data
};

/* A packet as it is stored. */
typedef struct mulberry_packet
{
	int64 call; /* id of its track */
	int32 sequence;
	bool has_sent_at;
	TimestampTz sent_at;
	TimestampTz received_at;
	Datum data;	   /* bytea */
	bool supposed; /* nobody has looked whether its sequence is new */
	/* when it is stored */
	ItemPointerData tid;
	bool was_there; /* there is another one with its sequence, so it has to be taken back */
} mulberry_packet;

/* Largest sequence: the one after it and the end of a range still fit an integer. */
#define MULBERRY_MAX_SEQUENCE (PG_INT32_MAX - 2)

/*
 * One more than the largest sequence of the track, 0 when it has no packets.
 * Under the call lock.
 */
extern int32 mulberry_next_sequence(const mulberry_partition *partition, int64 call);

/*
 * The same without asking the index, while the packet of the track that is known as the last one is still there: right
 * unless somebody has written another one by hand.  False when there is nothing to go by.
 */
extern bool
mulberry_supposed_next(const mulberry_partition *partition, int64 call, int32 *sequence);

/* When the packet with the largest sequence arrived; DT_NOBEGIN without packets. */
extern TimestampTz mulberry_last_arrival(const mulberry_partition *partition, int64 call);

/* When a packet arrived; DT_NOBEGIN when it is not stored. */
extern TimestampTz
mulberry_arrival(const mulberry_partition *partition, int64 call, int32 sequence);

/* Whether that packet is stored and has exactly these bytes. */
extern bool
mulberry_has_data(const mulberry_partition *partition, int64 call, int32 sequence, Datum data);

/*
 * Writes one packet, or several at once, perhaps of several tracks; the caller knows that they are new, or supposes it and
 * looks then whether they were there.
 */
extern void mulberry_store_packet(const mulberry_partition *partition, mulberry_packet *packet);
extern void
mulberry_store_packets(const mulberry_partition *partition, mulberry_packet *packets, int n);

/* Removes the row of a packet that was just stored. */
extern void
mulberry_take_back_packet(const mulberry_partition *partition, const mulberry_packet *packet);

/* The track and the sequence of a row: the first columns, never null. */
static inline int64
mulberry_packet_track(HeapTuple row)
{
	return *(const int64 *) ((const char *) row->t_data + row->t_data->t_hoff);
}

static inline int32
mulberry_packet_sequence(HeapTuple row)
{
	return *(const int32 *) ((const char *) row->t_data + row->t_data->t_hoff + sizeof(int64));
}

/*
 * Sequence and data of a row, the data as they are stored, perhaps out of line.  Read where the columns lie: a call has
 * thousands of packets, and to take a row apart in general takes ten times as long.
 */
static inline void
mulberry_read_packet(HeapTuple row, int32 *sequence, Datum *data)
{
	HeapTupleHeader header = row->t_data;
	const char *at = (const char *) header + header->t_hoff;
	bool has_sent_at = (header->t_infomask & HEAP_HASNULL) == 0 ||
					   !att_isnull(Anum_packets_sent_at - 1, header->t_bits);

	*sequence = mulberry_packet_sequence(row);
	at += DOUBLEALIGN(sizeof(int64) + sizeof(int32)) + (has_sent_at ? 2 : 1) * sizeof(TimestampTz);
	*data = PointerGetDatum((char *) att_align_pointer(at, TYPALIGN_INT, -1, at));
}

/* Removes all packets of a track that goes. */
extern void mulberry_delete_packets(const mulberry_partition *partition, int64 call);

#endif /* MULBERRY_PACKETS_H */
