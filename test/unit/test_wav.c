/*
 * test_wav.c
 *	  The WAV reader over every format and over what real and broken files hold;
 *	  the writer against the reader, byte by byte, and against sox.
 */
#include "check.h"
#include "core/audio/g711.h"
#include "core/audio/wav.h"

#include <unistd.h>

/* A WAV file under construction. */
typedef struct file
{
	uint8_t bytes[4096];
	size_t n;
} file;

static void
add(file *f, const void *bytes, size_t n)
{
	if (f->n + n > sizeof(f->bytes))
		abort();
	memcpy(f->bytes + f->n, bytes, n);
	f->n += n;
}

static void
add_number(file *f, uint32_t value, int size)
{
	for (int i = 0; i < size; i++)
	{
		uint8_t byte = (uint8_t) (value >> (8 * i));

		add(f, &byte, 1);
	}
}

static void
add_chunk(file *f, const char *id, const void *bytes, size_t n)
{
	add(f, id, 4);
	add_number(f, (uint32_t) n, 4);
	add(f, bytes, n);
	if (n % 2 != 0)
		add_number(f, 0, 1);
}

static void
begin(file *f)
{
	memset(f, 0, sizeof(*f));
	add(f, "RIFF\0\0\0\0WAVE", 12);
}

/* Sets the RIFF size to what has been added. */
static void
finish(file *f)
{
	uint32_t size = (uint32_t) f->n - 8;

	for (int i = 0; i < 4; i++)
		f->bytes[4 + i] = (uint8_t) (size >> (8 * i));
}

static void
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

static void
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
static void
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

static mb_status
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

static mb_status
read_file(const file *f, mb_wav_info *info)
{
	return read_exactly(f->bytes, f->n, info);
}

static void
every_format_reads_to_the_same_samples(void)
{
	/* each line holds 0x1234, -0x1234, full scale both ways, and half a step for rounding */
	static const uint8_t u8[] = { 0x80, 0x81, 0x7F, 0xFF, 0x00 };
	static const uint8_t s16[] = { 0x34, 0x12, 0xCC, 0xED, 0xFF, 0x7F, 0x00, 0x80, 0x01, 0x00 };
	static const uint8_t s24[] = { 0x7F, 0x34, 0x12, 0x80, 0x34, 0x12, 0xFF, 0xFF,
								   0x7F, 0x00, 0x00, 0x80, 0x80, 0xFF, 0xFF };
	static const uint8_t s32[] = { 0xFF, 0x7F, 0x34, 0x12, 0x00, 0x80, 0x34, 0x12, 0xFF, 0xFF,
								   0xFF, 0x7F, 0x00, 0x00, 0x00, 0x80, 0x00, 0x80, 0xFF, 0xFF };
	static const float f32[] = { 0.5f, -0.25f, 1.0f, -1.0f, 3.0e38f };
	static const double f64[] = { 0.5, -0.25, 1e300, -1e300, 0x1p-16 };
	static const uint8_t laws[] = { 0x00, 0x7F, 0x80, 0xD5, 0xFF };

	static const struct
	{
		int tag;
		int bits;
		const void *bytes;
		mb_wav_format format;
		int16_t expected[5];
	} cases[] = {
		{ 1, 8, u8, MB_WAV_U8, { 0, 256, -256, 32512, -32768 } },
		{ 1, 16, s16, MB_WAV_S16, { 0x1234, -0x1234, 32767, -32768, 1 } },
		{ 1, 24, s24, MB_WAV_S24, { 0x1234, 0x1235, 32767, -32768, 0 } },
		{ 1, 32, s32, MB_WAV_S32, { 0x1234, 0x1235, 32767, -32768, 0 } },
		{ 3, 32, f32, MB_WAV_FLOAT32, { 16384, -8192, 32767, -32768, 32767 } },
		{ 3, 64, f64, MB_WAV_FLOAT64, { 16384, -8192, 32767, -32768, 1 } },
		{ 7, 8, laws, MB_WAV_MULAW, { -32124, 0, 32124, 716, 0 } },
		{ 6, 8, laws, MB_WAV_ALAW, { -5504, -848, 5504, 8, 848 } },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		for (int extensible = 0; extensible < 2; extensible++)
		{
			file f;
			mb_wav_info info;
			int16_t out[5] = { 0 };

			begin(&f);
			if (extensible)
				add_fmt_extensible(&f, cases[i].tag, 1, 8000, cases[i].bits, cases[i].bits);
			else
				add_fmt(&f, cases[i].tag, 1, 8000, cases[i].bits);
			add_chunk(&f, "data", cases[i].bytes, (size_t) (5 * cases[i].bits / 8));
			finish(&f);
			check_int(read_file(&f, &info), MB_OK);
			check_int(info.format, cases[i].format);
			check_int(info.channels, 1);
			check_int(info.sample_rate, 8000);
			check_int(info.sample_size, cases[i].bits / 8);
			check_int(info.frames, 5);
			check(!info.streamed && !info.partial_frame);
			check_int(mb_wav_read_samples(&info, 0, 0, 5, out), MB_OK);
			for (int k = 0; k < 5; k++)
			{
				if (!check_int(out[k], cases[i].expected[k]))
					check_note("tag %d, %d bits, sample %d", cases[i].tag, cases[i].bits, k);
			}
			/* any part gives the same samples */
			memset(out, 0, sizeof(out));
			check_int(mb_wav_read_samples(&info, MB_WAV_MIX, 3, 2, out), MB_OK);
			check_int(out[0], cases[i].expected[3]);
			check_int(out[1], cases[i].expected[4]);
		}
	}
}

