/*
 * fuzz_tone.c
 *	  Tone generation with arbitrary options and digits: it refuses them or makes exactly as many
 *	  samples as it told before, in any portions, and silence where there is none to be heard.
 *
 * Eight bytes make rate and options, the ninth seeds the cutting; the rest are the digits.
 *
 * Fuzz with: -max_len=40
 */
#include "fuzz.h"
#include "core/audio/tone.h"

#include <string.h>

#define MAX_SAMPLES 2000000

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int rates[] = { 8000, 16000, 44100, 48000, 8000, 8000, 22050, 0 };
	static int16_t whole[MAX_SAMPLES], pieces[MAX_SAMPLES];
	mb_tone_dtmf_options options;
	const char *digits = (const char *) data + 9;
	mb_tone_dtmf tone;
	mb_tone call;
	mb_status status;
	uint64_t told = 0;
	size_t position = SIZE_MAX;
	uint32_t cut;
	int rate;

	if (size < 9)
		return 0;
	rate = rates[data[0] & 7];
	options.level_dbm0 = (int8_t) data[1] / 2.0;
	options.twist_db = (int8_t) data[2] / 5.0;
	options.on_ms = data[3] | (data[4] & 7) << 8;
	options.off_ms = data[5] | (data[6] & 7) << 8;
	options.ramp_ms = (int8_t) data[7] / 4;
	if (data[4] & 0x80)
		options.on_ms = -options.on_ms;
	cut = data[8];
	size -= 9;

	status = mb_tone_dtmf_samples(digits, size, &options, rate, &told, &position);
	require(mb_tone_dtmf_init(&tone, digits, size, &options, rate) == status);
	require((status == MB_ERR_SYMBOL) == (position != SIZE_MAX));
	if (position != SIZE_MAX)
		require(position < size && (digits[position] == '\0' ||
									strchr("0123456789ABCD*#wW", digits[position]) == NULL));
	if (status == MB_OK && told < MAX_SAMPLES)
	{
		size_t n = (size_t) told;
		size_t at = 0;

		require(mb_tone_dtmf_read(&tone, whole, MAX_SAMPLES) == n);
		require(mb_tone_dtmf_read(&tone, whole + n, MAX_SAMPLES - n) == 0);
		require(mb_tone_dtmf_init(&tone, digits, size, &options, rate) == MB_OK);
		while (at < n)
		{
			size_t part;

			cut = cut * 1664525 + 1013904223;
			part = cut >> 16 & (cut >> 8 & 1 ? 15 : 4095);
			part = part < n - at ? part : n - at;
			require(mb_tone_dtmf_read(&tone, pieces + at, part) == part);
			at += part;
		}
		require(memcmp(whole, pieces, n * sizeof(*whole)) == 0);
	}

	status = mb_tone_init(&call, (mb_call_tone) (data[5] & 15), options.level_dbm0, rate);
	if (status == MB_OK)
	{
		mb_tone_read(&call, whole, 5000);
		mb_tone_read(&call, whole + 5000, cut >> 20);
	}
	return 0;
}
