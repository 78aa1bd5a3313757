/*
 * packets.c
 *	  Samples cut into packets; see packets.h.
 */
#include "packets.h"

#include <stdlib.h>
#include <string.h>

#include "core/audio/g711.h"
#include "core/audio/resample.h"

#define MAX_PACKET (48000 / 1000 * EDGE_BLOCK_MS) /* samples at the highest rate of a track */

struct edge_packets
{
	int from_rate;
	int to_rate;
	mb_encoding encoding;
	edge_packets_callback callback;
	void *arg;
	size_t packet; /* samples of a whole one */
	int64_t sequence;
	size_t n; /* samples of the packet that is being filled */
	int16_t filling[MAX_PACKET];
	uint64_t come;			 /* samples that came or were lost, at from_rate */
	mb_resampler *resampler; /* NULL: the rates are the same */
	void *memory;
	int16_t *converted;
	int16_t own[EDGE_MAX_BLOCK];
};

edge_packets *
edge_packets_new(int from_rate, int to_rate, mb_encoding encoding, edge_packets_callback callback,
				 void *arg)
{
	edge_packets *p = calloc(1, sizeof(*p));
	size_t size = from_rate == to_rate ? 0 : mb_resampler_size(from_rate, to_rate);
	size_t bound;

	if (p == NULL || !mb_rate_supported(to_rate) || (size == 0 && from_rate != to_rate))
	{
		free(p);
		return NULL;
	}
	p->from_rate = from_rate;
	p->to_rate = to_rate;
	p->encoding = encoding;
	p->callback = callback;
	p->arg = arg;
	p->packet = (size_t) to_rate * EDGE_BLOCK_MS / 1000;
	if (size == 0)
		return p;
	if (posix_memalign(&p->memory, 16, size) == 0 &&
		mb_resampler_init(&p->resampler, p->memory, size, from_rate, to_rate) == MB_OK)
	{
		bound = mb_resampler_output_bound(p->resampler, EDGE_MAX_BLOCK) +
				mb_resampler_output_bound(p->resampler, 0);
		p->converted = malloc(bound * sizeof(int16_t));
	}
	if (p->converted != NULL)
		return p;
	edge_packets_free(p);
	return NULL;
}

void
edge_packets_free(edge_packets *p)
{
	if (p == NULL)
		return;
	free(p->converted);
	free(p->memory);
	free(p);
}

static void
give(edge_packets *p)
{
	uint8_t data[MAX_PACKET * 2];

	mb_audio_encode(p->encoding, p->filling, p->n, data);
	p->callback(p->arg, p->sequence++, data, p->n * mb_encoding_sample_size(p->encoding));
	p->n = 0;
}

static void
add(edge_packets *p, const int16_t *samples, size_t n)
{
	while (n > 0)
	{
		size_t part = p->packet - p->n < n ? p->packet - p->n : n;

		memcpy(p->filling + p->n, samples, part * sizeof(int16_t));
		p->n += part;
		samples += part;
		n -= part;
		if (p->n == p->packet)
			give(p);
	}
}

/* Adds n samples that nobody has. */
static void
leave_out(edge_packets *p, uint64_t n)
{
	static const int16_t silence[MAX_PACKET];

	if (p->n > 0 && n >= p->packet - p->n)
	{
		n -= p->packet - p->n;
		add(p, silence, p->packet - p->n);
	}
	if (p->n == 0)
	{
		p->sequence += (int64_t) (n / p->packet);
		n %= p->packet;
	}
	add(p, silence, (size_t) n);
}

void
edge_packets_feed(edge_packets *p, const int16_t *samples, size_t n, int stride)
{
	while (n > 0)
	{
		size_t part = n < EDGE_MAX_BLOCK ? n : EDGE_MAX_BLOCK;

		for (size_t i = 0; i < part; i++)
			p->own[i] = samples[i * (size_t) stride];
		p->come += part;
		if (p->resampler == NULL)
			add(p, p->own, part);
		else
			add(p, p->converted, mb_resampler_feed(p->resampler, p->own, part, p->converted));
		samples += part * (size_t) stride;
		n -= part;
	}
}

uint64_t
edge_packets_samples(const edge_packets *p)
{
	return (uint64_t) p->sequence * p->packet + p->n;
}

void
edge_packets_lost(edge_packets *p, uint64_t n)
{
	uint64_t due;
	uint64_t there;

	p->come += n;
	if (p->resampler != NULL)
		add(p, p->converted, mb_resampler_flush(p->resampler, p->converted));
	due = mb_resample_length(p->come, p->from_rate, p->to_rate);
	there = edge_packets_samples(p);
	if (due > there)
		leave_out(p, due - there);
}

void
edge_packets_flush(edge_packets *p)
{
	if (p->resampler != NULL)
		add(p, p->converted, mb_resampler_flush(p->resampler, p->converted));
	if (p->n > 0)
		give(p);
}

int64_t
edge_packets_sequences(const edge_packets *p)
{
	return p->sequence;
}
