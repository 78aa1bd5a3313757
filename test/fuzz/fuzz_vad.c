/*
 * fuzz_vad.c
 *	  Voice activity over arbitrary samples and options: events alternate and lie
 *	  in order inside the signal, however it is cut.
 *
 * The first byte chooses the rate, the second seeds the cutting, six more make the
 * options; then come runs of (16-bit amplitude, 8-bit length), which reach far more
 * frames than samples would.
 *
 * Fuzz with: -max_len=600
 */
#include "fuzz.h"
#include "core/audio/vad.h"

#include <string.h>

#define MAX_EVENTS 4096
#define MAX_SAMPLES 100000

typedef struct heard
{
	int n;
	mb_vad_event events[MAX_EVENTS];
} heard;

static void
note_event(void *arg, const mb_vad_event *event)
{
	heard *h = arg;

	require(h->n < MAX_EVENTS);
	h->events[h->n++] = *event;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int rates[] = { 8000, 16000, 44100, 48000 };
	static int16_t samples[MAX_SAMPLES];
	static heard whole;
	static heard pieces;
	mb_vad_options options = mb_vad_default_options;
	mb_vad vad;
	uint32_t noise = 1;
	uint32_t cut;
	size_t n = 0;
	uint64_t last = 0;
	int rate;

	if (size < 8)
		return 0;
	rate = rates[data[0] % 4];
	cut = data[1];
	/* zero keeps the default; ranges go a little beyond what is allowed */
	if (data[2] != 0)
		options.on_db = data[2] / 6.0;
	if (data[3] != 0)
		options.off_db = data[3] / 6.0;
	if (data[4] != 0)
		options.min_dbfs = -data[4] / 2.0;
	if (data[5] != 0)
		options.start_ms = data[5] * 4;
	if (data[6] != 0)
		options.hangover_ms = data[6] * 40;
	for (size_t i = 8; i + 3 <= size; i += 3)
	{
		int amplitude = (int16_t) (data[i] | data[i + 1] << 8);
		size_t length = (size_t) data[i + 2] * (size_t) (rate / 1000) * 4 + 1;

		for (size_t k = 0; k < length && n < MAX_SAMPLES; k++)
		{
			noise = noise * 1664525u + 1013904223u;
			samples[n++] = (int16_t) ((int) (noise >> 16) % 2 ? amplitude : -(amplitude + 1));
		}
	}

	whole.n = 0;
	pieces.n = 0;
	options.on_event = note_event;
	options.arg = &whole;
	if (mb_vad_init(&vad, rate, &options) != MB_OK)
	{
		require(!(options.on_db >= 3 && options.on_db <= 40 && options.off_db >= 1 &&
				  options.off_db <= options.on_db && options.min_dbfs >= -90 &&
				  options.start_ms >= 20 && options.start_ms <= 1000 && options.hangover_ms >= 20 &&
				  options.hangover_ms <= 10000));
		return 0;
	}
	mb_vad_feed(&vad, samples, n);
	mb_vad_flush(&vad);

	options.arg = &pieces;
	require(mb_vad_init(&vad, rate, &options) == MB_OK);
	for (size_t position = 0; position < n;)
	{
		size_t piece;

		cut = cut * 1103515245u + 12345u;
		piece = (cut >> 16) % 3000;
		if (piece > n - position)
			piece = n - position;
		mb_vad_feed(&vad, samples + position, piece);
		position += piece;
		require(mb_vad_speech_ms(&vad) >= 0 && mb_vad_quiet_ms(&vad) >= 0);
		require(!mb_vad_speaking(&vad) || mb_vad_speech_ms(&vad) > 0);
	}
	mb_vad_flush(&vad);

	require(whole.n == pieces.n && whole.n % 2 == 0);
	for (int i = 0; i < whole.n; i++)
	{
		const mb_vad_event *a = &whole.events[i];
		const mb_vad_event *b = &pieces.events[i];

		require(a->kind == b->kind && a->onset == b->onset && a->end == b->end &&
				a->detected == b->detected && a->level_dbfs == b->level_dbfs);
		require(a->kind == (i % 2 == 0 ? MB_VAD_SPEECH_STARTED : MB_VAD_SPEECH_ENDED));
		require(a->onset < a->end && a->end <= a->detected && a->detected <= n);
		require(a->level_dbfs >= options.min_dbfs - 0.001 && a->level_dbfs <= 0.001);
		if (i % 2 == 0)
			require(a->onset >= last);
		else
			require(a->onset == whole.events[i - 1].onset && a->end >= whole.events[i - 1].end);
		last = a->end;
	}
	return 0;
}