static void
not_a_number_is_silence(void)
{
	float values[3] = { NAN, INFINITY, -INFINITY };
	file f;
	mb_wav_info info;
	int16_t out[3];

	begin(&f);
	add_fmt(&f, 3, 1, 16000, 32);
	add_chunk(&f, "data", values, sizeof(values));
	finish(&f);
	check_int(read_file(&f, &info), MB_OK);
	check_int(mb_wav_read_samples(&info, 0, 0, 3, out), MB_OK);
	check_int(out[0], 0);
	check_int(out[1], 32767);
	check_int(out[2], -32768);
}

static void
channels_are_chosen_or_mixed(void)
{
	/* three channels, two frames */
	static const int16_t frames[] = { 100, 200, 600, -32768, -32768, -32767 };
	file f;
	mb_wav_info info;
	int16_t out[2];
	mb_encoding encoding;

	begin(&f);
	add_fmt(&f, 1, 3, 48000, 16);
	add_chunk(&f, "data", frames, sizeof(frames));
	finish(&f);
	check_int(read_file(&f, &info), MB_OK);
	check_int(info.frames, 2);
	for (int channel = 0; channel < 3; channel++)
	{
		check_int(mb_wav_read_samples(&info, channel, 0, 2, out), MB_OK);
		check_int(out[0], frames[channel]);
		check_int(out[1], frames[3 + channel]);
	}
	check_int(mb_wav_read_samples(&info, MB_WAV_MIX, 0, 2, out), MB_OK);
	check_int(out[0], 300);
	check_int(out[1], -32768);
	check_int(mb_wav_read_samples(&info, 3, 0, 2, out), MB_ERR_RANGE);
	check_int(mb_wav_read_samples(&info, -2, 0, 2, out), MB_ERR_RANGE);
	check_int(mb_wav_read_samples(&info, 0, 0, 3, out), MB_ERR_RANGE);
	check_int(mb_wav_read_samples(&info, 0, 3, 0, out), MB_ERR_RANGE);
	check_int(mb_wav_read_samples(&info, 0, 1, SIZE_MAX, out), MB_ERR_RANGE);
	check_int(mb_wav_read_samples(&info, 0, 2, 0, out), MB_OK);
	check(!mb_wav_raw_encoding(&info, &encoding));
}

