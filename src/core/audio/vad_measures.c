/*
 * vad_measures.c
 *	  What voice activity measures of a frame; see vad_measures.h.
 *
 * Filters are Butterworth's of the fourth order, as two biquads by the bilinear
 * transform.  The band is sampled at 4 kHz by taking the nearest sample, which a period of
 * 60 to 400 Hz does not notice.
 */
#include "core/audio/vad_measures.h"

#include <math.h>
#include <string.h>

#define HIGH_PASS_HZ 250
#define LOW_PASS_HZ 1400

#ifndef M_PI
#define M_PI 3.14159265358979323846
#endif

/* The damping of the two halves of a Butterworth filter of the fourth order, 1 / (2 Q). */
static const double damping[2] = { 0.92387953251128674, 0.38268343236508977 };

static void
design(mb_vad_filter *filter, double hz, int rate, double half_inverse_q, bool high)
{
	double w = 2 * M_PI * hz / rate;
	double alpha = sin(w) * half_inverse_q;
	double cosine = cos(w);
	double a0 = 1 + alpha;
	double edge = (high ? 1 + cosine : 1 - cosine) / 2;

	*filter = (mb_vad_filter){
		.b0 = (float) (edge / a0),
		.b1 = (float) ((high ? -2 * edge : 2 * edge) / a0),
		.b2 = (float) (edge / a0),
		.a1 = (float) (-2 * cosine / a0),
		.a2 = (float) ((1 - alpha) / a0),
	};
}

void
mb_vad_design_filters(mb_vad *vad)
{
	for (int i = 0; i < 2; i++)
	{
		design(&vad->high_pass[i], HIGH_PASS_HZ, vad->sample_rate, damping[i], true);
		design(&vad->low_pass[i], LOW_PASS_HZ, vad->sample_rate, damping[i], false);
	}
}

void
mb_vad_forget_measures(mb_vad *vad)
{
	for (int i = 0; i < 2; i++)
	{
		vad->high_pass[i].z1 = vad->high_pass[i].z2 = 0;
		vad->low_pass[i].z1 = vad->low_pass[i].z2 = 0;
	}
	vad->begun = false;
	vad->first = 0;
	vad->phase = 0;
	memset(vad->band, 0, sizeof(vad->band));
	mb_vad_begin_frame(vad);
}

void
mb_vad_begin_frame(mb_vad *vad)
{
	vad->n = 0;
	vad->power = 0;
	memset(vad->slots, 0, sizeof(vad->slots));
	vad->band_power = 0;
	vad->band_new = 0;
	vad->full_power = 0;
	vad->sum = 0;
}

static inline float
pass(mb_vad_filter *filter, float sample)
{
	float out = filter->b0 * sample + filter->z1;

	filter->z1 = filter->b1 * sample - filter->a1 * out + filter->z2;
	filter->z2 = filter->b2 * sample - filter->a2 * out;
	return out;
}

/* The first sample of a frame that is behind one of its parts. */
static inline int
end_of_slot(const mb_vad *vad, int slot)
{
	return ((slot + 1) * vad->frame_samples + MB_VAD_SLOTS - 1) / MB_VAD_SLOTS;
}

void
mb_vad_measure(mb_vad *vad, const int16_t *samples, int n)
{
	float band[MB_VAD_BAND_RATE * MB_VAD_FRAME_MS / 1000 + 2];
	int taken = 0;
	int slot = vad->n * MB_VAD_SLOTS / vad->frame_samples;
	int slot_end = end_of_slot(vad, slot);
	double power = 0;
	double full = 0;
	double sum = 0;

	if (!vad->begun && n > 0)
	{
		vad->begun = true;
		vad->first = samples[0];
	}
	for (int i = 0; i < n; i++)
	{
		float sample = (float) samples[i] - vad->first;
		float high;
		float voice;

		/* far below what counts, and above what makes slow numbers */
		sample += 1e-6f;
		high = pass(&vad->high_pass[1], pass(&vad->high_pass[0], sample));
		voice = pass(&vad->low_pass[1], pass(&vad->low_pass[0], high));
		power += (double) high * high;
		if (vad->n + i == slot_end)
			slot_end = end_of_slot(vad, ++slot);
		vad->slots[slot] += (double) high * high;
		full += (double) samples[i] * samples[i];
		sum += samples[i];
		vad->phase += MB_VAD_BAND_RATE;
		if (vad->phase >= vad->sample_rate)
		{
			vad->phase -= vad->sample_rate;
			band[taken++] = voice;
		}
	}
	if (taken > 0)
	{
		memmove(vad->band, vad->band + taken,
				(size_t) (MB_VAD_BAND_SAMPLES - taken) * sizeof(float));
		memcpy(vad->band + MB_VAD_BAND_SAMPLES - taken, band, (size_t) taken * sizeof(float));
		for (int i = 0; i < taken; i++)
			vad->band_power += (double) band[i] * band[i];
		vad->band_new += taken;
	}
	vad->n += n;
	vad->power += power;
	vad->full_power += full;
	vad->sum += sum;
}

double
mb_vad_lasting_power(const mb_vad *vad)
{
	double quietest[MB_VAD_SLOTS];
	double sum = 0;

	for (int i = 0; i < MB_VAD_SLOTS; i++)
	{
		int place = i;

		for (; place > 0 && quietest[place - 1] > vad->slots[i]; place--)
			quietest[place] = quietest[place - 1];
		quietest[place] = vad->slots[i];
	}
	for (int i = 0; i < MB_VAD_QUIETEST_SLOTS; i++)
		sum += quietest[i];
	return sum * MB_VAD_SLOTS / MB_VAD_QUIETEST_SLOTS / vad->frame_samples;
}

double
mb_vad_voicing(const mb_vad *vad)
{
	const float *now = vad->band + MB_VAD_LONGEST_PERIOD;
	float energy = 0;
	float shifted = 0;
	double best = 0;

	for (int i = 0; i < MB_VAD_BAND_WINDOW; i++)
		energy += now[i] * now[i];
	for (int i = 0; i < MB_VAD_BAND_WINDOW; i++)
		shifted += now[i - MB_VAD_SHORTEST_PERIOD] * now[i - MB_VAD_SHORTEST_PERIOD];
	if (!(energy > 0))
		return 0;
	for (int period = MB_VAD_SHORTEST_PERIOD; period <= MB_VAD_LONGEST_PERIOD; period++)
	{
		const float *then = now - period;
		float product = 0;

		for (int i = 0; i < MB_VAD_BAND_WINDOW; i++)
			product += now[i] * then[i];
		if (product > 0 && shifted > 0)
			best = fmax(best, product / sqrt((double) energy * shifted));
		/* the window one earlier */
		if (period < MB_VAD_LONGEST_PERIOD)
			shifted +=
				then[-1] * then[-1] - then[MB_VAD_BAND_WINDOW - 1] * then[MB_VAD_BAND_WINDOW - 1];
	}
	return fmin(best, 1);
}
