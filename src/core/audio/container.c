/*
 * container.c
 *	  Kinds of files by their first bytes; see container.h.
 */
#include "core/audio/container.h"

#include <string.h>

/*
 * Bytes of the MPEG audio frame (layer III) that begins here, 0 when none does.  (ISO 11172-3, 13818-3:
 * sync, version, layer, bit rate, sampling rate, padding.)
 */
static size_t
mp3_frame(const uint8_t *bytes)
{
	static const int kilobits_1[] = { 0,   32,	40,	 48,  56,  64,	80, 96,
									  112, 128, 160, 192, 224, 256, 320 };
	static const int kilobits_2[] = {
		0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160
	};
	static const int rates[] = { 44100, 48000, 32000 };
	int version = (bytes[1] >> 3) & 3; /* 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5 */
	int rate_code = (bytes[2] >> 2) & 3;
	int bits = bytes[2] >> 4;
	int rate;

	if (bytes[0] != 0xFF || (bytes[1] & 0xE0) != 0xE0 || version == 1 ||
		((bytes[1] >> 1) & 3) != 1 || bits == 0 || bits == 15 || rate_code == 3)
		return 0;
	rate = rates[rate_code] >> (version == 3 ? 0 : version == 2 ? 1 : 2);
	return (size_t) (version == 3 ? 144000 * kilobits_1[bits] : 72000 * kilobits_2[bits]) / rate +
		   ((bytes[2] >> 1) & 1);
}

/* Two frames in a row, of the same version, layer, sampling rate, channels and origin. */
static bool
is_mp3(const uint8_t *bytes, size_t n)
{
	size_t length = n >= 4 ? mp3_frame(bytes) : 0;

	return length > 0 && n >= length + 4 && mp3_frame(bytes + length) > 0 &&
		   (bytes[1] & 0xFE) == (bytes[length + 1] & 0xFE) &&
		   (bytes[2] & 0x0C) == (bytes[length + 2] & 0x0C) &&
		   (bytes[3] & 0xCF) == (bytes[length + 3] & 0xCF);
}

const char *
mb_container_name(const uint8_t *bytes, size_t n)
{
	static const struct
	{
		const char *begins; /* four bytes */
		size_t offset;
		const char *then; /* four more there, if the file goes so far; may be NULL */
		const char *name;
	} kinds[] = {
		{ "RIFF", 8, "WAVE", "WAV" },	  { "RIFX", 8, "WAVE", "WAV" },
		{ "RF64", 8, "WAVE", "WAV" },	  { "BW64", 8, "WAVE", "WAV" },
		{ "FORM", 8, "AIFF", "AIFF" },	  { "FORM", 8, "AIFC", "AIFF" },
		{ "OggS", 0, NULL, "Ogg" },		  { "fLaC", 0, NULL, "FLAC" },
		{ ".snd", 0, NULL, "Sun audio" }, { "caff", 0, NULL, "Core Audio" },
		{ "#!AM", 4, "R", "AMR" },
	};

	for (size_t i = 0; n >= 4 && i < sizeof(kinds) / sizeof(*kinds); i++)
	{
		const char *then = kinds[i].then;

		if (memcmp(bytes, kinds[i].begins, 4) == 0 &&
			(then == NULL || n < kinds[i].offset + strlen(then) ||
			 memcmp(bytes + kinds[i].offset, then, strlen(then)) == 0))
			return kinds[i].name;
	}
	/* a version and flags follow the three letters of a tag */
	if (n >= 5 && memcmp(bytes, "ID3", 3) == 0 && bytes[3] < 0x10 && bytes[4] != 0xFF)
		return "MP3";
	/* MPEG-4 and WebM: a box that says what it is, an EBML head */
	if (n >= 8 && memcmp(bytes + 4, "ftyp", 4) == 0)
		return "MPEG-4";
	if (n >= 4 && memcmp(bytes, "\x1A\x45\xDF\xA3", 4) == 0)
		return "Matroska or WebM";
	return is_mp3(bytes, n) ? "MP3" : NULL;
}
