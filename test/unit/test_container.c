/*
 * test_container.c
 *	  Files told from samples.
 */
#include "check.h"
#include "core/audio/container.h"
#include "core/audio/g711.h"

#include <string.h>

static const char *
name_of(const char *bytes, size_t n)
{
	const char *name = mb_container_name((const uint8_t *) bytes, n);

	return name ? name : "";
}

static void
files_are_told_by_their_first_bytes(void)
{
	check_string(name_of("RIFF\x24\0\0\0WAVEfmt ", 16), "WAV");
	check_string(name_of("RIFF", 4), "WAV");
	check_string(name_of("ID3\x04\0\0\0\0\0\0", 10), "MP3");
	check_string(name_of("OggS\0\x02", 6), "Ogg");
	check_string(name_of("fLaC\0\0", 6), "FLAC");
	check_string(name_of(".snd\0\0\0\x18", 8), "Sun audio");
	check_string(name_of("\0\0\0\x20"
						 "ftypM4A ",
						 12),
				 "MPEG-4");
	check_string(name_of("FORM\0\0\0\0AIFF", 12), "AIFF");
	check_string(name_of("\x1A\x45\xDF\xA3", 4), "Matroska or WebM");
	/* what only begins alike is none */
	check_string(name_of("RIFF\x24\0\0\0WAVY", 12), "");
	check_string(name_of("RIF", 3), "");
	check_string(name_of("ID3", 3), "");
	check_string(name_of("", 0), "");
}

/* MPEG 1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes, 418 with padding. */
static void
an_mp3_without_a_tag_is_told_by_two_frames(void)
{
	char frames[1024] = { 0 };

	memcpy(frames, "\xFF\xFB\x90\x64", 4);
	memcpy(frames + 417, "\xFF\xFB\x92\x64", 4);
	check_string(name_of(frames, sizeof(frames)), "MP3");
	check_string(name_of(frames, 421), "MP3");
	check_string(name_of(frames, 420), "");
	memcpy(frames + 417, "\0\0\0\0\xFF", 5);
	check_string(name_of(frames, sizeof(frames)), "");
	/* another sampling rate is another file */
	memcpy(frames + 417, "\xFF\xFB\x94\x64", 4);
	check_string(name_of(frames, sizeof(frames)), "");
}

/* Silence, tones and noise of every encoding stay what they are. */
static void
samples_are_no_files(void)
{
	uint8_t bytes[4096];
	uint32_t random = 1;
	int told = 0;

	memset(bytes, 0xFF, sizeof(bytes));
	check_string(name_of((char *) bytes, sizeof(bytes)), "");
	memset(bytes, 0xD5, sizeof(bytes));
	check_string(name_of((char *) bytes, sizeof(bytes)), "");
	memset(bytes, 0, sizeof(bytes));
	check_string(name_of((char *) bytes, sizeof(bytes)), "");
	/* what is nearly silent in mu-law begins with the bytes of a frame all the time */
	for (int i = 0; i < 20000; i++)
	{
		for (size_t k = 0; k < sizeof(bytes); k++)
		{
			random = random * 1664525 + 1013904223;
			bytes[k] = (uint8_t) (0xFF - ((random >> 24) & 7) - (k % 2 ? 0x04 : 0));
		}
		told += mb_container_name(bytes, 500) != NULL;
	}
	check_int(told, 0);
}

int
main(void)
{
	check_run("files are told by their first bytes", files_are_told_by_their_first_bytes);
	check_run("an MP3 without a tag is told by two frames",
			  an_mp3_without_a_tag_is_told_by_two_frames);
	check_run("samples are no files", samples_are_no_files);
	return check_done();
}
