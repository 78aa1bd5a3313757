/*
 * fuzz_activity.c
 *	  Live voice activity over arbitrary sounds on both sides: flags make sense, and what is learnt of the
 *	  echo is a number.
 *
 * Runs of four bytes: amplitude of the caller (16 bits), level of ours, frames and whether there is a tone.
 *
 * Fuzz with: -max_len=600
 */
#include "fuzz.h"
#include "core/conversation/activity.h"

#include <math.h>
#include <stdlib.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	mb_activity activity;
	uint32_t noise = 1;
	int frames = 0;
	int silent = 1000;
	int run = 0;
	int since = 1000;

	if (mb_activity_init(&activity, &mb_activity_default_options) != MB_OK)
		abort();
	for (size_t i = 0; i + 4 <= size; i += 4)
	{
		int amplitude = (int16_t) (data[i] | data[i + 1] << 8);
		double played = data[i + 2] == 0 ? -INFINITY : -(double) data[i + 2] / 2;
		bool tone = (data[i + 3] & 1) != 0;

		for (int k = data[i + 3] / 2; k >= 0 && frames < 4000; k--, frames++)
		{
			int16_t samples[160];
			mb_activity_frame frame;
			int delay;
			double loss;

			for (int n = 0; n < 160; n++)
			{
				noise = noise * 1664525u + 1013904223u;
				samples[n] = (int16_t) ((noise >> 16) % 2 ? amplitude : -(amplitude + 1));
			}
			silent = played < -60 ? silent + 1 : 0;
			frame = mb_activity_feed(&activity, samples, played, tone);
			if ((frame.flags & (MB_FRAME_VOICED | MB_FRAME_ECHO)) != 0 &&
				(frame.flags & MB_FRAME_ACTIVE) == 0)
				abort();
			if ((frame.flags & MB_FRAME_ECHO) != 0 && silent > 50)
				abort();
			/* one that lasts is told, and none that was never seen */
			run = tone ? run + 1 : 0;
			since = run >= 3 ? 0 : since + 1;
			if (((frame.flags & MB_FRAME_TONE) != 0) != (since < 3))
				abort();
			if (frame.level > 0 || frame.level < -100)
				abort();
			if (mb_activity_echo(&activity, &delay, &loss) &&
				(delay < 0 || delay > 600 || !isfinite(loss)))
				abort();
		}
	}
	return 0;
}
