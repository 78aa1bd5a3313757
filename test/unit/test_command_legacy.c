/*
 * test_command_legacy.c
 *	  The textual command form against the original's own output, its tests, and the places
 *	  where it was careless.
 */
#include "check.h"
#include "core/command/command_legacy.h"

#define SECRET "test_secret_key"
#define MINUTE INT64_C(29000000)

/* Made with the original Python functions. */
static const struct
{
	const char *secret;
	int code;
	const char *mandate;
	int64_t minute;
	bool with_minute;
	const char *sequence;
	const char *payload;
} vectors[] = {
	{ SECRET, 1, "12345678", 29000000, true, "*#01-12345678-2955##", "011234567829000000" },
	{ SECRET, 99, "12345678", 29000000, true, "*#99-12345678-AD3B##", "991234567829000000" },
	{ SECRET, 3, "12345678", 29000001, true, "*#03-12345678-01E8##", "031234567829000001" },
	{ SECRET, 4, "00000000", 0, false, "*#04-00000000-5A5E##", "0400000000" },
	{ "비밀 열쇠 하나", 2, "99999999", 29000000, true, "*#02-99999999-94F2##",
	  "029999999929000000" },
	{ "change_me_in_production", 1, "12345678", 0, true, "*#01-12345678-5FCD##", "01123456780" },
	{ SECRET, 1, "12345678", -1, true, "*#01-12345678-F9B2##", "0112345678-1" },
	{ SECRET, 1, "12345678", INT64_C(4294967296), true, "*#01-12345678-0135##",
	  "01123456784294967296" },
};

static mb_legacy_status
verify(const char *sequence, int window, int64_t minute, mb_legacy_command *command)
{
	return mb_legacy_verify(sequence, strlen(sequence), SECRET, strlen(SECRET), window, minute,
							command);
}

static void
sequences_are_those_of_the_original(void)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
	{
		char sequence[MB_LEGACY_SEQUENCE_LENGTH + 1];
		char payload[MB_LEGACY_PAYLOAD_MAX];

		check_int(mb_legacy_generate(vectors[i].code, vectors[i].mandate, vectors[i].secret,
									 strlen(vectors[i].secret),
									 vectors[i].with_minute ? &vectors[i].minute : NULL, sequence,
									 payload),
				  MB_OK);
		check_string(sequence, vectors[i].sequence);
		check_string(payload, vectors[i].payload);
	}
}

static void
sequences_verify_in_their_window(void)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
	{
		const char *sequence = vectors[i].sequence;
		size_t n = strlen(sequence);
		const char *secret = vectors[i].secret;
		mb_legacy_command command = { 0 };

		if (!vectors[i].with_minute)
			continue;
		for (int late = 0; late <= 5; late++)
		{
			check_int(mb_legacy_verify(sequence, n, secret, strlen(secret), 5,
									   vectors[i].minute + late, &command),
					  MB_LEGACY_VALID);
			check_int(command.code, vectors[i].code);
			check_string(command.mandate, vectors[i].mandate);
			check_int(command.minute, vectors[i].minute);
		}
		check_int(mb_legacy_verify(sequence, n, secret, strlen(secret), 5, vectors[i].minute + 6,
								   &command),
				  MB_LEGACY_MISMATCH);
		check_int(mb_legacy_verify(sequence, n, secret, strlen(secret), 5, vectors[i].minute - 1,
								   &command),
				  MB_LEGACY_MISMATCH);
		check_int(
			mb_legacy_verify(sequence, n, secret, strlen(secret), 0, vectors[i].minute, &command),
			MB_LEGACY_VALID);
		check_int(mb_legacy_verify(sequence, n, secret, strlen(secret), 0, vectors[i].minute + 1,
								   &command),
				  MB_LEGACY_MISMATCH);
	}
}

