/*
 * digest.c
 *	  The core's only contact with libcrypto's digests, except for the streaming HMAC-SHA-1 of
 *	  twilio_signature.c.
 */
#include "digest.h"

#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

mb_status
mb_sha256(const void *data, size_t n, uint8_t digest[MB_SHA256_SIZE])
{
	if (EVP_Digest(data, n, digest, NULL, EVP_sha256(), NULL) == 1)
		return MB_OK;
	memset(digest, 0, MB_SHA256_SIZE);
	return MB_ERR_CRYPTO;
}

mb_status
mb_hmac_sha256(const void *key, size_t key_length, const void *data, size_t n,
			   uint8_t mac[MB_SHA256_SIZE])
{
	if (key_length <= INT_MAX &&
		HMAC(EVP_sha256(), key, (int) key_length, data, n, mac, NULL) != NULL)
		return MB_OK;
	memset(mac, 0, MB_SHA256_SIZE);
	return MB_ERR_CRYPTO;
}

bool
mb_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

void
mb_forget(void *secret, size_t n)
{
	OPENSSL_cleanse(secret, n);
}
