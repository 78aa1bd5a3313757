/*
 * fuzz_wav.c
 *	  The WAV reader over arbitrary bytes: whatever it says is there can be read, in
 *	  pieces and as a whole alike, and nothing outside the file is touched.
 *
 * Fuzz with: -max_len=2048
 */
#include "fuzz.h"
#include "core/audio/g711.h"
#include "core/audio/container.h"
#include "core/audio/wav.h"

#include <stdlib.h>
#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	mb_wav_info info;
	mb_status status = mb_wav_read(data, size, &info);
	int16_t *whole;
	int16_t *pieces;
	mb_encoding encoding;

	/* what it is told to be when it is none, and its codec */
	(void) mb_container_name(data, size);
	(void) mb_wav_codec_name(info.codec);
	require(status == MB_OK || status == MB_ERR_TRUNCATED || status == MB_ERR_FORMAT ||
			status == MB_ERR_UNSUPPORTED);
	if (status == MB_OK)
		require(info.data != NULL);
	/* what is known from a part of the file is the same, or more is wanted */
	for (size_t n = 0; n <= size; n += size / 16 + 1)
	{
		uint8_t *head = malloc(n + 1);
		mb_wav_info part;
		mb_status said;

		memcpy(head, data, n);
		said = mb_wav_read_head(head, n, size, &part);
		require(said == status || said == MB_ERR_SPACE);
		if (said == status && info.data != NULL)
			require(part.data - head == info.data - data && part.frames == info.frames &&
					part.stated_bytes == info.stated_bytes && part.streamed == info.streamed);
		free(head);
	}
	if ((status != MB_OK && status != MB_ERR_TRUNCATED) || info.data == NULL)
		return 0;

	/* all frames lie in the file */
	require(info.channels >= 1 && info.channels <= MB_WAV_MAX_CHANNELS);
	require(info.sample_rate >= 1 && info.sample_rate <= MB_WAV_MAX_RATE);
	require(info.data >= data && info.data <= data + size);
	require(info.frames * (size_t) info.channels * (size_t) info.sample_size <=
			(size_t) (data + size - info.data));
	require(status != MB_ERR_TRUNCATED || info.stated_bytes > (size_t) (data + size - info.data));

	whole = malloc(info.frames * sizeof(int16_t) + 1);
	pieces = malloc(info.frames * sizeof(int16_t) + 1);
	for (int channel = MB_WAV_MIX; channel < info.channels; channel++)
	{
		size_t step = info.frames / 3 + 1;

		require(mb_wav_read_samples(&info, channel, 0, info.frames, whole) == MB_OK);
		for (size_t first = 0; first < info.frames; first += step)
		{
			size_t n = info.frames - first < step ? info.frames - first : step;

			require(mb_wav_read_samples(&info, channel, first, n, pieces + first) == MB_OK);
		}
		require(info.frames == 0 || memcmp(whole, pieces, info.frames * sizeof(int16_t)) == 0);
	}
	require(mb_wav_read_samples(&info, info.channels, 0, info.frames, whole) == MB_ERR_RANGE);
	require(mb_wav_read_samples(&info, 0, 0, info.frames + 1, whole) == MB_ERR_RANGE);

	/* what can be passed on raw is written as a file that reads the same */
	if (mb_wav_raw_encoding(&info, &encoding))
	{
		uint64_t file_size;
		uint8_t *file;
		mb_wav_info again;
		size_t header = mb_wav_header_size(encoding);

		require(mb_wav_file_size(encoding, 1, info.frames, &file_size) == MB_OK);
		file = calloc(1, (size_t) file_size);
		require(mb_wav_write_header(file, (size_t) file_size, encoding, 1, info.sample_rate,
									info.frames) == MB_OK);
		memcpy(file + header, info.data, info.frames * mb_encoding_sample_size(encoding));
		require(mb_wav_read(file, (size_t) file_size, &again) == MB_OK);
		require(again.frames == info.frames && again.sample_rate == info.sample_rate &&
				again.format == info.format && !again.streamed && !again.partial_frame);
		require(mb_wav_read_samples(&again, 0, 0, again.frames, pieces) == MB_OK);
		require(info.frames == 0 || memcmp(whole, pieces, info.frames * sizeof(int16_t)) == 0);
		free(file);
	}
	free(whole);
	free(pieces);
	return 0;
}
