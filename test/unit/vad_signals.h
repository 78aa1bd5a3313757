/*
 * vad_signals.h
 *	  Made signals, and what voice activity says of them: for its tests.
 */
#ifndef VAD_SIGNALS_H
#define VAD_SIGNALS_H

#include "check.h"
#include "core/audio/level.h"
#include "core/audio/vad.h"

#define PI 3.14159265358979323846
#define MAX_EVENTS 200

typedef struct heard
{
	int n;
	mb_vad_event events[MAX_EVENTS];
} heard;

CHECK_UNUSED static void
note_event(void *arg, const mb_vad_event *event)
{
	heard *h = arg;

	if (h->n < MAX_EVENTS)
		h->events[h->n++] = *event;
}

/* A signal under construction: parts of noise or tone, one after the other. */
typedef struct signal
{
	int rate;
	size_t n;
	size_t capacity;
	int16_t *samples;
	check_random random;
} signal;

CHECK_UNUSED static void
begin(signal *s, int rate, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	s->rate = rate;
	s->random.state = seed;
}

CHECK_UNUSED static void
add_sample(signal *s, double value)
{
	if (s->n == s->capacity)
	{
		s->capacity = s->capacity * 2 + 8000;
		s->samples = realloc(s->samples, s->capacity * sizeof(int16_t));
	}
	s->samples[s->n++] = (int16_t) lrint(fmax(-32768, fmin(32767, value)));
}

/* White noise of this RMS level. */
CHECK_UNUSED static void
add_noise(signal *s, double dbfs, double ms)
{
	double rms = sqrt(mb_power_from_dbfs(dbfs));
	size_t n = (size_t) (ms * s->rate / 1000);

	for (size_t i = 0; i < n; i++)
		add_sample(s, rms * check_random_normal(&s->random));
}

/* A tone of this RMS level over noise of that one. */
CHECK_UNUSED static void
add_tone(signal *s, double dbfs, double noise_dbfs, double ms)
{
	double peak = sqrt(2 * mb_power_from_dbfs(dbfs));
	double noise = sqrt(mb_power_from_dbfs(noise_dbfs));
	size_t n = (size_t) (ms * s->rate / 1000);

	for (size_t i = 0; i < n; i++)
		add_sample(s, peak * sin(2 * PI * 400 * (double) i / s->rate) +
						  noise * check_random_normal(&s->random));
}

CHECK_UNUSED static void
add_silence(signal *s, double ms)
{
	size_t n = (size_t) (ms * s->rate / 1000);

	for (size_t i = 0; i < n; i++)
		add_sample(s, 0);
}

CHECK_UNUSED static void
drop(signal *s)
{
	free(s->samples);
	s->samples = NULL;
}

CHECK_UNUSED static void
detect(const signal *s, const mb_vad_options *options, heard *h)
{
	mb_vad vad;
	mb_vad_options all = options != NULL ? *options : mb_vad_default_options;

	h->n = 0;
	all.on_event = note_event;
	all.arg = h;
	if (mb_vad_init(&vad, s->rate, &all) != MB_OK)
		abort();
	mb_vad_feed(&vad, s->samples, s->n);
	mb_vad_flush(&vad);
}

CHECK_UNUSED static double
ms_of(uint64_t position, int rate)
{
	return (double) position * 1000 / rate;
}

#endif /* VAD_SIGNALS_H */
