/*
 * test_modem_dle.c
 *	  The stream of a voice modem, both ways, and which form of audio is asked for.
 */
#include "check.h"
#include "core/modem/dle.h"
#include "core/modem/vsm.h"

typedef struct stream
{
	size_t n;
	size_t codes;
	uint8_t audio[3000];
	char said[100];	   /* codes in their order */
	size_t where[100]; /* bytes of audio before each */
} stream;

/* In pieces of "step" bytes in, and room for "space" bytes out. */
static stream
take(const uint8_t *bytes, size_t n, size_t step, size_t space)
{
	mb_dle dle = { 0 };
	stream stream;

	memset(&stream, 0, sizeof(stream));
	for (size_t i = 0; i < n;)
	{
		size_t piece = n - i < step ? n - i : step;
		uint8_t *copy = malloc(piece);
		uint8_t *out = malloc(space);
		size_t used;
		size_t produced;
		uint8_t code;
		bool said;

		memcpy(copy, bytes + i, piece);
		said = mb_dle_take(&dle, copy, piece, &used, out, space, &produced, &code);
		memcpy(stream.audio + stream.n, out, produced);
		stream.n += produced;
		if (said)
		{
			stream.where[stream.codes] = stream.n;
			stream.said[stream.codes++] = (char) code;
		}
		free(copy);
		free(out);
		i += used;
	}
	/* what one code stood for may be left */
	if (dle.second)
		stream.audio[stream.n++] = MB_DLE;
	return stream;
}

static const size_t steps[] = { 1, 2, 3, 16, 1000 };
#define N_STEPS (sizeof(steps) / sizeof(steps[0]))

static void
codes_and_audio_are_told_apart(void)
{
	static const uint8_t bytes[] = "ab\x10\x10"
								   "c\x10"
								   "5d\x10/\x10*\x10~ef\x10\x1Ag\x10\x1A\x10"
								   "b\x10\x03";
	static const uint8_t audio[] = "ab\x10"
								   "cdef\x10\x10g\x10\x10";

	for (size_t i = 0; i < N_STEPS; i++)
	{
		for (size_t j = 0; j < N_STEPS; j++)
		{
			stream stream = take(bytes, sizeof(bytes) - 1, steps[i], steps[j]);

			check_int(stream.n, sizeof(audio) - 1);
			check_bytes(stream.audio, audio, sizeof(audio) - 1);
			check_string(stream.said, "5/*~b\x03");
			check_int(stream.where[0], 4);
			check_int(stream.where[1], 5);
			check_int(stream.where[4], sizeof(audio) - 1);
		}
	}
}

static void
what_is_shielded_comes_back(void)
{
	check_random random = { 3 };
	uint8_t audio[1000];
	uint8_t shielded[2000];
	size_t n;

	for (size_t i = 0; i < sizeof(audio); i++)
		audio[i] = check_random_below(&random, 3) == 0 ? MB_DLE
													   : (uint8_t) check_random_below(&random, 256);
	n = mb_dle_shield(audio, sizeof(audio), shielded);
	for (size_t i = 0; i < N_STEPS; i++)
	{
		stream stream = take(shielded, n, steps[i], 7);

		check_int(stream.n, sizeof(audio));
		check_int(stream.codes, 0);
		check_bytes(stream.audio, audio, sizeof(audio));
	}
	memset(audio, MB_DLE, sizeof(audio));
	check_int(mb_dle_shield(audio, sizeof(audio), shielded), sizeof(shielded));
}

static void
the_stream_ends_where_it_says(void)
{
	static const uint8_t bytes[] = "a\x10\x03\r\nOK\r\n";
	mb_dle dle = { 0 };
	uint8_t out[10];
	uint8_t code;
	size_t used;
	size_t produced;

	REQUIRE(mb_dle_take(&dle, bytes, sizeof(bytes) - 1, &used, out, sizeof(out), &produced, &code));
	check_int(mb_dle_kind_of(code), MB_DLE_END);
	check_int(produced, 1);
	check_int(used, 3);
}

static void
codes_have_their_meaning(void)
{
	for (const char *digit = "0123456789*#ABCD"; *digit != '\0'; digit++)
		check_int(mb_dle_kind_of((uint8_t) *digit), MB_DLE_DIGIT);
	check_int(mb_dle_kind_of('/'), MB_DLE_DIGIT_BEGINS);
	check_int(mb_dle_kind_of('~'), MB_DLE_DIGIT_ENDS);
	check_int(mb_dle_kind_of('b'), MB_DLE_BUSY);
	check_int(mb_dle_kind_of('d'), MB_DLE_DIAL_TONE);
	check_int(mb_dle_kind_of('s'), MB_DLE_SILENCE);
	check_int(mb_dle_kind_of('q'), MB_DLE_QUIET);
	check_int(mb_dle_kind_of('R'), MB_DLE_RINGING);
	check_int(mb_dle_kind_of('c'), MB_DLE_FAX);
	check_int(mb_dle_kind_of('e'), MB_DLE_DATA_CALL);
	check_int(mb_dle_kind_of('h'), MB_DLE_HANDSET);
	check_int(mb_dle_kind_of('u'), MB_DLE_UNDERRUN);
	check_int(mb_dle_kind_of('o'), MB_DLE_OVERRUN);
	check_int(mb_dle_kind_of('E'), MB_DLE_UNKNOWN);
	check_int(mb_dle_kind_of(0), MB_DLE_UNKNOWN);
	check_int(mb_dle_kind_of(0xFF), MB_DLE_UNKNOWN);
}

