/*
 * test_wav_writer.c
 *	  The WAV writer against the reader, byte by byte, and both against sox.
 */
#include "wav_files.h"

#include <unistd.h>

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
	check_run("headers are exact", headers_are_exact);
	check_run("bad header arguments are refused", bad_header_arguments_are_refused);
	check_run("what is written reads back", what_is_written_reads_back);
	check_run("files of sox are read", files_of_sox_are_read);
	check_run("files of ours are read by sox", files_of_ours_are_read_by_sox);
	free(block);
	return check_done();
}
