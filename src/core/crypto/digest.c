/*
 * digest.c
 *	  The core's only contact with libcrypto's digests, except for the streaming HMAC-SHA-1 of
 *	  twilio_signature.c.
 */
/*
 * HMAC() and EVP_Digest() of OpenSSL 3 look their algorithm up again each time, which takes five times as long as the
 * tag of a frame itself; so the few lines of RFC 2104 are here, over libcrypto's SHA-256.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "core/crypto/digest.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

mb_status
mb_sha256(const void *data, size_t n, uint8_t digest[MB_SHA256_SIZE])
{
	SHA256_CTX context;
	bool done = SHA256_Init(&context) == 1 && SHA256_Update(&context, data, n) == 1 &&
				SHA256_Final(digest, &context) == 1;

	mb_forget(&context, sizeof(context));
	if (done)
		return MB_OK;
	memset(digest, 0, MB_SHA256_SIZE);
	return MB_ERR_CRYPTO;
}

/* SHA-256 of a block that a key is mixed into, and of the data behind it. */
static bool
digest_keyed(const uint8_t key[SHA256_CBLOCK], uint8_t mask, const void *data, size_t n,
			 uint8_t digest[MB_SHA256_SIZE])
{
	uint64_t masks = mask * UINT64_C(0x0101010101010101);
	uint64_t block[SHA256_CBLOCK / sizeof(uint64_t)];
	SHA256_CTX context;
	bool done;

	memcpy(block, key, sizeof(block));
	for (size_t i = 0; i < SHA256_CBLOCK / sizeof(uint64_t); i++)
		block[i] ^= masks;
	done = SHA256_Init(&context) == 1 && SHA256_Update(&context, block, sizeof(block)) == 1 &&
		   SHA256_Update(&context, data, n) == 1 && SHA256_Final(digest, &context) == 1;
	mb_forget(block, sizeof(block));
	mb_forget(&context, sizeof(context));
	return done;
}

mb_status
mb_hmac_sha256(const void *key, size_t key_length, const void *data, size_t n,
			   uint8_t mac[MB_SHA256_SIZE])
{
	uint8_t padded[SHA256_CBLOCK] = { 0 };
	uint8_t inner[MB_SHA256_SIZE];
	mb_status status = MB_OK;

	if (key_length > sizeof(padded))
		status = mb_sha256(key, key_length, padded);
	else if (key_length > 0)
		memcpy(padded, key, key_length);
	if (status != MB_OK || !digest_keyed(padded, 0x36, data, n, inner) ||
		!digest_keyed(padded, 0x5c, inner, sizeof(inner), mac))
	{
		memset(mac, 0, MB_SHA256_SIZE);
		status = MB_ERR_CRYPTO;
	}
	mb_forget(padded, sizeof(padded));
	mb_forget(inner, sizeof(inner));
	return status;
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
