/*
 * packets.h
 *	  One channel's samples, at the rate they come in, cut into packets of 20 ms at the rate and in the encoding of its track.
 *
 * Whatever was lost keeps its place: the samples behind it are where they would be without it. Packets that
 * lie in it as a whole are left out, so that their sequences are a gap; what it takes of the packets at its
 * ends is silence.
 */
#ifndef EDGE_PACKETS_H
#define EDGE_PACKETS_H

#include "audio.h"
#include "core/mb.h"

typedef struct edge_packets edge_packets;

/* Takes a packet; its first sample is at "sequence" times 20 ms. The last one may be short. */
typedef void (*edge_packets_callback)(void *arg, int64_t sequence, const uint8_t *data, size_t n);

/* NULL: these rates cannot be converted, or out of memory. */
extern edge_packets *edge_packets_new(int from_rate, int to_rate, mb_encoding encoding,
									  edge_packets_callback callback, void *arg);
extern void edge_packets_free(edge_packets *packets);

/* Takes n samples, every so manyth one beginning with the first. */
extern void edge_packets_feed(edge_packets *packets, const int16_t *samples, size_t n, int stride);
/* So many samples are missing. */
extern void edge_packets_lost(edge_packets *packets, uint64_t n);
/* Nothing more comes: what is left over is the last packet. */
extern void edge_packets_flush(edge_packets *packets);

/* Sequences so far, those that are left out among them; samples at the rate of the track. */
extern int64_t edge_packets_sequences(const edge_packets *packets);
extern uint64_t edge_packets_samples(const edge_packets *packets);

#endif /* EDGE_PACKETS_H */
