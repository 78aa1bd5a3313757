/*
 * seal.c
 *	  AES-256-GCM over OpenSSL's EVP interface, and fingerprints of keys.  It
 *	  draws no random numbers and keeps no key: both are the caller's.
 */
#include "core/crypto/seal.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

static const char fingerprint_domain[] = "mulberry key fingerprint v1";

mb_seal_status
mb_seal(const uint8_t key[MB_SEAL_KEY_SIZE], const uint8_t nonce[MB_SEAL_NONCE_SIZE],
		const void *additional, size_t additional_size, const void *plain, size_t size,
		void *ciphertext, uint8_t tag[MB_SEAL_TAG_SIZE])
{
	mb_seal_status status = MB_SEAL_UNAVAILABLE;
	EVP_CIPHER_CTX *context;
	int n = 0;
	int rest = 0;

	if (size > MB_SEAL_MAX_SIZE || additional_size > MB_SEAL_MAX_SIZE)
		return MB_SEAL_RANGE;
	context = EVP_CIPHER_CTX_new();
	if (context == NULL)
		return MB_SEAL_UNAVAILABLE;

	/* the nonce's default length in GCM is the 12 bytes we use */
	if (EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
		(additional_size == 0 ||
		 EVP_EncryptUpdate(context, NULL, &n, additional, (int) additional_size) == 1) &&
		(size == 0 || EVP_EncryptUpdate(context, ciphertext, &n, plain, (int) size) == 1) &&
		EVP_EncryptFinal_ex(context, tag, &rest) == 1 && rest == 0 &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, MB_SEAL_TAG_SIZE, tag) == 1)
		status = MB_SEAL_OK;

	EVP_CIPHER_CTX_free(context);
	return status;
}

mb_seal_status
mb_seal_open(const uint8_t key[MB_SEAL_KEY_SIZE], const uint8_t nonce[MB_SEAL_NONCE_SIZE],
			 const void *additional, size_t additional_size, const void *ciphertext, size_t size,
			 const uint8_t tag[MB_SEAL_TAG_SIZE], void *plain)
{
	mb_seal_status status = MB_SEAL_UNAVAILABLE;
	EVP_CIPHER_CTX *context;
	uint8_t expected[MB_SEAL_TAG_SIZE];
	uint8_t none[1];
	int n = 0;
	int rest = 0;

	if (size > MB_SEAL_MAX_SIZE || additional_size > MB_SEAL_MAX_SIZE)
		return MB_SEAL_RANGE;
	context = EVP_CIPHER_CTX_new();
	if (context == NULL)
		return MB_SEAL_UNAVAILABLE;

	memcpy(expected, tag, sizeof(expected));
	if (EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
		(additional_size == 0 ||
		 EVP_DecryptUpdate(context, NULL, &n, additional, (int) additional_size) == 1) &&
		(size == 0 || EVP_DecryptUpdate(context, plain, &n, ciphertext, (int) size) == 1) &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, MB_SEAL_TAG_SIZE, expected) == 1)
		status = EVP_DecryptFinal_ex(context, none, &rest) == 1 && rest == 0 ? MB_SEAL_OK
																			 : MB_SEAL_REFUSED;

	EVP_CIPHER_CTX_free(context);
	if (status != MB_SEAL_OK && size > 0)
		OPENSSL_cleanse(plain, size);
	return status;
}

mb_seal_status
mb_seal_fingerprint(const uint8_t key[MB_SEAL_KEY_SIZE],
					char fingerprint[MB_SEAL_FINGERPRINT_SIZE + 1])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t text[sizeof(fingerprint_domain) + MB_SEAL_KEY_SIZE];
	uint8_t digest[EVP_MAX_MD_SIZE];
	int done;

	memcpy(text, fingerprint_domain, sizeof(fingerprint_domain));
	memcpy(text + sizeof(fingerprint_domain), key, MB_SEAL_KEY_SIZE);
	done = EVP_Digest(text, sizeof(text), digest, NULL, EVP_sha256(), NULL);
	OPENSSL_cleanse(text, sizeof(text));
	if (done != 1)
		return MB_SEAL_UNAVAILABLE;
	for (int i = 0; i < MB_SEAL_FINGERPRINT_SIZE / 2; i++)
	{
		fingerprint[2 * i] = digits[digest[i] >> 4];
		fingerprint[2 * i + 1] = digits[digest[i] & 15];
	}
	fingerprint[MB_SEAL_FINGERPRINT_SIZE] = '\0';
	return MB_SEAL_OK;
}