/* LIST, bext and unknown chunks before and after, odd sizes with their pad byte. */
static void
other_chunks_are_skipped(void)
{
	static const uint8_t samples[] = { 0xFF, 0x00, 0x80 };
	file f;
	mb_wav_info info;

	begin(&f);
	add_chunk(&f, "LIST", "INFOISFT\5\0\0\0sox!\0", 17);
	add_chunk(&f, "junk", "", 0);
	add_fmt(&f, 7, 1, 8000, 8);
	add_chunk(&f, "fact", "\3\0\0\0", 4);
	add_chunk(&f, "Z\377\0\1", "odd", 3);
	add_chunk(&f, "data", samples, 3);
	add_chunk(&f, "LIST", "INFO", 4);
	finish(&f);
	check_int(read_file(&f, &info), MB_OK);
	check_int(info.format, MB_WAV_MULAW);
	check_int(info.frames, 3);
	check_bytes(info.data, samples, 3);

	/* the pad byte of the last chunk is often left out */
	begin(&f);
	add_fmt(&f, 7, 1, 8000, 8);
	add_chunk(&f, "data", samples, 3);
	f.n--;
	finish(&f);
	check_int(read_file(&f, &info), MB_OK);
	check_int(info.frames, 3);
}

/* A file cut anywhere says so, and gives what is there. */
static void
every_truncation_is_reported(void)
{
	int16_t samples[20];
	int16_t out[20];
	file f;
	size_t data_begin;

	for (int i = 0; i < 20; i++)
		samples[i] = (int16_t) (1000 * i);
	begin(&f);
	add_chunk(&f, "LIST", "INFO", 4);
	add_fmt(&f, 1, 2, 8000, 16);
	add_chunk(&f, "data", samples, sizeof(samples));
	finish(&f);
	data_begin = f.n - sizeof(samples);
	for (size_t n = 0; n < f.n; n++)
	{
		mb_wav_info info;
		mb_status status = read_exactly(f.bytes, n, &info);

		if (n < 4)
			check_int(status, MB_ERR_FORMAT);
		else if (n >= data_begin)
		{
			check_int(status, MB_ERR_TRUNCATED);
			check_int(info.frames, (n - data_begin) / 4);
			check_int(info.stated_bytes, sizeof(samples));
			check_int(info.partial_frame, (n - data_begin) % 4 != 0);
			REQUIRE(mb_wav_read_samples(&info, 0, 0, info.frames, out) == MB_OK);
			for (size_t i = 0; i < info.frames; i++)
				check_int(out[i], samples[2 * i]);
		}
		else
		{
			check(status == MB_ERR_TRUNCATED || status == MB_ERR_FORMAT);
			check(info.data == NULL);
		}
	}
}