static void
form_is(const char *line, mb_vsm_form form, int number)
{
	int found = -1;

	check_report(mb_vsm_read(line, &found) == form && (form == MB_VSM_FORMS || found == number),
				 __FILE__, __LINE__, "%s: number %d", line, found);
}

static void
forms_are_told_by_name(void)
{
	/* U.S. Robotics */
	form_is("128,\"8-BIT LINEAR\",(7200,8000,11025)", MB_VSM_UNSIGNED, 128);
	form_is("129,\"16-BIT LINEAR\",(7200,8000,11025)", MB_VSM_FORMS, 0);
	form_is("130,\"8-BIT ALAW\",(8000)", MB_VSM_ALAW, 130);
	form_is("131,\"8-BIT ULAW\",(8000)", MB_VSM_MULAW, 131);
	form_is("132,\"IMA ADPCM\",(7200,8000,11025)", MB_VSM_FORMS, 0);
	/* Conexant */
	form_is("0,\"SIGNED PCM\",8,0,8000,0,0", MB_VSM_SIGNED, 0);
	form_is("1,\"UNSIGNED PCM\",8,0,8000,0,0", MB_VSM_UNSIGNED, 1);
	form_is("+VSM: 130 , \"Unsigned PCM\",8,0,8000,0,0", MB_VSM_UNSIGNED, 130);
	form_is("140,\"2 Bit ADPCM\",2,0,8000,0,0", MB_VSM_FORMS, 0);
	form_is("1,\"UNSIGNED PCM\",16,0,8000,0,0", MB_VSM_FORMS, 0);
	/* no 8000 Hz */
	form_is("128,\"8-BIT LINEAR\",(7200,11025)", MB_VSM_FORMS, 0);
	form_is("128,\"8-BIT LINEAR\",(18000,80000)", MB_VSM_FORMS, 0);
	/* none at all */
	form_is("", MB_VSM_FORMS, 0);
	form_is("OK", MB_VSM_FORMS, 0);
	form_is("128", MB_VSM_FORMS, 0);
	form_is("128,", MB_VSM_FORMS, 0);
	form_is("128,\"8-BIT LINEAR 8000", MB_VSM_FORMS, 0);
	form_is("99999999999999999999,\"8-BIT LINEAR\",(8000)", MB_VSM_FORMS, 0);
}

static void
samples_go_both_ways(void)
{
	for (int form = 0; form < MB_VSM_FORMS; form++)
	{
		for (int byte = 0; byte < 256; byte++)
		{
			int16_t sample = mb_vsm_decode((mb_vsm_form) form, (uint8_t) byte);

			/* mu-law has two zeroes */
			check_int(mb_vsm_decode((mb_vsm_form) form, mb_vsm_encode((mb_vsm_form) form, sample)),
					  sample);
		}
	}
	check_int(mb_vsm_decode(MB_VSM_UNSIGNED, 128), 0);
	check_int(mb_vsm_decode(MB_VSM_UNSIGNED, 0), -32768);
	check_int(mb_vsm_decode(MB_VSM_SIGNED, 0), 0);
	check_int(mb_vsm_decode(MB_VSM_SIGNED, 0x80), -32768);
	check_int(mb_vsm_decode(MB_VSM_SIGNED, 0x7F), 32512);
	check_int(mb_vsm_encode(MB_VSM_UNSIGNED, 32767), 255);
	check_int(mb_vsm_encode(MB_VSM_UNSIGNED, -32768), 0);
	check_int(mb_vsm_encode(MB_VSM_UNSIGNED, 127), 128);
	check_int(mb_vsm_encode(MB_VSM_UNSIGNED, 128), 129);
}

int
main(void)
{
	check_run("codes and audio are told apart, however they are cut",
			  codes_and_audio_are_told_apart);
	check_run("what is shielded comes back", what_is_shielded_comes_back);
	check_run("the stream ends where it says", the_stream_ends_where_it_says);
	check_run("codes have their meaning", codes_have_their_meaning);
	check_run("forms of audio are told by their names", forms_are_told_by_name);
	check_run("samples go both ways", samples_go_both_ways);
	return check_done();
}
