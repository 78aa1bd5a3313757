/*
 * bytes.h
 *	  Numbers as they stand in a record, little endian.
 */
#ifndef MB_SPOOL_BYTES_H
#define MB_SPOOL_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline void
mb_spool_put(uint8_t *at, uint64_t number, size_t n)
{
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t) (number >> 8 * i);
}

static inline uint64_t
mb_spool_get(const uint8_t *at, size_t n)
{
	uint64_t number = 0;

	for (size_t i = 0; i < n; i++)
		number |= (uint64_t) at[i] << 8 * i;
	return number;
}

/* Where the parts of a record's head stand. */
enum
{
	MB_SPOOL_AT_LENGTH = 0,
	MB_SPOOL_AT_CRC = 4,
	MB_SPOOL_AT_KIND = 8,
	MB_SPOOL_AT_CALL = 9,
	MB_SPOOL_AT_TRACK = 10,
	MB_SPOOL_AT_ZERO = 11,
	MB_SPOOL_AT_DURATION = 12,
	MB_SPOOL_AT_NUMBER = 16,
	MB_SPOOL_AT_SEQUENCE = 24,
	MB_SPOOL_AT_MONOTONIC = 32,
	MB_SPOOL_AT_WALL = 40,
	MB_SPOOL_AT_BOOT = 48
};

#define MB_SPOOL_BEGINS "MSP1"
#define MB_SPOOL_GOES_ON "MSP+"

#endif /* MB_SPOOL_BYTES_H */