static void
streamed_files_have_all_the_rest(void)
{
	static const struct
	{
		uint32_t riff_size;
		uint32_t data_size;
		bool streamed;
		mb_status status;
		size_t frames;
	} cases[] = {
		{ 0xFFFFFFFF, 0xFFFFFFFF, true, MB_OK, 5 }, /* ffmpeg */
		{ 0x7FFFF024, 0x7FFFF000, true, MB_OK, 5 }, /* sox, espeak-ng */
		{ 0, 0, true, MB_OK, 5 },
		{ 36, 0, true, MB_OK, 5 }, /* a header without samples, never amended */
		{ 0xFFFFFFFF, 0, true, MB_OK, 5 },
		{ 47, 0, false, MB_OK, 0 }, /* truly empty, 11 bytes of another chunk follow */
		{ 47, 11, false, MB_OK, 5 },
		{ 47, 8, false, MB_OK, 4 },
		{ 12345, 10, false, MB_OK, 5 }, /* the RIFF size lies, the data's does not */
		{ 47, 12, false, MB_ERR_TRUNCATED, 5 },
		{ 47, 0x7FFEFFFF, false, MB_ERR_TRUNCATED, 5 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		file f;
		mb_wav_info info;

		begin(&f);
		f.n = 4;
		add_number(&f, cases[i].riff_size, 4);
		f.n = 12;
		add_fmt(&f, 1, 1, 8000, 16);
		add(&f, "data", 4);
		add_number(&f, cases[i].data_size, 4);
		/* five samples and half of one */
		add(&f, "abcdefghijk", 11);
		if (!check_int(read_file(&f, &info), cases[i].status))
			check_note("case %zu", i);
		check_int(info.streamed, cases[i].streamed);
		check_int(info.frames, cases[i].frames);
		check_int(info.stated_bytes, cases[i].data_size);
	}
}

static void
malformed_and_foreign_files_are_told_apart(void)
{
	mb_wav_info info;
	file f;

	check_int(read_exactly((const uint8_t *) "", 0, &info), MB_ERR_FORMAT);
	check_int(read_exactly((const uint8_t *) "OggS00000000000", 15, &info), MB_ERR_FORMAT);
	check_int(read_exactly((const uint8_t *) "RIFF\4\0\0\0AVI ", 12, &info), MB_ERR_FORMAT);
	check_int(read_exactly((const uint8_t *) "RIFX\4\0\0\0WAVE", 12, &info), MB_ERR_UNSUPPORTED);
	check_int(read_exactly((const uint8_t *) "RF64\4\0\0\0WAVE", 12, &info), MB_ERR_UNSUPPORTED);
	check_int(read_exactly((const uint8_t *) "RIFF\4\0\0\0WAVE", 12, &info), MB_ERR_TRUNCATED);
	check(info.data == NULL);

	/* data before fmt */
	begin(&f);
	add_chunk(&f, "data", "abcd", 4);
	add_fmt(&f, 1, 1, 8000, 16);
	check_int(read_file(&f, &info), MB_ERR_FORMAT);

	/* two fmt chunks */
	begin(&f);
	add_fmt(&f, 1, 1, 8000, 16);
	add_fmt(&f, 1, 1, 8000, 16);
	add_chunk(&f, "data", "abcd", 4);
	check_int(read_file(&f, &info), MB_ERR_FORMAT);

	/* a chunk before the data that claims more than there is */
	begin(&f);
	add_fmt(&f, 1, 1, 8000, 16);
	add_chunk(&f, "LIST", "INFO", 4);
	f.bytes[f.n - 5] = 0xFF;
	add_chunk(&f, "data", "abcd", 4);
	check_int(read_file(&f, &info), MB_ERR_FORMAT);

	/* fmt too short */
	begin(&f);
	add_chunk(&f, "fmt ", "\1\0\1\0\100\37\0\0\200\76\0\0\2\0", 14);
	add_chunk(&f, "data", "abcd", 4);
	check_int(read_file(&f, &info), MB_ERR_FORMAT);

	static const struct
	{
		int tag;
		int channels;
		int rate;
		int bits;
		mb_status status;
	} formats[] = {
		{ 1, 0, 8000, 16, MB_ERR_FORMAT },		  { 1, 1, 0, 16, MB_ERR_FORMAT },
		{ 1, 1, 8000, 12, MB_ERR_UNSUPPORTED },	  { 1, 1, 8000, 0, MB_ERR_UNSUPPORTED },
		{ 1, 1, 8000, 64, MB_ERR_UNSUPPORTED },	  { 2, 1, 8000, 4, MB_ERR_UNSUPPORTED },
		{ 7, 1, 8000, 16, MB_ERR_UNSUPPORTED },	  { 3, 1, 8000, 16, MB_ERR_UNSUPPORTED },
		{ 85, 1, 8000, 16, MB_ERR_UNSUPPORTED },  { 1, 65, 8000, 16, MB_ERR_UNSUPPORTED },
		{ 1, 1, 768001, 16, MB_ERR_UNSUPPORTED }, { 1, 64, 768000, 16, MB_OK },
	};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
	{
		uint8_t data[128] = { 0 };

		begin(&f);
		add_fmt(&f, formats[i].tag, formats[i].channels, formats[i].rate, formats[i].bits);
		add_chunk(&f, "data", data, sizeof(data));
		if (!check_int(read_file(&f, &info), formats[i].status))
			check_note("format %zu", i);
	}

	/* block align that contradicts channels and width */
	begin(&f);
	add_fmt(&f, 1, 2, 8000, 16);
	f.bytes[f.n - 4] = 2;
	add_chunk(&f, "data", "abcd", 4);
	check_int(read_file(&f, &info), MB_ERR_FORMAT);

	/* extensible: 24 valid bits in 32 are fine, more valid than there are is not */
	begin(&f);
	add_fmt_extensible(&f, 1, 1, 8000, 32, 24);
	add_chunk(&f, "data", "abcd", 4);
	check_int(read_file(&f, &info), MB_OK);
	begin(&f);
	add_fmt_extensible(&f, 1, 1, 8000, 16, 24);
	add_chunk(&f, "data", "abcd", 4);
	check_int(read_file(&f, &info), MB_ERR_FORMAT);

	/* an extensible file of another codec's GUID, and one without the extension */
	begin(&f);
	add_fmt_extensible(&f, 1, 1, 8000, 16, 16);
	f.bytes[f.n - 1] ^= 1;
	add_chunk(&f, "data", "abcd", 4);
	check_int(read_file(&f, &info), MB_ERR_UNSUPPORTED);
	begin(&f);
	add_fmt(&f, 0xFFFE, 1, 8000, 16);
	add_chunk(&f, "data", "abcd", 4);
	check_int(read_file(&f, &info), MB_ERR_FORMAT);
}

static void
headers_are_exact(void)
{
	static const uint8_t pcm[44] =
		"RIFF\x2C\0\0\0WAVEfmt \x10\0\0\0\1\0\2\0\x44\xAC\0\0\x10\xB1\2\0"
		"\4\0\x10\0data\x08\0\0";
	static const uint8_t mulaw[58] =
		"RIFF\x36\0\0\0WAVEfmt \x12\0\0\0\7\0\1\0\x40\x1F\0\0\x40\x1F\0\0"
		"\1\0\x08\0\0\0fact\4\0\0\0\3\0\0\0data\3\0\0";
	uint8_t buffer[MB_WAV_HEADER_MAX];
	uint64_t size;

	check_int(mb_wav_header_size(MB_S16LE), 44);
	check_int(mb_wav_header_size(MB_MULAW), 58);
	check_int(mb_wav_header_size(MB_ALAW), 58);
	check_int(mb_wav_write_header(buffer, 44, MB_S16LE, 2, 44100, 2), MB_OK);
	check_bytes(buffer, pcm, 44);
	check_int(mb_wav_write_header(buffer, 58, MB_MULAW, 1, 8000, 3), MB_OK);
	check_bytes(buffer, mulaw, 58);
	/* odd data has a pad byte, which the RIFF counts and the data chunk does not */
	check_int(mb_wav_file_size(MB_MULAW, 1, 3, &size), MB_OK);
	check_int(size, 58 + 4);
	check_int(mb_wav_file_size(MB_S16LE, 2, 2, &size), MB_OK);
	check_int(size, 44 + 8);
}

static void
bad_header_arguments_are_refused(void)
{
	uint8_t buffer[MB_WAV_HEADER_MAX];
	uint64_t size;

	memset(buffer, 0x5A, sizeof(buffer));
	check_int(mb_wav_write_header(buffer, 43, MB_S16LE, 1, 8000, 1), MB_ERR_SPACE);
	check_int(mb_wav_write_header(buffer, 57, MB_ALAW, 1, 8000, 1), MB_ERR_SPACE);
	check_int(mb_wav_write_header(buffer, 58, MB_ALAW, 0, 8000, 1), MB_ERR_RANGE);
	check_int(mb_wav_write_header(buffer, 58, MB_ALAW, 65, 8000, 1), MB_ERR_RANGE);
	check_int(mb_wav_write_header(buffer, 58, MB_ALAW, 1, 0, 1), MB_ERR_RANGE);
	check_int(mb_wav_write_header(buffer, 58, MB_ALAW, 1, 768001, 1), MB_ERR_RANGE);
	check_int(mb_wav_write_header(buffer, 58, (mb_encoding) 5, 1, 8000, 1), MB_ERR_ENCODING);
	/* the last size that a RIFF states without looking streamed, and the first it cannot */
	check_int(mb_wav_file_size(MB_MULAW, 1, UINT32_MAX - 51, &size), MB_OK);
	check_int(size - 8, UINT32_MAX - 1);
	check_int(mb_wav_file_size(MB_MULAW, 1, UINT32_MAX - 50, &size), MB_ERR_RANGE);
	check_int(mb_wav_write_header(buffer, 58, MB_MULAW, 1, 8000, UINT64_MAX), MB_ERR_RANGE);
	check_int(mb_wav_write_header(buffer, 58, MB_S16LE, 64, 8000, UINT64_MAX / 2), MB_ERR_RANGE);
	for (size_t i = 0; i < sizeof(buffer); i++)
		check_int(buffer[i], 0x5A);
}

static void
what_is_written_reads_back(void)
{
	static const mb_encoding encodings[] = { MB_S16LE, MB_MULAW, MB_ALAW };
	check_random random = { 99 };

	for (int e = 0; e < 3; e++)
	{
		for (int channels = 1; channels <= 3; channels++)
		{
			for (size_t frames = 0; frames < 20; frames++)
			{
				size_t data_size =
					frames * (size_t) channels * mb_encoding_sample_size(encodings[e]);
				uint8_t bytes[300];
				mb_wav_info info;
				mb_encoding encoding;
				uint64_t size;

				for (size_t i = 0; i < sizeof(bytes); i++)
					bytes[i] = (uint8_t) check_random_bits(&random);
				check_int(mb_wav_write_header(bytes, sizeof(bytes), encodings[e], channels, 16000,
											  frames),
						  MB_OK);
				check_int(mb_wav_file_size(encodings[e], channels, frames, &size), MB_OK);
				check_int(read_exactly(bytes, (size_t) size, &info), MB_OK);
				check_int(info.frames, frames);
				check_int(info.channels, channels);
				check_int(info.sample_rate, 16000);
				check_int(info.stated_bytes, data_size);
				check(!info.streamed && !info.partial_frame);
				check_int(info.data - block, mb_wav_header_size(encodings[e]));
				check_int(mb_wav_raw_encoding(&info, &encoding), channels == 1);
				if (channels == 1)
					check_int(encoding, encodings[e]);
			}
		}
	}
}

/* Runs a shell command and returns what it prints. */
static size_t
run(const char *command, uint8_t *output, size_t capacity)
{
	FILE *pipe = popen(command, "r");
	size_t n = 0;

	if (pipe != NULL)
	{
		n = fread(output, 1, capacity, pipe);
		if (pclose(pipe) != 0)
			n = 0;
	}
	return n;
}

/* sox writes each format to a pipe (with a size it cannot know) and to a file. */
static void
files_of_sox_are_read(void)
{
	static const char *const formats[] = { "-e unsigned -b 8", "-e signed -b 16", "-e signed -b 24",
										   "-e signed -b 32",  "-e float -b 32",  "-e float -b 64",
										   "-e mu-law -b 8",   "-e a-law -b 8" };
	static uint8_t bytes[200000];

	if (system("command -v sox >/dev/null 2>&1") != 0)
		check_skip("sox is not installed");
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
	{
		for (int to_file = 0; to_file < 2; to_file++)
		{
			char command[512];
			char path[] = "/tmp/mulberry-wav-XXXXXX";
			int fd = mkstemp(path);
			mb_wav_info info;
			double error = 0;
			size_t n;

			REQUIRE(fd >= 0);
			close(fd);
			snprintf(command, sizeof(command),
					 "sox -D -V1 -R -r 16000 -n -c 2 %s -t wav %s synth 0.5 sine 1000 vol 0.5 "
					 "&& cat %s",
					 formats[i], to_file ? path : "-", path);
			n = run(command, bytes, sizeof(bytes));
			unlink(path);
			check_int(read_exactly(bytes, n, &info), MB_OK);
			REQUIRE(info.frames == 8000);
			check_int(info.channels, 2);
			check_int(info.sample_rate, 16000);
			for (size_t k = 0; k < info.frames; k++)
			{
				double expected = 16384 * sin(6.283185307179586 * 1000 * (double) k / 16000);
				int16_t left;
				int16_t mixed;

				REQUIRE(mb_wav_read_samples(&info, 0, k, 1, &left) == MB_OK);
				REQUIRE(mb_wav_read_samples(&info, MB_WAV_MIX, k, 1, &mixed) == MB_OK);
				check_int(left, mixed);
				error = fmax(error, fabs(left - expected));
			}
			/* one step of 8 bits; half a step of the laws' segment; one of 16 bits */
			if (!check_range(error, 0, i == 0 ? 256 : i >= 6 ? 520 : 1.5))
				check_note("%s", formats[i]);
		}
	}
}

static void
files_of_ours_are_read_by_sox(void)
{
	static const mb_encoding encodings[] = { MB_S16LE, MB_MULAW, MB_ALAW };

	if (system("command -v sox >/dev/null 2>&1") != 0)
		check_skip("sox is not installed");
	for (int e = 0; e < 3; e++)
	{
		int16_t samples[401];
		int16_t expected[401];
		int16_t got[401];
		uint8_t bytes[1000] = { 0 };
		uint8_t raw[2000];
		char path[] = "/tmp/mulberry-wav-XXXXXX";
		char command[256];
		size_t header = mb_wav_header_size(encodings[e]);
		uint64_t size;
		int fd = mkstemp(path);

		REQUIRE(fd >= 0);
		for (int i = 0; i < 401; i++)
			samples[i] = (int16_t) (i * 81 * (i % 2 ? -1 : 1));
		check_int(mb_wav_write_header(bytes, sizeof(bytes), encodings[e], 1, 8000, 401), MB_OK);
		mb_audio_encode(encodings[e], samples, 401, bytes + header);
		mb_audio_decode(encodings[e], bytes + header, 401 * mb_encoding_sample_size(encodings[e]),
						expected);
		check_int(mb_wav_file_size(encodings[e], 1, 401, &size), MB_OK);
		REQUIRE(write(fd, bytes, (size_t) size) == (ssize_t) size);
		close(fd);
		/* any warning of sox on the file comes to the output, too, and makes it too long */
		snprintf(command, sizeof(command), "sox -D -V2 -t wav %s -t raw -e signed -b 16 -L - 2>&1",
				 path);
		check_int(run(command, raw, sizeof(raw)), 802);
		unlink(path);
		check_int(mb_audio_decode(MB_S16LE, raw, 802, got), MB_OK);
		check_bytes(got, expected, sizeof(expected));
	}
}

int
main(void)
{
	check_run("every format reads to the right samples", every_format_reads_to_the_same_samples);
	check_run("NaN is silence, infinities saturate", not_a_number_is_silence);
	check_run("channels are chosen or mixed", channels_are_chosen_or_mixed);
	check_run("other chunks are skipped", other_chunks_are_skipped);
	check_run("every truncation is reported", every_truncation_is_reported);
	check_run("streamed files have all the rest", streamed_files_have_all_the_rest);
	check_run("malformed and foreign files are told apart",
			  malformed_and_foreign_files_are_told_apart);
	check_run("headers are exact", headers_are_exact);
	check_run("bad header arguments are refused", bad_header_arguments_are_refused);
	check_run("what is written reads back", what_is_written_reads_back);
	check_run("files of sox are read", files_of_sox_are_read);
	check_run("files of ours are read by sox", files_of_ours_are_read_by_sox);
	free(block);
	return check_done();
}
