/*
 * g711.c
 *	  ITU-T G.711 mu-law and A-law by table, and raw audio in any encoding of
 *	  mb.h to and from int16 samples.
 *
 * Decoding looks the code word up; encoding looks up the segment and shifts.
 * No resampling and no containers here.  See g711.h for the choice at decision
 * values.
 */
#include "core/audio/g711.h"

#include <string.h>

/* mu-law: the bias that makes segment ends powers of two, in 16-bit units. */
#define MULAW_BIAS 132

/* Largest magnitude that does not leave the last segment. */
#define MULAW_CLIP 32635

/* clang-format off */
const int16_t mb_mulaw_table[256] = {
	-32124, -31100, -30076, -29052, -28028, -27004, -25980, -24956,
	-23932, -22908, -21884, -20860, -19836, -18812, -17788, -16764,
	-15996, -15484, -14972, -14460, -13948, -13436, -12924, -12412,
	-11900, -11388, -10876, -10364,  -9852,  -9340,  -8828,  -8316,
	 -7932,  -7676,  -7420,  -7164,  -6908,  -6652,  -6396,  -6140,
	 -5884,  -5628,  -5372,  -5116,  -4860,  -4604,  -4348,  -4092,
	 -3900,  -3772,  -3644,  -3516,  -3388,  -3260,  -3132,  -3004,
	 -2876,  -2748,  -2620,  -2492,  -2364,  -2236,  -2108,  -1980,
	 -1884,  -1820,  -1756,  -1692,  -1628,  -1564,  -1500,  -1436,
	 -1372,  -1308,  -1244,  -1180,  -1116,  -1052,   -988,   -924,
	  -876,   -844,   -812,   -780,   -748,   -716,   -684,   -652,
	  -620,   -588,   -556,   -524,   -492,   -460,   -428,   -396,
	  -372,   -356,   -340,   -324,   -308,   -292,   -276,   -260,
	  -244,   -228,   -212,   -196,   -180,   -164,   -148,   -132,
	  -120,   -112,   -104,    -96,    -88,    -80,    -72,    -64,
	   -56,    -48,    -40,    -32,    -24,    -16,     -8,      0,
	 32124,  31100,  30076,  29052,  28028,  27004,  25980,  24956,
	 23932,  22908,  21884,  20860,  19836,  18812,  17788,  16764,
	 15996,  15484,  14972,  14460,  13948,  13436,  12924,  12412,
	 11900,  11388,  10876,  10364,   9852,   9340,   8828,   8316,
	  7932,   7676,   7420,   7164,   6908,   6652,   6396,   6140,
	  5884,   5628,   5372,   5116,   4860,   4604,   4348,   4092,
	  3900,   3772,   3644,   3516,   3388,   3260,   3132,   3004,
	  2876,   2748,   2620,   2492,   2364,   2236,   2108,   1980,
	  1884,   1820,   1756,   1692,   1628,   1564,   1500,   1436,
	  1372,   1308,   1244,   1180,   1116,   1052,    988,    924,
	   876,    844,    812,    780,    748,    716,    684,    652,
	   620,    588,    556,    524,    492,    460,    428,    396,
	   372,    356,    340,    324,    308,    292,    276,    260,
	   244,    228,    212,    196,    180,    164,    148,    132,
	   120,    112,    104,     96,     88,     80,     72,     64,
	    56,     48,     40,     32,     24,     16,      8,      0,
};

const int16_t mb_alaw_table[256] = {
	 -5504,  -5248,  -6016,  -5760,  -4480,  -4224,  -4992,  -4736,
	 -7552,  -7296,  -8064,  -7808,  -6528,  -6272,  -7040,  -6784,
	 -2752,  -2624,  -3008,  -2880,  -2240,  -2112,  -2496,  -2368,
	 -3776,  -3648,  -4032,  -3904,  -3264,  -3136,  -3520,  -3392,
	-22016, -20992, -24064, -23040, -17920, -16896, -19968, -18944,
	-30208, -29184, -32256, -31232, -26112, -25088, -28160, -27136,
	-11008, -10496, -12032, -11520,  -8960,  -8448,  -9984,  -9472,
	-15104, -14592, -16128, -15616, -13056, -12544, -14080, -13568,
	  -344,   -328,   -376,   -360,   -280,   -264,   -312,   -296,
	  -472,   -456,   -504,   -488,   -408,   -392,   -440,   -424,
	   -88,    -72,   -120,   -104,    -24,     -8,    -56,    -40,
	  -216,   -200,   -248,   -232,   -152,   -136,   -184,   -168,
	 -1376,  -1312,  -1504,  -1440,  -1120,  -1056,  -1248,  -1184,
	 -1888,  -1824,  -2016,  -1952,  -1632,  -1568,  -1760,  -1696,
	  -688,   -656,   -752,   -720,   -560,   -528,   -624,   -592,
	  -944,   -912,  -1008,   -976,   -816,   -784,   -880,   -848,
	  5504,   5248,   6016,   5760,   4480,   4224,   4992,   4736,
	  7552,   7296,   8064,   7808,   6528,   6272,   7040,   6784,
	  2752,   2624,   3008,   2880,   2240,   2112,   2496,   2368,
	  3776,   3648,   4032,   3904,   3264,   3136,   3520,   3392,
	 22016,  20992,  24064,  23040,  17920,  16896,  19968,  18944,
	 30208,  29184,  32256,  31232,  26112,  25088,  28160,  27136,
	 11008,  10496,  12032,  11520,   8960,   8448,   9984,   9472,
	 15104,  14592,  16128,  15616,  13056,  12544,  14080,  13568,
	   344,    328,    376,    360,    280,    264,    312,    296,
	   472,    456,    504,    488,    408,    392,    440,    424,
	    88,     72,    120,    104,     24,      8,     56,     40,
	   216,    200,    248,    232,    152,    136,    184,    168,
	  1376,   1312,   1504,   1440,   1120,   1056,   1248,   1184,
	  1888,   1824,   2016,   1952,   1632,   1568,   1760,   1696,
	   688,    656,    752,    720,    560,    528,    624,    592,
	   944,    912,   1008,    976,    816,    784,    880,    848,
};

