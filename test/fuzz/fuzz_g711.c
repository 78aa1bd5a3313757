/*
 * fuzz_g711.c
 *	  Raw audio in any encoding: decoding what arrives and encoding it again gives
 *	  the same samples; sizes are checked before anything is read.
 *
 * Fuzz with: -max_len=512
 */
#include "fuzz.h"
#include "core/audio/g711.h"

#include <stdlib.h>
#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	mb_encoding encoding;
	size_t n = 0;
	int16_t *samples;
	int16_t *again;
	uint8_t *bytes;

	if (size == 0)
		return 0;
	/* the first byte chooses; 3 is no encoding */
	encoding = (mb_encoding) (data[0] % 4);
	data++;
	size--;

	if (mb_audio_sample_count(encoding, size, &n) != MB_OK)
	{
		int16_t out = 0;

		if (mb_audio_decode(encoding, data, size, &out) == MB_OK)
			abort();
		if (encoding != MB_S16LE && mb_encoding_name(encoding) != NULL)
			abort();
		return 0;
	}
	/* blocks of exactly the stated size */
	samples = malloc(n * sizeof(int16_t));
	again = malloc(n * sizeof(int16_t));
	bytes = malloc(n * mb_encoding_sample_size(encoding));
	if (mb_audio_decode(encoding, data, size, samples) != MB_OK ||
		mb_audio_encode(encoding, samples, n, bytes) != MB_OK ||
		mb_audio_decode(encoding, bytes, size, again) != MB_OK)
		abort();
	if (n > 0 && memcmp(samples, again, n * sizeof(int16_t)) != 0)
		abort();
	free(samples);
	free(again);
	free(bytes);
	return 0;
}
