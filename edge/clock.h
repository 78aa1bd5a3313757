/*
 * clock.h
 *	  Whether the machine knows what time it is, and which of its starts this is.
 *
 * A Raspberry Pi has no clock of its own: until a network tells it the time, it begins where it was switched off, or in
 * 1970, and then jumps. What is recorded has edge_clock(), which does not jump, and the time only where that is known.
 */
#ifndef EDGE_CLOCK_H
#define EDGE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define EDGE_BOOT_ID 16

/* Microseconds since 1970, as the clock of the machine is now; for an edge_clock(), what it would have been then. */
extern int64_t edge_wall(void);
extern int64_t edge_wall_of(int64_t time);

/*
 * Whether that is the time: the clock is synchronised, or at least not before the latest time that was ever known, nor before
 * this program was made. INT64_MIN: none was.
 */
extern bool edge_wall_is_known(int64_t latest_us);

/* Which start of the machine this is; all zero where nobody knows. */
extern void edge_boot_id(uint8_t id[static EDGE_BOOT_ID]);

#endif /* EDGE_CLOCK_H */
