/*
 * counter.c
 *	  Packet numbers that wrap; see counter.h.
 */
#include "core/audio/counter.h"

int64_t
mb_counter_unwrap(int bits, uint32_t counter, int64_t expected)
{
	int64_t range = INT64_C(1) << bits;
	int64_t ahead = (int64_t) (((uint64_t) counter - (uint64_t) expected) & (uint64_t) (range - 1));

	return expected + (ahead < range / 2 ? ahead : ahead - range);
}
