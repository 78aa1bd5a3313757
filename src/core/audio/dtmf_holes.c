/*
 * dtmf_holes.c
 *	  A DTMF receiver that is told where samples were lost; see dtmf_holes.h.
 */
#include "core/audio/dtmf_holes.h"

#define SILENCE 256

/* How many samples were lost up to a sample of what was fed. */
static uint64_t
lost_before(const mb_dtmf_holes *holes, uint64_t sample)
{
	uint64_t lost = holes->forgotten;
	unsigned first = holes->n > MB_DTMF_HOLES ? holes->n - MB_DTMF_HOLES : 0;

	for (unsigned i = first; i < holes->n && holes->holes[i % MB_DTMF_HOLES].at <= sample; i++)
		lost += holes->holes[i % MB_DTMF_HOLES].lost;
	return lost;
}

static void
tell(void *arg, const mb_dtmf_event *event)
{
	mb_dtmf_holes *holes = arg;
	mb_dtmf_event told = *event;
	uint64_t last = event->onset + (event->duration > 0 ? event->duration - 1 : 0);

	told.onset += lost_before(holes, event->onset);
	told.duration += lost_before(holes, last) - lost_before(holes, event->onset);
	holes->on_digit(holes->arg, &told);
}

mb_status
mb_dtmf_holes_init(mb_dtmf_holes *holes, mb_dtmf *dtmf, int sample_rate,
				   const mb_dtmf_options *options)
{
	mb_dtmf_options ours = *options;

	*holes = (mb_dtmf_holes){ .receiver = dtmf,
							  .on_digit = options->on_digit,
							  .arg = options->arg,
							  .longest = (uint64_t) sample_rate * MB_DTMF_LONGEST_HOLE_MS / 1000 };
	if (ours.on_digit != NULL)
		ours.on_digit = tell;
	ours.arg = holes;
	return mb_dtmf_init(dtmf, sample_rate, &ours);
}

void
mb_dtmf_holes_feed(mb_dtmf_holes *holes, const int16_t *samples, size_t n)
{
	holes->fed += n;
	mb_dtmf_feed(holes->receiver, samples, n);
}

void
mb_dtmf_holes_lost(mb_dtmf_holes *holes, uint64_t n)
{
	static const int16_t silence[SILENCE];

	if (n > 0 && n <= holes->longest)
	{
		unsigned place = holes->n % MB_DTMF_HOLES;

		if (holes->n >= MB_DTMF_HOLES)
			holes->forgotten += holes->holes[place].lost;
		holes->holes[place].at = holes->fed;
		holes->holes[place].lost = n;
		holes->n++;
		return;
	}
	while (n > 0)
	{
		size_t part = n < SILENCE ? (size_t) n : SILENCE;

		mb_dtmf_holes_feed(holes, silence, part);
		n -= part;
	}
}

void
mb_dtmf_holes_flush(mb_dtmf_holes *holes)
{
	mb_dtmf_flush(holes->receiver);
	holes->fed = 0;
	holes->forgotten = 0;
	holes->n = 0;
}
