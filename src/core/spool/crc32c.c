/*
 * crc32c.c
 *	  CRC-32C by a table of half bytes; see crc32c.h.
 *
 * What is summed here comes at the pace of speech, so a table of 64 bytes that stays in the
 * cache is worth more than one of 8 kB that is faster.
 */
#include "core/spool/crc32c.h"

/* Polynomial 1EDC6F41, bits reversed. */
static const uint32_t halves[16] = { 0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1,
									 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
									 0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9,
									 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75 };

uint32_t
mb_crc32c(uint32_t crc, const void *bytes, size_t n)
{
	const uint8_t *at = bytes;

	crc = ~crc;
	for (size_t i = 0; i < n; i++)
	{
		crc ^= at[i];
		crc = crc >> 4 ^ halves[crc & 15];
		crc = crc >> 4 ^ halves[crc & 15];
	}
	return ~crc;
}
