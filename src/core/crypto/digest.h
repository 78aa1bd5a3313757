/*
 * digest.h
 *	  SHA-256, HMAC-SHA-256 (RFC 2104), comparison in constant time and erasure of secrets: the
 *	  few lines of libcrypto that the core needs in more than one place.
 *
 * No key management and no policy here; nothing is kept between calls.
 */
#ifndef MB_DIGEST_H
#define MB_DIGEST_H

#include "core/mb.h"

#define MB_SHA256_SIZE 32

/* SHA-256 of n bytes.  MB_ERR_CRYPTO when libcrypto fails; the digest is then all zero. */
extern mb_status mb_sha256(const void *data, size_t n, uint8_t digest[MB_SHA256_SIZE]);

/* HMAC-SHA-256; a key of any length, an empty one too.  Errors as mb_sha256(). */
extern mb_status mb_hmac_sha256(const void *key, size_t key_length, const void *data, size_t n,
								uint8_t mac[MB_SHA256_SIZE]);

/* True when n bytes are equal.  The time depends on n alone. */
extern bool mb_equal(const void *a, const void *b, size_t n);

/* Overwrites a secret; the compiler cannot leave it out. */
extern void mb_forget(void *secret, size_t n);

#endif /* MB_DIGEST_H */
