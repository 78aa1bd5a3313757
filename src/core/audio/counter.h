/*
 * counter.h
 *	  Packet numbers that wrap, made into numbers that do not (RFC 3550, extended sequence
 *	  numbers).
 */
#ifndef MB_COUNTER_H
#define MB_COUNTER_H

#include "core/mb.h"

/*
 * The number nearest to "expected" that a counter of 16 or 32 bits shows as "counter": less than
 * half its range ahead, or at most half of it behind, where it may be negative.  expected is at least 0.
 */
extern int64_t mb_counter_unwrap(int bits, uint32_t counter, int64_t expected);

#endif /* MB_COUNTER_H */
