/*
 * crc32c.h
 *	  CRC-32C (Castagnoli), as iSCSI (RFC 3720, section 12.1) and ext4 have it.
 */
#ifndef MB_CRC32C_H
#define MB_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of n more bytes behind those whose sum is crc; 0 to begin.  "123456789" has E3069283. */
extern uint32_t mb_crc32c(uint32_t crc, const void *bytes, size_t n);

#endif /* MB_CRC32C_H */