/* The original's test_invalid_format and test_wrong_hmac, and more of their kind. */
static void
malformed_sequences_are_named(void)
{
	static const struct
	{
		const char *sequence;
		mb_legacy_status status;
	} cases[] = {
		{ "12345678", MB_LEGACY_FORMAT },
		{ "*12345678#", MB_LEGACY_FORMAT },
		{ "*#12345678", MB_LEGACY_FORMAT },
		{ "", MB_LEGACY_FORMAT },
		{ "*#", MB_LEGACY_FORMAT },
		{ "##", MB_LEGACY_FORMAT },
		{ "*##", MB_LEGACY_STRUCTURE }, /* the markers share a symbol, as in the original */
		{ "*###", MB_LEGACY_STRUCTURE },
		{ "*#01-12345678##", MB_LEGACY_STRUCTURE },
		{ "*#01-12345678-2955-##", MB_LEGACY_STRUCTURE },
		{ "*#01-1234-5678-2955##", MB_LEGACY_STRUCTURE },
		{ "*#---##", MB_LEGACY_STRUCTURE },
		{ "*#--##", MB_LEGACY_COMMAND },
		{ "*#1-12345678-2955##", MB_LEGACY_COMMAND },
		{ "*#001-12345678-2955##", MB_LEGACY_COMMAND },
		{ "*#00-12345678-2955##", MB_LEGACY_COMMAND },
		{ "*#05-12345678-D75A##", MB_LEGACY_COMMAND }, /* RESUME came later */
		{ "*# 1-12345678-2955##", MB_LEGACY_COMMAND },
		{ "*#01-1234-AAAA##", MB_LEGACY_MANDATE },
		{ "*#01-1234567x-2955##", MB_LEGACY_MANDATE },
		{ "*#01-123456789-2955##", MB_LEGACY_MANDATE },
		{ "*#01-12345678-0000##", MB_LEGACY_MISMATCH },
		{ "*#01-12345678-##", MB_LEGACY_MISMATCH },
		{ "*#01-12345678-295##", MB_LEGACY_MISMATCH },
		{ "*#01-12345678-29555##", MB_LEGACY_MISMATCH },
		{ "*#01-12345678-2955 ##", MB_LEGACY_MISMATCH },
		{ "*#99-12345678-ad3b##", MB_LEGACY_MISMATCH }, /* lower case */
		{ "*#02-12345678-2955##", MB_LEGACY_MISMATCH },
		{ "*#01-12345679-2955##", MB_LEGACY_MISMATCH },
		{ " *#01-12345678-2955##", MB_LEGACY_FORMAT },
		{ "*#01-12345678-2955## ", MB_LEGACY_FORMAT },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		mb_legacy_command command = { .minute = 77 };

		check_report(verify(cases[i].sequence, 5, MINUTE, &command) == cases[i].status, __FILE__,
					 __LINE__, "%s: not status %d", cases[i].sequence, cases[i].status);
		check_int(command.minute, 77);
	}
}

/* Every prefix of a good sequence, in memory of exactly its length. */
static void
nothing_is_read_beyond_the_end(void)
{
	const char *sequence = "*#01-12345678-2955##";

	for (size_t n = 0; n <= strlen(sequence); n++)
	{
		char *copy = malloc(n > 0 ? n : 1);
		mb_legacy_command command;

		memcpy(copy, sequence, n);
		check_int(mb_legacy_verify(copy, n, SECRET, strlen(SECRET), 5, MINUTE, &command) ==
					  MB_LEGACY_VALID,
				  n == strlen(sequence));
		free(copy);
	}
}

/* 29000027 and 29000048 have the same tag for this mandate; the original says the earlier. */
static void
the_earliest_minute_that_fits_is_said(void)
{
	mb_legacy_command command = { 0 };

	check_int(verify("*#01-12345678-68ED##", 30, 29000048, &command), MB_LEGACY_VALID);
	check_int(command.minute, 29000027);
	check_int(verify("*#01-12345678-68ED##", 20, 29000048, &command), MB_LEGACY_VALID);
	check_int(command.minute, 29000048);
}

/*
 * In the original *#01--1355## is a valid revocation of "": it is signed by what was made for mandate
 * 29000000 without a timestamp.  And four digits are as good as eight when signed.
 */
static void
a_mandate_id_is_always_eight_digits(void)
{
	char sequence[MB_LEGACY_SEQUENCE_LENGTH + 1] = "";
	char payload[MB_LEGACY_PAYLOAD_MAX] = "";
	mb_legacy_command command;

	check_int(mb_legacy_generate(1, "29000000", SECRET, strlen(SECRET), NULL, sequence, payload),
			  MB_OK);
	check_string(sequence, "*#01-29000000-1355##");
	check_int(verify("*#01--1355##", 0, MINUTE, &command), MB_LEGACY_MANDATE);
	check_int(verify("*#01-1234-2EC1##", 0, MINUTE, &command), MB_LEGACY_MANDATE);
}

