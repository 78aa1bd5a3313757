/*
 * test_seal.c
 *	  Proves the sealing of secrets: the published vectors of AES-256-GCM, the
 *	  round trip at every small size, and that whatever is altered is refused.
 */
#include "check.h"
#include "core/crypto/seal.h"

static size_t
from_hex(const char *hex, uint8_t *bytes)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++)
	{
		unsigned value;

		if (sscanf(hex + 2 * i, "%2x", &value) != 1)
			return 0;
		bytes[i] = (uint8_t) value;
	}
	return n;
}

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 to 16. */
static void
published_vectors(void)
{
	static const struct
	{
		const char *key, *nonce, *additional, *plain, *ciphertext, *tag;
	} vectors[] = {
		{ "0000000000000000000000000000000000000000000000000000000000000000",
		  "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b" },
		{ "0000000000000000000000000000000000000000000000000000000000000000",
		  "000000000000000000000000", "", "00000000000000000000000000000000",
		  "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919" },
		{ "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
		  "cafebabefacedbaddecaf888", "",
		  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
		  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
		  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
		  "b094dac5d93471bdec1a502270e3cc6c" },
		{ "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
		  "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
		  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
		  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
		  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
		  "76fc6ece0f4e1768cddf8853bb2d551b" },
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
	{
		uint8_t key[32], nonce[12], additional[64], plain[64], ciphertext[64], tag[16];
		uint8_t got[64], got_tag[16], opened[64];
		size_t additional_size, size;

		REQUIRE(from_hex(vectors[i].key, key) == 32);
		REQUIRE(from_hex(vectors[i].nonce, nonce) == 12);
		REQUIRE(from_hex(vectors[i].tag, tag) == 16);
		additional_size = from_hex(vectors[i].additional, additional);
		size = from_hex(vectors[i].plain, plain);
		from_hex(vectors[i].ciphertext, ciphertext);

		check_int(mb_seal(key, nonce, additional, additional_size, plain, size, got, got_tag),
				  MB_SEAL_OK);
		check_bytes(got, ciphertext, size);
		check_bytes(got_tag, tag, 16);
		check_int(
			mb_seal_open(key, nonce, additional, additional_size, ciphertext, size, tag, opened),
			MB_SEAL_OK);
		check_bytes(opened, plain, size);
	}
}

static void
round_trip(void)
{
	check_random random = { 1 };
	uint8_t key[32], nonce[12], tag[16], plain[300], sealed[300], opened[300];

	for (size_t size = 0; size <= sizeof(plain); size++)
	{
		for (size_t i = 0; i < 32; i++)
			key[i] = (uint8_t) check_random_bits(&random);
		for (size_t i = 0; i < 12; i++)
			nonce[i] = (uint8_t) check_random_bits(&random);
		for (size_t i = 0; i < size; i++)
			plain[i] = (uint8_t) check_random_bits(&random);

		check_int(mb_seal(key, nonce, "row 1", 5, plain, size, sealed, tag), MB_SEAL_OK);
		check_int(mb_seal_open(key, nonce, "row 1", 5, sealed, size, tag, opened), MB_SEAL_OK);
		check_bytes(opened, plain, size);

		/* in place */
		memcpy(opened, plain, size);
		check_int(mb_seal(key, nonce, "row 1", 5, opened, size, opened, tag), MB_SEAL_OK);
		check_bytes(opened, sealed, size);
	}
}

/* Each bit of everything that goes into the opening matters. */
static void
alterations(void)
{
	uint8_t key[32] = { 1 }, nonce[12] = { 2 }, tag[16], sealed[24], opened[24];
	uint8_t additional[9] = "tenant x";
	struct
	{
		uint8_t *bytes;
		size_t size;
	} parts[] = { { key, 32 }, { nonce, 12 }, { tag, 16 }, { sealed, 24 }, { additional, 9 } };

	REQUIRE(mb_seal(key, nonce, additional, 9, "twenty-four bytes secret", 24, sealed, tag) ==
			MB_SEAL_OK);
	for (size_t part = 0; part < sizeof(parts) / sizeof(parts[0]); part++)
		for (size_t bit = 0; bit < parts[part].size * 8; bit++)
		{
			static const uint8_t zeros[24];

			parts[part].bytes[bit / 8] ^= (uint8_t) (1 << (bit % 8));
			memset(opened, 0xAA, sizeof(opened));
			check_int(mb_seal_open(key, nonce, additional, 9, sealed, 24, tag, opened),
					  MB_SEAL_REFUSED);
			check_bytes(opened, zeros, 24);
			parts[part].bytes[bit / 8] ^= (uint8_t) (1 << (bit % 8));
		}
	check_int(mb_seal_open(key, nonce, additional, 8, sealed, 24, tag, opened), MB_SEAL_REFUSED);
	check_int(mb_seal_open(key, nonce, additional, 9, sealed, 23, tag, opened), MB_SEAL_REFUSED);
	check_int(mb_seal_open(key, nonce, additional, 9, sealed, 24, tag, opened), MB_SEAL_OK);
	check_bytes(opened, "twenty-four bytes secret", 24);
}

static void
limits(void)
{
	uint8_t key[32] = { 0 }, nonce[12] = { 0 }, tag[16], byte = 0;
	size_t huge = (size_t) MB_SEAL_MAX_SIZE + 1;

	check_int(mb_seal(key, nonce, NULL, 0, &byte, huge, &byte, tag), MB_SEAL_RANGE);
	check_int(mb_seal(key, nonce, &byte, huge, &byte, 1, &byte, tag), MB_SEAL_RANGE);
	check_int(mb_seal_open(key, nonce, NULL, 0, &byte, huge, tag, &byte), MB_SEAL_RANGE);
	check_int(mb_seal_open(key, nonce, &byte, huge, &byte, 1, tag, &byte), MB_SEAL_RANGE);
}

/* The fingerprint is stored beside every secret: it must never change. */
static void
fingerprints(void)
{
	uint8_t key[32], other[32];
	char fingerprint[MB_SEAL_FINGERPRINT_SIZE + 1];

	for (int i = 0; i < 32; i++)
		key[i] = other[i] = (uint8_t) i;
	other[31] ^= 0x80;
	check_int(mb_seal_fingerprint(key, fingerprint), MB_SEAL_OK);
	/* printf 'mulberry key fingerprint v1\0<key>' | sha256sum | head -c 32 */
	check_string(fingerprint, "714020b09ff14b32231d60dbe6b3859d");
	check_int(mb_seal_fingerprint(other, fingerprint), MB_SEAL_OK);
	check(strcmp(fingerprint, "714020b09ff14b32231d60dbe6b3859d") != 0);
}

int
main(void)
{
	check_run("the published vectors of AES-256-GCM come out, both ways", published_vectors);
	check_run("what is sealed opens to the same bytes, from 0 to 300 of them", round_trip);
	check_run("one bit altered anywhere is refused, and nothing is given out", alterations);
	check_run("sizes beyond the limit are refused", limits);
	check_run("a key's fingerprint is what it has always been", fingerprints);
	return check_done();
}
