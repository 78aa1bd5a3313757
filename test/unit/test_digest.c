/*
 * test_digest.c
 *	  HMAC-SHA-256 against the test cases of RFC 4231 and libcrypto's own HMAC().
 */
#include "check.h"
#include "core/crypto/digest.h"

#include <openssl/hmac.h>

static void
check_mac(const void *key, size_t key_length, const void *data, size_t n, const char *expected)
{
	uint8_t mac[MB_SHA256_SIZE];
	char hex[2 * MB_SHA256_SIZE + 1];

	check_int(mb_hmac_sha256(key, key_length, data, n, mac), MB_OK);
	for (size_t i = 0; i < sizeof(mac); i++)
		snprintf(hex + 2 * i, 3, "%02x", mac[i]);
	check_string(hex, expected);
}

static void
the_cases_of_rfc_4231_hold(void)
{
	uint8_t key[131];
	uint8_t data[50];

	memset(key, 0x0b, 20);
	check_mac(key, 20, "Hi There", 8,
			  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	check_mac("Jefe", 4, "what do ya want for nothing?", 28,
			  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	memset(data, 0xdd, sizeof(data));
	check_mac(key, 20, data, sizeof(data),
			  "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	check_mac(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
			  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* Every length of key around a block, and of data. */
static void
libcrypto_agrees(void)
{
	uint8_t bytes[300];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t) (i * 37 + 11);
	for (size_t key_length = 0; key_length <= 140; key_length++)
	{
		for (size_t n = 0; n <= sizeof(bytes); n += 23)
		{
			uint8_t mac[MB_SHA256_SIZE];
			uint8_t expected[MB_SHA256_SIZE];

			check_int(mb_hmac_sha256(bytes, key_length, bytes, n, mac), MB_OK);
			check(HMAC(EVP_sha256(), bytes, (int) key_length, bytes, n, expected, NULL) != NULL);
			check(mb_equal(mac, expected, sizeof(mac)));
		}
	}
}

int
main(void)
{
	check_run("the test cases of RFC 4231 hold", the_cases_of_rfc_4231_hold);
	check_run("libcrypto's HMAC agrees, for every length of key", libcrypto_agrees);
	return check_done();
}
