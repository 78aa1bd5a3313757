/*
 * test_g711.c
 *	  G.711 against published vectors, the definition of the law, and two other
 *	  implementations over every possible input.
 *
 * Link with: -lspandsp
 */
#include "check.h"
#include "core/audio/g711.h"

#include <openssl/sha.h>
#include <spandsp.h>
#include <unistd.h>

#define N_LINEAR 65536

static void
mulaw_decodes_published_vectors(void)
{
	static const struct
	{
		uint8_t code;
		int16_t sample;
	} vectors[] = {
		{ 0x00, -32124 }, { 0x01, -31100 }, { 0x0F, -16764 }, { 0x10, -15996 }, { 0x7E, -8 },
		{ 0x7F, 0 },	  { 0x80, 32124 },	{ 0xF0, 120 },	  { 0xFE, 8 },		{ 0xFF, 0 },
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		check_int(mb_mulaw_decode(vectors[i].code), vectors[i].sample);
}

/* The digest of all 256 decoded values, as other decoders give them. */
static void
mulaw_table_has_known_digest(void)
{
	static const uint8_t expected[SHA256_DIGEST_LENGTH] = {
		0x3d, 0xab, 0x54, 0x33, 0x9e, 0x52, 0x0b, 0xb2, 0xc9, 0x24, 0x82,
		0x6e, 0x3b, 0x72, 0xa9, 0x17, 0xa2, 0xb6, 0x12, 0xe9, 0xfd, 0x12,
		0xfc, 0x86, 0x75, 0x00, 0xf1, 0xd9, 0x83, 0xa7, 0x58, 0x27,
	};
	uint8_t bytes[512];
	uint8_t digest[SHA256_DIGEST_LENGTH];

	check_int(mb_audio_encode(MB_S16LE, mb_mulaw_table, 256, bytes), MB_OK);
	SHA256(bytes, sizeof(bytes), digest);
	check_bytes(digest, expected, sizeof(expected));
}

static void
mulaw_encodes_published_vectors(void)
{
	static const struct
	{
		int16_t sample;
		uint8_t code;
	} vectors[] = {
		{ 0, 0xFF },
		{ 4, 0xFE },
		{ -4, 0x7E },
		{ 8, 0xFE },
		{ 100, 0xF2 },
		{ -100, 0x72 },
		{ 1000, 0xCE },
		{ -1000, 0x4E },
		{ 8031, 0xA0 },
		{ 32635, 0x80 },
		{ 32767, 0x80 },
		{ -32768, 0x00 },
		/* our choice around zero, where implementations differ */
		{ 3, 0xFF },
		{ -1, 0x7F },
		{ -3, 0x7F },
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		check_int(mb_mulaw_encode(vectors[i].sample), vectors[i].code);
}

/* Every code word survives decoding and encoding; only mu-law's negative zero has a twin. */
static void
code_words_survive_a_round_trip(void)
{
	for (int code = 0; code < 256; code++)
	{
		check_int(mb_mulaw_encode(mb_mulaw_decode((uint8_t) code)), code == 0x7F ? 0xFF : code);
		check_int(mb_alaw_encode(mb_alaw_decode((uint8_t) code)), code);
	}
	check_int(mb_mulaw_encode(0), MB_MULAW_SILENCE);
	check_int(mb_alaw_encode(0), MB_ALAW_SILENCE);
}

/*
 * Coding and decoding errs by at most half a step of the segment, for every
 * sample that the law does not clip.
 */
static void
error_is_at_most_half_a_step(void)
{
	for (int sample = -32124; sample <= 32124; sample++)
	{
		int magnitude = abs(sample);
		int mulaw = mb_mulaw_decode(mb_mulaw_encode((int16_t) sample));
		int alaw = mb_alaw_decode(mb_alaw_encode((int16_t) sample));

		/* a mu-law segment begins at (128 << k) - 132 and has steps of 8 << k */
		check_range(abs(mulaw - sample), 0, (magnitude + 132) / 32.0);
		/* an A-law segment begins at 256 << k and has steps of 16 << k */
		check_range(abs(alaw - sample), 0, magnitude < 256 ? 8 : magnitude / 32.0);
	}
}

static void
agrees_with_spandsp_on_every_input(void)
{
	for (int sample = -32768; sample < 32768; sample++)
	{
		check_int(mb_mulaw_encode((int16_t) sample), linear_to_ulaw(sample));
		check_int(mb_alaw_encode((int16_t) sample), linear_to_alaw(sample));
	}
	for (int code = 0; code < 256; code++)
	{
		check_int(mb_mulaw_decode((uint8_t) code), ulaw_to_linear((uint8_t) code));
		check_int(mb_alaw_decode((uint8_t) code), alaw_to_linear((uint8_t) code));
	}
}

/* Runs sox over a file with the given options; returns the number of bytes read. */
static size_t
run_sox(const char *options, const void *input, size_t n_input, uint8_t *output, size_t capacity)
{
	char path[] = "/tmp/mulberry-g711-XXXXXX";
	char command[512];
	int fd = mkstemp(path);
	size_t n = 0;
	FILE *pipe;

	if (fd < 0)
		return 0;
	if (write(fd, input, n_input) == (ssize_t) n_input)
	{
		snprintf(command, sizeof(command), "sox -D -V1 -r 8000 -c 1 %s", options);
		/* the options name the input as INPUT */
		char *place = strstr(command, "INPUT");

		if (place != NULL)
		{
			char rest[256];

			snprintf(rest, sizeof(rest), "%s", place + strlen("INPUT"));
			snprintf(place, sizeof(command) - (size_t) (place - command), "%s%s", path, rest);
			pipe = popen(command, "r");
			if (pipe != NULL)
			{
				n = fread(output, 1, capacity, pipe);
				pclose(pipe);
			}
		}
	}
	close(fd);
	unlink(path);
	return n;
}

static bool
have_sox(void)
{
	return system("command -v sox >/dev/null 2>&1") == 0;
}

/*
 * sox decodes alike.  Encoding, it first rounds to the 14 (mu-law) or 13
 * (A-law) bits of the standard's own scale, so it agrees for samples that
 * have been rounded so, all 65,536 of them; on the others it differs only
 * beside decision values.
 */
static void
agrees_with_sox_after_its_rounding(void)
{
	static int16_t samples[N_LINEAR];
	static uint8_t bytes[2 * N_LINEAR];
	static uint8_t sox_codes[N_LINEAR];
	static uint8_t decoded[512];
	uint8_t codes[256];
	int16_t values[256];

	if (!have_sox())
		check_skip("sox is not installed");
	for (int i = 0; i < 256; i++)
		codes[i] = (uint8_t) i;
	for (int i = 0; i < N_LINEAR; i++)
		samples[i] = (int16_t) (i - 32768);
	mb_audio_encode(MB_S16LE, samples, N_LINEAR, bytes);

	for (int law = 0; law < 2; law++)
	{
		int bits = law == 0 ? 2 : 3;
		int differ = 0;
		char options[128];

		snprintf(options, sizeof(options), "-t raw -e signed -b 16 INPUT -t %s -",
				 law == 0 ? "ul" : "al");
		REQUIRE(run_sox(options, bytes, sizeof(bytes), sox_codes, N_LINEAR) == N_LINEAR);
		for (int i = 0; i < N_LINEAR; i++)
		{
			int rounded = ((samples[i] + (1 << (bits - 1))) >> bits) * (1 << bits);
			uint8_t ours;

			if (rounded > 32767)
				rounded = 32767;
			ours =
				law == 0 ? mb_mulaw_encode((int16_t) rounded) : mb_alaw_encode((int16_t) rounded);
			check_int(sox_codes[i], ours);
			if (sox_codes[i] !=
				(law == 0 ? mb_mulaw_encode(samples[i]) : mb_alaw_encode(samples[i])))
				differ++;
		}
		/* what g711.h says about sox: differences are few */
		check_int(differ, law == 0 ? 383 : 1020);

		snprintf(options, sizeof(options), "-t %s INPUT -t raw -e signed -b 16 -",
				 law == 0 ? "ul" : "al");
		REQUIRE(run_sox(options, codes, sizeof(codes), decoded, sizeof(decoded)) ==
				sizeof(decoded));
		check_int(mb_audio_decode(MB_S16LE, decoded, sizeof(decoded), values), MB_OK);
		check_bytes(values, law == 0 ? mb_mulaw_table : mb_alaw_table, sizeof(values));
	}
}

static void
blocks_equal_single_samples(void)
{
	static const mb_encoding encodings[] = { MB_MULAW, MB_ALAW, MB_S16LE };
	check_random random = { 711 };
	int16_t samples[333];
	int16_t back[333];
	uint8_t bytes[667];

	for (int i = 0; i < 333; i++)
		samples[i] = (int16_t) check_random_bits(&random);
	for (int e = 0; e < 3; e++)
	{
		size_t size = mb_encoding_sample_size(encodings[e]);
		size_t n;

		/* odd address: raw audio need not be aligned */
		check_int(mb_audio_encode(encodings[e], samples, 333, bytes + 1), MB_OK);
		check_int(mb_audio_sample_count(encodings[e], 333 * size, &n), MB_OK);
		check_int(n, 333);
		check_int(mb_audio_decode(encodings[e], bytes + 1, 333 * size, back), MB_OK);
		for (int i = 0; i < 333; i++)
		{
			if (encodings[e] == MB_MULAW)
				check_int(back[i], mb_mulaw_decode(mb_mulaw_encode(samples[i])));
			else if (encodings[e] == MB_ALAW)
				check_int(back[i], mb_alaw_decode(mb_alaw_encode(samples[i])));
			else
				check_int(back[i], samples[i]);
		}
		check_int(mb_audio_silence(encodings[e], 333, bytes), MB_OK);
		check_int(mb_audio_decode(encodings[e], bytes, 333 * size, back), MB_OK);
		for (int i = 0; i < 333; i++)
			check_range(back[i], 0, 8);
	}
}

static void
bad_input_changes_nothing(void)
{
	uint8_t bytes[3] = { 1, 2, 3 };
	int16_t out[2] = { 77, 78 };
	size_t n = 99;

	check_int(mb_audio_decode(MB_S16LE, bytes, 3, out), MB_ERR_ODD_BYTES);
	check_int(mb_audio_sample_count(MB_S16LE, 3, &n), MB_ERR_ODD_BYTES);
	check_int(mb_audio_decode((mb_encoding) 9, bytes, 2, out), MB_ERR_ENCODING);
	check_int(mb_audio_encode((mb_encoding) 9, out, 2, bytes), MB_ERR_ENCODING);
	check_int(mb_audio_silence((mb_encoding) 9, 2, bytes), MB_ERR_ENCODING);
	check_int(out[0], 77);
	check_int(out[1], 78);
	check_int(bytes[0], 1);
	check_int(n, 99);
	check_int(mb_audio_decode(MB_S16LE, bytes, 0, out), MB_OK);
}

static void
names_and_sizes_of_encodings(void)
{
	mb_encoding encoding = MB_S16LE;

	check_int(mb_encoding_from_name("mulaw", &encoding), MB_OK);
	check_int(encoding, MB_MULAW);
	check_int(mb_encoding_from_name("alaw", &encoding), MB_OK);
	check_int(encoding, MB_ALAW);
	check_int(mb_encoding_from_name("s16le", &encoding), MB_OK);
	check_int(encoding, MB_S16LE);
	check_int(mb_encoding_from_name("MULAW", &encoding), MB_ERR_ENCODING);
	check_int(mb_encoding_from_name("", &encoding), MB_ERR_ENCODING);
	check_int(encoding, MB_S16LE);
	check_string(mb_encoding_name(MB_ALAW), "alaw");
	check(mb_encoding_name((mb_encoding) 17) == NULL);
	check_int(mb_encoding_sample_size(MB_MULAW), 1);
	check_int(mb_encoding_sample_size(MB_ALAW), 1);
	check_int(mb_encoding_sample_size(MB_S16LE), 2);
	for (int status = MB_OK; status <= MB_ERR_CRYPTO; status++)
		check(strcmp(mb_status_message((mb_status) status), "unknown status") != 0);
	check_string(mb_status_message((mb_status) 999), "unknown status");
	check(mb_rate_supported(8000) && mb_rate_supported(16000) && mb_rate_supported(44100) &&
		  mb_rate_supported(48000));
	check(!mb_rate_supported(0) && !mb_rate_supported(-8000) && !mb_rate_supported(22050));
}

int
main(void)
{
	check_run("mu-law decodes the published vectors", mulaw_decodes_published_vectors);
	check_run("the mu-law table has the known digest", mulaw_table_has_known_digest);
	check_run("mu-law encodes the published vectors", mulaw_encodes_published_vectors);
	check_run("every code word survives a round trip", code_words_survive_a_round_trip);
	check_run("coding errs by at most half a step", error_is_at_most_half_a_step);
	check_run("both laws agree with libspandsp on every input", agrees_with_spandsp_on_every_input);
	check_run("both laws agree with sox after its rounding", agrees_with_sox_after_its_rounding);
	check_run("block functions equal single samples", blocks_equal_single_samples);
	check_run("bad input is refused and changes nothing", bad_input_changes_nothing);
	check_run("encodings, statuses and rates are named", names_and_sizes_of_encodings);
	return check_done();
}
