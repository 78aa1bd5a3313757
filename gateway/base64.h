/*
 * base64.h
 *	  Bytes in base64.
 */
#ifndef GATEWAY_BASE64_H
#define GATEWAY_BASE64_H

#include <stddef.h>

/* Base64 as of RFC 4648 with its padding, to memory of malloc(); NULL when it is none, or without memory. */
extern unsigned char *gw_base64_decode(const char *text, size_t n, size_t *length);

/* The reverse: writes GW_BASE64_LENGTH(n) characters, and no NUL behind them. */
#define GW_BASE64_LENGTH(n) (((n) + 2) / 3 * 4)
extern void gw_base64_encode(const unsigned char *bytes, size_t n, char *text);

#endif /* GATEWAY_BASE64_H */
