/*
 * rate.c
 *	  Sample rate conversion; see rate.h.
 */
#include "rate.h"

#include <speex/speex_resampler.h>
#include <stdlib.h>
#include <string.h>

#include "core/mb.h"
#include "core/audio/resample.h"

/* speexdsp's scale from 0 to 10; 8 stops aliases at about 100 dB. */
#define SPEEX_QUALITY 8

/* Samples fed to speexdsp at a time. */
#define SPEEX_BLOCK 4096

/* The core's resampler wants its memory aligned like this. */
#define CORE_ALIGNMENT 16

struct speech_rate
{
	int from;
	int to;
	uint64_t taken;
	uint64_t given;
	SpeexResamplerState *speex; /* or */
	mb_resampler *core;			/* in memory */
	void *memory;
};

speech_rate *
speech_rate_new(int from_rate, int to_rate)
{
	speech_rate *rate = calloc(1, sizeof(*rate));
	size_t size = mb_resampler_size(from_rate, to_rate);
	int error = 0;

	if (rate == NULL)
		return NULL;
	rate->from = from_rate;
	rate->to = to_rate;
	if (size > 0)
	{
		size = (size + CORE_ALIGNMENT - 1) / CORE_ALIGNMENT * CORE_ALIGNMENT;
		rate->memory = aligned_alloc(CORE_ALIGNMENT, size);
		if (rate->memory != NULL &&
			mb_resampler_init(&rate->core, rate->memory, size, from_rate, to_rate) == MB_OK)
			return rate;
	}
	else
	{
		rate->speex = speex_resampler_init(1, (spx_uint32_t) from_rate, (spx_uint32_t) to_rate,
										   SPEEX_QUALITY, &error);
		if (rate->speex != NULL)
		{
			speex_resampler_skip_zeros(rate->speex);
			return rate;
		}
	}
	speech_rate_free(rate);
	return NULL;
}

size_t
speech_rate_bound(const speech_rate *rate, size_t n)
{
	if (rate->core != NULL)
		return mb_resampler_output_bound(rate->core, n);
	if (n == 0)
		n = (size_t) speex_resampler_get_input_latency(rate->speex) + 1;
	return (size_t) mb_resample_length(n, rate->from, rate->to) + 2;
}

/* Feeds speexdsp, with silence when in is NULL, for at most room samples of output. */
static size_t
feed_speex(speech_rate *rate, const int16_t *in, size_t n, int16_t *out, size_t room)
{
	static const int16_t silence[SPEEX_BLOCK];
	size_t given = 0;

	while (n > 0)
	{
		spx_uint32_t taken = n > SPEEX_BLOCK ? SPEEX_BLOCK : (spx_uint32_t) n;
		spx_uint32_t made = room - given > UINT32_MAX ? UINT32_MAX : (spx_uint32_t) (room - given);

		speex_resampler_process_int(rate->speex, 0, in != NULL ? in : silence, &taken, out + given,
									&made);
		if (taken == 0)
			break; /* no room left */
		if (in != NULL)
			in += taken;
		n -= taken;
		given += made;
	}
	rate->given += given;
	return given;
}

size_t
speech_rate_feed(speech_rate *rate, const int16_t *in, size_t n, int16_t *out)
{
	if (rate->core != NULL)
		return mb_resampler_feed(rate->core, in, n, out);
	rate->taken += n;
	return feed_speex(rate, in, n, out, speech_rate_bound(rate, n));
}

size_t
speech_rate_flush(speech_rate *rate, int16_t *out)
{
	uint64_t total;
	size_t room = speech_rate_bound(rate, 0);

	if (rate->core != NULL)
		return mb_resampler_flush(rate->core, out);
	total = mb_resample_length(rate->taken, rate->from, rate->to);
	if (total <= rate->given)
		return 0;
	if (total - rate->given < room)
		room = (size_t) (total - rate->given);
	return feed_speex(rate, NULL, (size_t) speex_resampler_get_input_latency(rate->speex) + 1, out,
					  room);
}

void
speech_rate_free(speech_rate *rate)
{
	if (rate == NULL)
		return;
	if (rate->speex != NULL)
		speex_resampler_destroy(rate->speex);
	free(rate->memory);
	free(rate);
}

bool
speech_rate_convert(const int16_t *in, size_t n, int from_rate, int to_rate, int16_t **out,
					size_t *n_out)
{
	speech_rate *rate = speech_rate_new(from_rate, to_rate);
	size_t room;

	*out = NULL;
	*n_out = 0;
	if (rate == NULL)
		return false;
	room = speech_rate_bound(rate, n) + speech_rate_bound(rate, 0);
	*out = malloc((room > 0 ? room : 1) * sizeof(**out));
	if (*out != NULL)
	{
		*n_out = speech_rate_feed(rate, in, n, *out);
		*n_out += speech_rate_flush(rate, *out + *n_out);
	}
	speech_rate_free(rate);
	return *out != NULL;
}
