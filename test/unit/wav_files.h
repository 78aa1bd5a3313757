/*
 * wav_files.h
 *	  WAV files for tests: made chunk by chunk, and read so that the sanitizer sees a byte too far.
 */
#ifndef WAV_FILES_H
#define WAV_FILES_H

#include "check.h"
#include "core/audio/g711.h"
#include "core/audio/wav.h"

/* A WAV file under construction. */
typedef struct file
{
	uint8_t bytes[4096];
	size_t n;
} file;

CHECK_UNUSED static void
add(file *f, const void *bytes, size_t n)
{
	if (f->n + n > sizeof(f->bytes))
		abort();
	memcpy(f->bytes + f->n, bytes, n);
	f->n += n;
}

CHECK_UNUSED static void
add_number(file *f, uint32_t value, int size)
{
	for (int i = 0; i < size; i++)
	{
		uint8_t byte = (uint8_t) (value >> (8 * i));

		add(f, &byte, 1);
	}
}

CHECK_UNUSED static void
add_chunk(file *f, const char *id, const void *bytes, size_t n)
{
	add(f, id, 4);
	add_number(f, (uint32_t) n, 4);
	add(f, bytes, n);
	if (n % 2 != 0)
		add_number(f, 0, 1);
}

CHECK_UNUSED static void
begin(file *f)
{
	memset(f, 0, sizeof(*f));
	add(f, "RIFF\0\0\0\0WAVE", 12);
}

/* Sets the RIFF size to what has been added. */
CHECK_UNUSED static void
finish(file *f)
{
	uint32_t size = (uint32_t) f->n - 8;

	for (int i = 0; i < 4; i++)
		f->bytes[4 + i] = (uint8_t) (size >> (8 * i));
}

CHECK_UNUSED static void
add_fmt(file *f, int tag, int channels, int rate, int bits)
{
	add(f, "fmt ", 4);
	add_number(f, 16, 4);
	add_number(f, (uint32_t) tag, 2);
	add_number(f, (uint32_t) channels, 2);
	add_number(f, (uint32_t) rate, 4);
	add_number(f, (uint32_t) (rate * channels * bits / 8), 4);
	add_number(f, (uint32_t) (channels * bits / 8), 2);
	add_number(f, (uint32_t) bits, 2);
}

CHECK_UNUSED static void
add_fmt_extensible(file *f, int tag, int channels, int rate, int bits, int valid_bits)
{
	static const uint8_t tail[14] = { 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71 };

	add_fmt(f, 0xFFFE, channels, rate, bits);
	f->bytes[f->n - 20] = 40;
	add_number(f, 22, 2);
	add_number(f, (uint32_t) valid_bits, 2);
	add_number(f, 0, 4);
	add_number(f, (uint32_t) tag, 2);
	add(f, tail, sizeof(tail));
}

/*
 * Reads from a heap block of exactly the file's size, so that the sanitizer sees a
 * byte read beyond it.  The block replaces the last one.
 */
static uint8_t *block;

/* Whatever part of the file is at hand, it says the same or wants more. */
CHECK_UNUSED static void
check_heads(const uint8_t *bytes, size_t total, mb_status status, const mb_wav_info *info)
{
	bool enough = false;

	for (size_t n = 0; n <= total; n += total < 1000 || n < 200 ? 1 : 97)
	{
		uint8_t *head = malloc(n > 0 ? n : 1);
		mb_wav_info got;
		mb_status said;

		memcpy(head, bytes, n);
		said = mb_wav_read_head(head, n, total, &got);
		if (said != MB_ERR_SPACE || enough)
		{
			enough = true;
			check_int(said, status);
			if (info->data != NULL)
				check_int(got.data - head, info->data - bytes);
			check_int(got.frames, info->frames);
			check_int(got.streamed, info->streamed);
			check_int(got.stated_bytes, info->stated_bytes);
		}
		free(head);
	}
}

CHECK_UNUSED static mb_status
read_exactly(const uint8_t *bytes, size_t n, mb_wav_info *info)
{
	mb_status status;

	free(block);
	block = malloc(n > 0 ? n : 1);
	memcpy(block, bytes, n);
	status = mb_wav_read(block, n, info);
	check_heads(block, n, status, info);
	return status;
}

CHECK_UNUSED static mb_status
read_file(const file *f, mb_wav_info *info)
{
	return read_exactly(f->bytes, f->n, info);
}

#endif /* WAV_FILES_H */