/* Number of the highest bit set in 0 … 255 (0 for 0): the segment of both laws. */
static const uint8_t segment_table[256] = {
	0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3,
	4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4,
	5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
	5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
	6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6,
	6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6,
	6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6,
	6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6,
	7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
};
/* clang-format on */

/*
 * Magnitude first, so that the law is the same on both sides of zero; -3 … -1
 * become the negative zero 0x7F.
 */
uint8_t
mb_mulaw_encode(int16_t sample)
{
	int magnitude = sample < 0 ? -(int) sample : sample;
	uint8_t sign = sample < 0 ? 0x80 : 0;
	int segment;

	if (magnitude > MULAW_CLIP)
		magnitude = MULAW_CLIP;
	magnitude += MULAW_BIAS;
	segment = segment_table[magnitude >> 7];
	return (uint8_t) ~(sign | segment << 4 | ((magnitude >> (segment + 3)) & 0x0F));
}

/*
 * One's complement for the negative half, as ITU-T G.191 does it: -1 lies in the
 * first negative interval, so the law has no zero.
 */
uint8_t
mb_alaw_encode(int16_t sample)
{
	int magnitude = sample < 0 ? -(int) sample - 1 : sample;
	uint8_t sign = sample < 0 ? 0 : 0x80;
	int segment = segment_table[magnitude >> 7];

	/* the two lowest segments have the same step */
	return (uint8_t) ((sign | segment << 4 | ((magnitude >> (segment ? segment + 3 : 4)) & 0x0F)) ^
					  0x55);
}

mb_status
mb_audio_sample_count(mb_encoding encoding, size_t n_bytes, size_t *n_samples)
{
	switch (encoding)
	{
		case MB_MULAW:
		case MB_ALAW:
			*n_samples = n_bytes;
			return MB_OK;
		case MB_S16LE:
			if (n_bytes % 2 != 0)
				return MB_ERR_ODD_BYTES;
			*n_samples = n_bytes / 2;
			return MB_OK;
	}
	return MB_ERR_ENCODING;
}

/*
 * Four samples a turn: a loop of one takes one cycle or two, according to where the linker puts it, and with turns of four the end of
 * a packet is foreseen.
 */
static inline void
decode_by_table(const int16_t *table, const uint8_t *bytes, size_t n, int16_t *out)
{
	size_t i = 0;

	for (; i + 4 <= n; i += 4)
	{
		out[i] = table[bytes[i]];
		out[i + 1] = table[bytes[i + 1]];
		out[i + 2] = table[bytes[i + 2]];
		out[i + 3] = table[bytes[i + 3]];
	}
	for (; i < n; i++)
		out[i] = table[bytes[i]];
}

mb_status
mb_audio_decode(mb_encoding encoding, const uint8_t *bytes, size_t n_bytes, int16_t *out)
{
	switch (encoding)
	{
		case MB_MULAW:
			decode_by_table(mb_mulaw_table, bytes, n_bytes, out);
			return MB_OK;
		case MB_ALAW:
			decode_by_table(mb_alaw_table, bytes, n_bytes, out);
			return MB_OK;
		case MB_S16LE:
			if (n_bytes % 2 != 0)
				return MB_ERR_ODD_BYTES;
			/* the compiler makes this a plain copy on little-endian machines */
			for (size_t i = 0; i < n_bytes / 2; i++)
				out[i] = (int16_t) (uint16_t) (bytes[2 * i] | bytes[2 * i + 1] << 8);
			return MB_OK;
	}
	return MB_ERR_ENCODING;
}

mb_status
mb_audio_encode(mb_encoding encoding, const int16_t *samples, size_t n_samples, uint8_t *out)
{
	switch (encoding)
	{
		case MB_MULAW:
			for (size_t i = 0; i < n_samples; i++)
				out[i] = mb_mulaw_encode(samples[i]);
			return MB_OK;
		case MB_ALAW:
			for (size_t i = 0; i < n_samples; i++)
				out[i] = mb_alaw_encode(samples[i]);
			return MB_OK;
		case MB_S16LE:
			for (size_t i = 0; i < n_samples; i++)
			{
				out[2 * i] = (uint8_t) samples[i];
				out[2 * i + 1] = (uint8_t) ((uint16_t) samples[i] >> 8);
			}
			return MB_OK;
	}
	return MB_ERR_ENCODING;
}

mb_status
mb_audio_silence(mb_encoding encoding, size_t n_samples, uint8_t *out)
{
	switch (encoding)
	{
		case MB_MULAW:
			memset(out, MB_MULAW_SILENCE, n_samples);
			return MB_OK;
		case MB_ALAW:
			memset(out, MB_ALAW_SILENCE, n_samples);
			return MB_OK;
		case MB_S16LE:
			memset(out, 0, n_samples * 2);
			return MB_OK;
	}
	return MB_ERR_ENCODING;
}
