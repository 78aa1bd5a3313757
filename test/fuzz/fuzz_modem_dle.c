/*
 * fuzz_modem_dle.c
 *	  Any bytes as the stream of a voice modem: the same audio and codes however it is cut; and any audio that is shielded
 *	  comes back.
 *
 * Fuzz with: -max_len=600
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "core/modem/dle.h"

#define LARGEST 4096

typedef struct stream
{
	size_t audio_bytes;
	size_t codes;
	uint8_t audio[2 * LARGEST];
	uint8_t said[LARGEST];
} stream;

static void
take(stream *stream, const uint8_t *data, size_t size, size_t step, size_t space)
{
	mb_dle dle = { 0 };

	memset(stream, 0, sizeof(*stream));
	for (size_t i = 0; i < size || dle.second;)
	{
		size_t piece = size - i < step ? size - i : step;
		uint8_t *copy = malloc(piece + 1);
		uint8_t *out = malloc(space);
		size_t used;
		size_t produced;
		uint8_t code;

		memcpy(copy, data + i, piece);
		if (mb_dle_take(&dle, copy, piece, &used, out, space, &produced, &code))
		{
			require(code != MB_DLE && code != MB_DLE_SUB);
			require((unsigned) mb_dle_kind_of(code) <= MB_DLE_UNKNOWN);
			stream->said[stream->codes++] = code;
		}
		require(used <= piece && produced <= space && used + produced > 0);
		memcpy(stream->audio + stream->audio_bytes, out, produced);
		stream->audio_bytes += produced;
		free(copy);
		free(out);
		i += used;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static stream whole;
	static stream cut;
	static uint8_t shielded[2 * LARGEST];

	if (size > LARGEST)
		return 0;
	take(&whole, data, size, size + 1, 2 * LARGEST);
	take(&cut, data, size, 1, 1);
	require(memcmp(&whole, &cut, sizeof(whole)) == 0);
	take(&cut, data, size, 7, 3);
	require(memcmp(&whole, &cut, sizeof(whole)) == 0);

	take(&whole, shielded, mb_dle_shield(data, size, shielded), 11, 5);
	require(whole.audio_bytes == size && whole.codes == 0 && memcmp(whole.audio, data, size) == 0);
	return 0;
}