static void
sequences_without_a_timestamp_never_verify(void)
{
	mb_legacy_command command;

	check_int(verify("*#04-00000000-5A5E##", 5, MINUTE, &command), MB_LEGACY_MISMATCH);
	check_int(verify("*#01-29000000-1355##", 0, MINUTE, &command), MB_LEGACY_MISMATCH);
}

static void
bad_arguments_are_refused(void)
{
	static const int codes[] = { 0, 5, 6, 98, 100, -1 };
	static const char *const mandates[] = { "", "1234567", "123456789", "1234567a",
											"１２３４５６７８" };
	char sequence[MB_LEGACY_SEQUENCE_LENGTH + 1] = "unchanged";
	char payload[MB_LEGACY_PAYLOAD_MAX] = "unchanged";
	int64_t minute = MINUTE;
	mb_legacy_command command;

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		check_int(mb_legacy_generate(codes[i], "12345678", SECRET, strlen(SECRET), &minute,
									 sequence, payload),
				  MB_ERR_RANGE);
	for (size_t i = 0; i < sizeof(mandates) / sizeof(mandates[0]); i++)
		check_int(
			mb_legacy_generate(1, mandates[i], SECRET, strlen(SECRET), &minute, sequence, payload),
			MB_ERR_RANGE);
	check_string(sequence, "unchanged");
	check_string(payload, "unchanged");

	check_int(verify("*#01-12345678-2955##", -1, MINUTE, &command), MB_LEGACY_RANGE);
	check_int(verify("*#01-12345678-2955##", MB_LEGACY_MAX_WINDOW + 1, MINUTE, &command),
			  MB_LEGACY_RANGE);
	check_int(verify("*#01-12345678-2955##", 5, INT64_MIN, &command), MB_LEGACY_RANGE);
	check_int(verify("*#01-12345678-2955##", 5, INT64_MAX, &command), MB_LEGACY_RANGE);
	check_int(verify("*#01-12345678-2955##", MB_LEGACY_MAX_WINDOW, MINUTE, &command),
			  MB_LEGACY_VALID);
}

static void
sentences_and_codes_are_the_protocols(void)
{
	check_string(mb_legacy_message(MB_LEGACY_FORMAT), "Invalid format");
	check_string(mb_legacy_message(MB_LEGACY_STRUCTURE), "Invalid structure");
	check_string(mb_legacy_message(MB_LEGACY_COMMAND), "Unknown command code");
	check_string(mb_legacy_message(MB_LEGACY_MISMATCH), "HMAC mismatch or expired");
	check(mb_legacy_message(MB_LEGACY_VALID) == NULL);
	check(mb_legacy_error_code(MB_LEGACY_VALID) == NULL);
	check_string(mb_legacy_error_code(MB_LEGACY_MANDATE), "E001");
	check_string(mb_legacy_error_code(MB_LEGACY_MISMATCH), "E002");
	for (int status = MB_LEGACY_FORMAT; status <= MB_LEGACY_FAILURE; status++)
		check(mb_legacy_message((mb_legacy_status) status) != NULL &&
			  mb_legacy_error_code((mb_legacy_status) status) != NULL);
}

int
main(void)
{
	check_run("sequences are those of the original", sequences_are_those_of_the_original);
	check_run("sequences verify in their window alone", sequences_verify_in_their_window);
	check_run("malformed sequences are named", malformed_sequences_are_named);
	check_run("nothing is read beyond the end", nothing_is_read_beyond_the_end);
	check_run("the earliest minute that fits is said", the_earliest_minute_that_fits_is_said);
	check_run("a mandate id is always eight digits", a_mandate_id_is_always_eight_digits);
	check_run("sequences without a timestamp never verify",
			  sequences_without_a_timestamp_never_verify);
	check_run("bad arguments are refused and change nothing", bad_arguments_are_refused);
	check_run("sentences and codes are the protocol's", sentences_and_codes_are_the_protocols);
	return check_done();
}
