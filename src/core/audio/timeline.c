/*
 * timeline.c
 *	  Audio in time; see timeline.h.
 */
#include "core/audio/timeline.h"

size_t
mb_timeline_fit(mb_time_mark *marks, size_t n, mb_time_mark *scratch)
{
	/* scratch[head .. tail - 1]: the marks of the window that may still be its smallest, which is the last */
	size_t head = n;
	size_t tail = n;
	size_t pieces = 0;

	for (size_t i = n; i-- > 0;)
	{
		while (head < tail && scratch[head].shift >= marks[i].shift)
			head++;
		scratch[--head] = marks[i];
		while (scratch[tail - 1].place - marks[i].place > MB_TIMELINE_WINDOW)
			tail--;
		marks[i].shift = scratch[tail - 1].shift;
	}
	for (size_t i = 0; i < n; i++)
		if (pieces == 0 || marks[i].shift - marks[pieces - 1].shift > MB_TIMELINE_TOLERANCE)
			marks[pieces++] = marks[i];
	return pieces;
}
