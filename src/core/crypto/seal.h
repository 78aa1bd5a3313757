/*
 * seal.h
 *	  Authenticated encryption of small secrets at rest: AES-256-GCM (NIST SP
 *	  800-38D) with a 96-bit nonce and a 128-bit tag.
 *
 * The caller gives the nonce, which must be random and new for each seal with
 * the same key, and the additional data, which bind the ciphertext to its place:
 * a sealed value moved to another row does not open.
 */
#ifndef MB_SEAL_H
#define MB_SEAL_H

#include <stddef.h>
#include <stdint.h>

#define MB_SEAL_KEY_SIZE 32
#define MB_SEAL_NONCE_SIZE 12
#define MB_SEAL_TAG_SIZE 16

/* Hexadecimal digits of a fingerprint, without the NUL. */
#define MB_SEAL_FINGERPRINT_SIZE 32

/* Longest text and longest additional data, in bytes. */
#define MB_SEAL_MAX_SIZE (1024 * 1024 * 1024)

typedef enum mb_seal_status
{
	MB_SEAL_OK = 0,
	MB_SEAL_REFUSED,	/* wrong key, other additional data, or altered bytes */
	MB_SEAL_RANGE,		/* longer than MB_SEAL_MAX_SIZE */
	MB_SEAL_UNAVAILABLE /* the cryptographic library failed */
} mb_seal_status;

/*
 * Encrypts "size" bytes into "ciphertext", which has room for as many, and
 * writes the tag.  plain and ciphertext may be the same buffer.
 */
extern mb_seal_status
mb_seal(const uint8_t key[MB_SEAL_KEY_SIZE], const uint8_t nonce[MB_SEAL_NONCE_SIZE],
		const void *additional, size_t additional_size, const void *plain, size_t size,
		void *ciphertext, uint8_t tag[MB_SEAL_TAG_SIZE]);

/*
 * Decrypts into "plain", which has room for "size" bytes.  Unless the result is
 * MB_SEAL_OK, plain is overwritten with zeros.
 */
extern mb_seal_status
mb_seal_open(const uint8_t key[MB_SEAL_KEY_SIZE], const uint8_t nonce[MB_SEAL_NONCE_SIZE],
			 const void *additional, size_t additional_size, const void *ciphertext, size_t size,
			 const uint8_t tag[MB_SEAL_TAG_SIZE], void *plain);

/*
 * Names a key without giving it away: the first 128 bits of the SHA-256 of a
 * domain string and the key, in lower case hexadecimal digits with a NUL.
 */
extern mb_seal_status mb_seal_fingerprint(const uint8_t key[MB_SEAL_KEY_SIZE],
										  char fingerprint[MB_SEAL_FINGERPRINT_SIZE + 1]);

#endif /* MB_SEAL_H */
