/*
 * test_wav.c
 *	  The WAV reader over every format and over what real and broken files hold.
 */
#include "wav_files.h"

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

/* A chunk of sizes, as RF64 and BW64 have it. */
static void
add_sizes(file *f, uint64_t riff, uint64_t data)
{
	add(f, "ds64", 4);
	add_number(f, 28, 4);
	add_number(f, (uint32_t) riff, 4);
	add_number(f, (uint32_t) (riff >> 32), 4);
	add_number(f, (uint32_t) data, 4);
	add_number(f, (uint32_t) (data >> 32), 4);
	add_number(f, 0, 4);
	add_number(f, 0, 4);
	add_number(f, 0, 4);
}

static void
files_with_sizes_of_64_bits_are_read(void)
{
	static const char *const names[] = { "RF64", "BW64" };
	static const struct
	{
		uint64_t sizes; /* what the chunk of sizes says of 6 bytes of data */
		uint32_t size;	/* and the data chunk itself */
		mb_status status;
		size_t frames;
		bool streamed;
	} cases[] = {
		{ 6, 0xFFFFFFFF, MB_OK, 3, false },
		{ 4, 0xFFFFFFFF, MB_OK, 2, false },
		/* its own size counts where it has one */
		{ 100, 6, MB_OK, 3, false },
		{ 8, 0xFFFFFFFF, MB_ERR_TRUNCATED, 3, false },
		{ 0x100000000, 0xFFFFFFFF, MB_OK, 3, true },
		{ UINT64_MAX, 0xFFFFFFFF, MB_OK, 3, true },
	};

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		{
			mb_wav_info info;
			int16_t samples[3];
			file f;

			begin(&f);
			memcpy(f.bytes, names[k], 4);
			memset(f.bytes + 4, 0xFF, 4);
			add_sizes(&f, 100, cases[i].sizes);
			add_fmt(&f, 1, 1, 8000, 16);
			add(&f, "data", 4);
			add_number(&f, cases[i].size, 4);
			add(&f, "\1\0\2\0\3\0", 6);
			if (!check_int(read_file(&f, &info), cases[i].status))
				check_note("case %zu", i);
			check_int(info.frames, cases[i].frames);
			check_int(info.streamed, cases[i].streamed);
			check_int(mb_wav_read_samples(&info, 0, 0, info.frames, samples), MB_OK);
			check_int(samples[1], 2);
		}
	for (int i = 0; i < 3; i++)
	{
		mb_wav_info info;
		file f;

		/* without its sizes, with them twice, too few of them */
		begin(&f);
		memcpy(f.bytes, "RF64", 4);
		for (int k = 0; k < (i == 1 ? 2 : i / 2); k++)
			add_sizes(&f, 100, 6);
		if (i == 2)
			f.bytes[16] = 26;
		add_fmt(&f, 1, 1, 8000, 16);
		add_chunk(&f, "data", "abcdef", 6);
		check_int(read_file(&f, &info), MB_ERR_FORMAT);
	}
}

/* Numbers and samples of a RIFX have their highest byte first. */
static void
files_of_the_other_byte_order_are_read(void)
{
	static const struct
	{
		const char *bytes;
		int tag, bits, channels, size;
		int16_t sample;
		bool raw;
	} cases[] = {
		{ "\x12\x34", 1, 16, 1, 2, 0x1234, false },
		{ "\x12\x34\x12\x36", 1, 16, 2, 4, 0x1235, false },
		{ "\x12\x34\x56", 1, 24, 1, 3, 0x1234, false },
		{ "\x12\x34\x56\x78", 1, 32, 1, 4, 0x1234, false },
		{ "\x3F\0\0\0", 3, 32, 1, 4, 0x4000, false },
		{ "\x3F\xE0\0\0\0\0\0\0", 3, 64, 1, 8, 0x4000, false },
		{ "\x90", 1, 8, 1, 1, 0x1000, false },
		{ "\xFF", 7, 8, 1, 1, 0, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		int block_align = cases[i].channels * cases[i].bits / 8;
		uint8_t fmt[16] = {
			0, (uint8_t) cases[i].tag, 0, (uint8_t) cases[i].channels, 0, 0, 0x1F, 0x40, 0, 0, 0, 0,
			0, (uint8_t) block_align,  0, (uint8_t) cases[i].bits
		};
		mb_encoding encoding;
		mb_wav_info info;
		int16_t sample;
		file f;

		memset(&f, 0, sizeof(f));
		add(&f, "RIFX\0\0\0\0WAVEfmt \0\0\0\20", 20);
		add(&f, fmt, sizeof(fmt));
		add(&f, "data\0\0\0", 7);
		add_number(&f, (uint32_t) cases[i].size, 1);
		add(&f, cases[i].bytes, (size_t) cases[i].size);
		if (!check_int(read_file(&f, &info), MB_OK))
			check_note("case %zu", i);
		check(info.big_endian);
		check_int(info.sample_rate, 8000);
		check_int(info.channels, cases[i].channels);
		check_int(info.frames, 1);
		check_int(mb_wav_read_samples(&info, MB_WAV_MIX, 0, 1, &sample), MB_OK);
		check_int(sample, cases[i].sample);
		check_int(mb_wav_raw_encoding(&info, &encoding), cases[i].raw);
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
	check_int(read_exactly((const uint8_t *) "RIFX\0\0\0\4WAVE", 12, &info), MB_ERR_TRUNCATED);
	check_int(read_exactly((const uint8_t *) "RF64\4\0\0\0WAVE", 12, &info), MB_ERR_TRUNCATED);
	check_int(read_exactly((const uint8_t *) "BW64\4\0\0\0WAV", 11, &info), MB_ERR_TRUNCATED);
	check_int(read_exactly((const uint8_t *) "RIFY\4\0\0\0WAVE", 12, &info), MB_ERR_FORMAT);
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

int
main(void)
{
	check_run("every format reads to the right samples", every_format_reads_to_the_same_samples);
	check_run("NaN is silence, infinities saturate", not_a_number_is_silence);
	check_run("channels are chosen or mixed", channels_are_chosen_or_mixed);
	check_run("other chunks are skipped", other_chunks_are_skipped);
	check_run("every truncation is reported", every_truncation_is_reported);
	check_run("streamed files have all the rest", streamed_files_have_all_the_rest);
	check_run("files with sizes of 64 bits are read", files_with_sizes_of_64_bits_are_read);
	check_run("files of the other byte order are read", files_of_the_other_byte_order_are_read);
	check_run("malformed and foreign files are told apart",
			  malformed_and_foreign_files_are_told_apart);
	free(block);
	return check_done();
}
