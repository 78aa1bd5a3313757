/*
 * hex.h
 *	  The value of a hexadecimal digit, in any case.
 */
#ifndef MB_HEX_H
#define MB_HEX_H

/* 0 to 15, or -1 for another character. */
static inline int
mb_hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

#endif /* MB_HEX_H */
