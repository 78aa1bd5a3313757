/*
 * test_command.c
 *	  Command and acknowledgement frames against the published vectors, their limits, and what
 *	  their check digits are there to catch.
 */
#include "check.h"
#include "core/command/command.h"
#include "command_setup.h"

/* VOICE_COMMANDS.md section 2. */
static const struct
{
	int key_id;
	int code;
	const char *mandate;
	int argument;
	uint64_t counter;
	const char *nonce;
	const char *frame;
	int ack_status;
	int ack_state;
	const char *ack; /* NULL: none published */
} vectors[] = {
	{ 7, 1, "12345678", 0, 42, NULL, "*070112345678000042608379340855#", 0, 1,
	  "*07000100426040297750#" },
	{ 7, 2, "12345678", 0, 43, NULL, "*070212345678000043840112923938#", 0, 3,
	  "*07000300434898431540#" },
	{ 7, 3, "87654321", 14, 9999, NULL, "*070387654321149999682855456053#", 0, 3,
	  "*07000399994103607010#" },
	{ 7, 4, "00000001", 0, 10000, NULL, "*070400000001000000228238911697#", 0, 3,
	  "*07000300007647908056#" },
	{ 7, 3, "12345678", 30, 10043, "493817", "*070312345678300043284285852957#", 0, 0, NULL },
	{ 99, 99, "00000000", 0, 1, "", "*999900000000000001869025457877#", 0, 3,
	  "*99000300014450438767#" },
};

#define N_VECTORS (sizeof(vectors) / sizeof(vectors[0]))

static void
keys_are_derived_as_specified(void)
{
	/* computed with another HMAC implementation */
	static const uint8_t command[4] = { 0x49, 0xd9, 0xc2, 0x0f };
	static const uint8_t ack[4] = { 0x4b, 0x75, 0x99, 0xfd };
	mb_command_keys keys;
	mb_command_party party;

	vector_keys(&keys, &party);
	check_bytes(keys.command, command, sizeof(command));
	check_bytes(keys.ack, ack, sizeof(ack));
}

static void
commands_are_built_as_published(void)
{
	mb_command_keys keys;
	mb_command_party party;

	vector_keys(&keys, &party);
	for (size_t i = 0; i < N_VECTORS; i++)
	{
		mb_command command = make_command(vectors[i].key_id, vectors[i].code, vectors[i].mandate,
										  vectors[i].argument);
		char frame[MB_COMMAND_FRAME_LENGTH + 1] = "";

		check_int(mb_command_build(&keys, &party, &command, vectors[i].counter, vectors[i].nonce,
								   frame, NULL),
				  MB_OK);
		check_string(frame, vectors[i].frame);
	}
}

static void
commands_are_parsed_as_published(void)
{
	for (size_t i = 0; i < N_VECTORS; i++)
	{
		mb_command_frame fields;

		check_int(mb_command_parse(vectors[i].frame, strlen(vectors[i].frame), &fields),
				  MB_FRAME_OK);
		check_int(fields.command.key_id, vectors[i].key_id);
		check_int(fields.command.code, vectors[i].code);
		check_string(fields.command.mandate, vectors[i].mandate);
		check_int(fields.command.argument, vectors[i].argument);
		check_int(fields.counter, vectors[i].counter % MB_COUNTER_MODULUS);
		check_bytes(fields.tag, vectors[i].frame + 19, MB_COMMAND_TAG_LENGTH);
		check_int(strlen(fields.tag), MB_COMMAND_TAG_LENGTH);
		check_int(fields.check, atoi(vectors[i].frame + 29));
		check(mb_command_meaningful(&fields.command));
	}
}

/* Signs a vector's command again to get SHA256(M). */
static bool
vector_digest(size_t i, const mb_command_keys *keys, const mb_command_party *party,
			  uint8_t digest[MB_SHA256_SIZE])
{
	mb_command command =
		make_command(vectors[i].key_id, vectors[i].code, vectors[i].mandate, vectors[i].argument);
	char tag[MB_COMMAND_TAG_LENGTH + 1];

	return mb_command_sign(keys, party, &command, vectors[i].counter, vectors[i].nonce, tag,
						   digest) == MB_OK;
}

static void
acknowledgements_are_built_and_verified_as_published(void)
{
	mb_command_keys keys;
	mb_command_party party;

	vector_keys(&keys, &party);
	for (size_t i = 0; i < N_VECTORS; i++)
	{
		uint8_t digest[MB_SHA256_SIZE];
		char frame[MB_ACK_FRAME_LENGTH + 1] = "";
		mb_ack_frame fields;

		if (vectors[i].ack == NULL)
			continue;
		REQUIRE(vector_digest(i, &keys, &party, digest));
		check_int(mb_ack_build(&keys, &party, vectors[i].key_id, vectors[i].ack_status,
							   vectors[i].ack_state, vectors[i].counter, digest, frame),
				  MB_OK);
		check_string(frame, vectors[i].ack);
		check_int(mb_ack_parse(vectors[i].ack, strlen(vectors[i].ack), &fields), MB_FRAME_OK);
		check_int(
			mb_ack_verify(&fields, &keys, &party, vectors[i].key_id, vectors[i].counter, digest),
			MB_ACK_GENUINE);
		check_int(fields.key_id, vectors[i].key_id);
		check_int(fields.status, vectors[i].ack_status);
		check_int(fields.state, vectors[i].ack_state);
		check_int(fields.counter, vectors[i].counter % MB_COUNTER_MODULUS);
	}
}

/* Every part of what an acknowledgement is bound to. */
static void
acknowledgements_of_something_else_are_refused(void)
{
	mb_command_keys keys;
	mb_command_keys other_keys;
	mb_command_party party;
	mb_command_party other_party;
	uint8_t digest[MB_SHA256_SIZE];
	uint8_t other_digest[MB_SHA256_SIZE];
	char forged[MB_ACK_FRAME_LENGTH + 1];
	mb_ack_frame fields;
	const char *ack = vectors[0].ack;
	const size_t n = MB_ACK_FRAME_LENGTH;

	vector_keys(&keys, &party);
	REQUIRE(vector_digest(0, &keys, &party, digest));
	REQUIRE(vector_digest(1, &keys, &party, other_digest));

	REQUIRE(mb_ack_parse(ack, n, &fields) == MB_FRAME_OK);
	check_int(mb_ack_verify(&fields, &keys, &party, 7, 42, other_digest), MB_ACK_FORGERY);
	check_int(mb_ack_verify(&fields, &keys, &party, 7, 10042, digest), MB_ACK_FORGERY);
	check_int(mb_ack_verify(&fields, &keys, &party, 7, 43, digest), MB_ACK_OTHER_COMMAND);
	check_int(mb_ack_verify(&fields, &keys, &party, 8, 42, digest), MB_ACK_OTHER_COMMAND);
	other_keys = keys;
	other_keys.ack[31] ^= 1;
	check_int(mb_ack_verify(&fields, &other_keys, &party, 7, 42, digest), MB_ACK_FORGERY);
	other_keys = keys;
	other_keys.command[0] ^= 1; /* not the key of acknowledgements */
	check_int(mb_ack_verify(&fields, &other_keys, &party, 7, 42, digest), MB_ACK_GENUINE);
	other_party = party;
	other_party.tenant[0] ^= 1;
	check_int(mb_ack_verify(&fields, &keys, &other_party, 7, 42, digest), MB_ACK_FORGERY);
	other_party = party;
	other_party.edge[15] ^= 1;
	check_int(mb_ack_verify(&fields, &keys, &other_party, 7, 42, digest), MB_ACK_FORGERY);

	/* another outcome with a check that fits */
	memcpy(forged, ack, sizeof(forged));
	forged[4] = '3';
	check_int(mb_ack_parse(forged, n, &fields), MB_FRAME_CHECK);
	fix_check(forged, n);
	check_int(mb_ack_parse(forged, n, &fields), MB_FRAME_OK);
	check_int(mb_ack_verify(&fields, &keys, &party, 7, 42, digest), MB_ACK_FORGERY);
	check_int(fields.status, 3);
}

static void
what_does_not_fit_a_frame_is_not_built(void)
{
	mb_command_keys keys;
	mb_command_party party;
	uint8_t digest[MB_SHA256_SIZE] = { 0 };
	char frame[MB_COMMAND_FRAME_LENGTH + 1] = "unchanged";
	static const struct
	{
		int key_id;
		int code;
		const char *mandate;
		int argument;
		uint64_t counter;
		const char *nonce;
	} refused[] = {
		{ -1, 1, "12345678", 0, 1, NULL },
		{ 100, 1, "12345678", 0, 1, NULL },
		{ 7, 0, "12345678", 0, 1, NULL },
		{ 7, 6, "12345678", 0, 1, NULL },
		{ 7, 98, "12345678", 0, 1, NULL },
		{ 7, 100, "12345678", 0, 1, NULL },
		{ 7, -1, "12345678", 0, 1, NULL },
		{ 7, 1, "1234567a", 0, 1, NULL },
		{ 7, 1, "1234567", 0, 1, NULL },
		{ 7, 1, "*2345678", 0, 1, NULL },
		{ 7, 1, "12345678", 1, 1, NULL },
		{ 7, 3, "12345678", 0, 1, NULL },
		{ 7, 3, "12345678", 100, 1, NULL },
		{ 7, 3, "12345678", -1, 1, NULL },
		{ 7, 99, "12345678", 0, 1, NULL },
		{ 7, 1, "12345678", 0, 0, NULL },
		{ 7, 1, "12345678", 0, 1, "12345" },
		{ 7, 1, "12345678", 0, 1, "1234567" },
		{ 7, 1, "12345678", 0, 1, "12345x" },
		{ 7, 1, "12345678", 0, (uint64_t) MB_COUNTER_MAX + 1, NULL },
	};

	vector_keys(&keys, &party);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
	{
		mb_command command = { .key_id = refused[i].key_id,
							   .code = refused[i].code,
							   .argument = refused[i].argument };

		strcpy(command.mandate, refused[i].mandate);
		check_report(mb_command_build(&keys, &party, &command, refused[i].counter, refused[i].nonce,
									  frame, digest) == MB_ERR_RANGE,
					 __FILE__, __LINE__, "case %zu was not refused", i);
		check_string(frame, "unchanged");
	}
	check_int(mb_ack_build(&keys, &party, 7, 100, 0, 1, digest, frame), MB_ERR_RANGE);
	check_int(mb_ack_build(&keys, &party, 7, 0, -1, 1, digest, frame), MB_ERR_RANGE);
	check_int(mb_ack_build(&keys, &party, 100, 0, 0, 1, digest, frame), MB_ERR_RANGE);
	check_int(mb_ack_build(&keys, &party, 7, 0, 0, 0, digest, frame), MB_ERR_RANGE);
	check_string(frame, "unchanged");
}

static void
limits_are_built_and_parsed(void)
{
	mb_command_keys keys;
	mb_command_party party;
	mb_command command = make_command(0, MB_COMMAND_EXTEND, "99999999", 99);
	char frame[MB_COMMAND_FRAME_LENGTH + 1];
	mb_command_frame fields;

	vector_keys(&keys, &party);
	REQUIRE(mb_command_build(&keys, &party, &command, MB_COUNTER_MAX, NULL, frame, NULL) == MB_OK);
	check_int(mb_command_parse(frame, strlen(frame), &fields), MB_FRAME_OK);
	check_int(fields.counter, 5807); /* 9223372036854775807 */
	check_string(fields.command.mandate, "99999999");
	check_int(fields.command.argument, 99);

	/* a genuine command of a newer sender parses, and is seen to mean nothing here */
	memcpy(frame, vectors[0].frame, sizeof(frame));
	frame[3] = '5';
	frame[4] = '5';
	fix_check(frame, MB_COMMAND_FRAME_LENGTH);
	check_int(mb_command_parse(frame, strlen(frame), &fields), MB_FRAME_OK);
	check_int(fields.command.code, 55);
	check(mb_command_name(55) == NULL);
	check(!mb_command_meaningful(&fields.command));
}

/* The signed message holds each field: changing one changes the tag. */
static void
every_field_is_signed(void)
{
	mb_command_keys keys;
	mb_command_party party;
	mb_command_party other;
	mb_command command = make_command(7, 3, "12345678", 30);
	mb_command changed;
	char tag[MB_COMMAND_TAG_LENGTH + 1];
	char other_tag[MB_COMMAND_TAG_LENGTH + 1];
	uint8_t digest[MB_SHA256_SIZE];
	uint8_t other_digest[MB_SHA256_SIZE];

#define DIFFERS(party_, command_, counter_, nonce_)                                                \
	do                                                                                             \
	{                                                                                              \
		check_int(mb_command_sign(&keys, (party_), (command_), (counter_), (nonce_), other_tag,    \
								  other_digest),                                                   \
				  MB_OK);                                                                          \
		check(strcmp(tag, other_tag) != 0);                                                        \
		check(memcmp(digest, other_digest, sizeof(digest)) != 0);                                  \
	} while (0)

	vector_keys(&keys, &party);
	REQUIRE(mb_command_sign(&keys, &party, &command, 42, NULL, tag, digest) == MB_OK);
	changed = command;
	changed.key_id = 8;
	DIFFERS(&party, &changed, 42, NULL);
	changed = command;
	changed.code = 1;
	DIFFERS(&party, &changed, 42, NULL);
	changed = command;
	changed.mandate[7] = '9';
	DIFFERS(&party, &changed, 42, NULL);
	changed = command;
	changed.argument = 31;
	DIFFERS(&party, &changed, 42, NULL);
	DIFFERS(&party, &command, 43, NULL);
	DIFFERS(&party, &command, 10042, NULL);
	DIFFERS(&party, &command, 42 + (UINT64_C(1) << 40), NULL);
	DIFFERS(&party, &command, 42, "000000");
	for (int i = 0; i < MB_PARTY_ID_SIZE; i++)
	{
		other = party;
		other.tenant[i] ^= 0x80;
		DIFFERS(&other, &command, 42, NULL);
		other = party;
		other.edge[i] ^= 0x01;
		DIFFERS(&other, &command, 42, NULL);
	}
#undef DIFFERS
}

static void
check_digits_follow_iso_7064(void)
{
	check_int(mb_check_digits("493817", 6), 31);
	check_int(mb_check_digits("000000", 6), 98);
	check_int(mb_check_digits("", 0), 98);
	/* the example of ISO 7064: 794 has 44 */
	check_int(mb_check_digits("794", 3), 44);
	check_int(mb_check_digits("79 ", 3), -1);
	/* int(digits ‖ XX) mod 97 = 1 */
	for (int value = 0; value < 10000; value++)
	{
		char digits[16];
		int check;

		snprintf(digits, sizeof(digits), "%04d", value);
		check = mb_check_digits(digits, 4);
		check_int((value * 100 + check) % 97, 1);
		check_range(check, 2, 98);
	}
}

/* Remainders have one spelling: what a transmission error makes of 97 is not taken for it. */
static void
other_spellings_of_a_check_are_refused(void)
{
	static const char *const pairs[][2] = { { "97", "00" }, { "98", "01" }, { "02", "99" } };
	mb_command_keys keys;
	mb_command_party party;
	mb_command command = make_command(7, 1, "12345678", 0);
	int seen[3] = { 0 };

	vector_keys(&keys, &party);
	for (uint64_t counter = 1; counter <= 3000; counter++)
	{
		char frame[MB_COMMAND_FRAME_LENGTH + 1];
		mb_command_frame fields;

		REQUIRE(mb_command_build(&keys, &party, &command, counter, NULL, frame, NULL) == MB_OK);
		for (int i = 0; i < 3; i++)
		{
			if (memcmp(frame + 29, pairs[i][0], 2) != 0)
				continue;
			seen[i]++;
			memcpy(frame + 29, pairs[i][1], 2);
			check_int(mb_command_parse(frame, strlen(frame), &fields), MB_FRAME_CHECK);
		}
	}
	check(seen[0] > 0 && seen[1] > 0 && seen[2] > 0);
}

/* How a frame of n symbols parses, whichever kind it is. */
static mb_frame_status
parse_status(const char *frame, size_t n, bool ack)
{
	mb_command_frame command;
	mb_ack_frame acknowledgement;

	return ack ? mb_ack_parse(frame, n, &acknowledgement) : mb_command_parse(frame, n, &command);
}

/* Every symbol replaced by every other, every two neighbours exchanged. */
static void
damage(const char *frame, bool ack, unsigned long *tried)
{
	static const char symbols[] = "0123456789*#ABCD";
	size_t n = strlen(frame);
	char damaged[MB_COMMAND_FRAME_LENGTH + 1];

	memcpy(damaged, frame, n + 1);
	if (!check(parse_status(damaged, n, ack) == MB_FRAME_OK))
		return;
	for (size_t i = 0; i < n; i++)
	{
		for (const char *symbol = symbols; *symbol != '\0'; symbol++)
		{
			if (*symbol == frame[i])
				continue;
			damaged[i] = *symbol;
			check_report(parse_status(damaged, n, ack) != MB_FRAME_OK, __FILE__, __LINE__,
						 "%s passes for %s", damaged, frame);
			++*tried;
		}
		damaged[i] = frame[i];
		if (i + 1 == n || frame[i] == frame[i + 1])
			continue;
		damaged[i] = frame[i + 1];
		damaged[i + 1] = frame[i];
		check_report(parse_status(damaged, n, ack) != MB_FRAME_OK, __FILE__, __LINE__,
					 "%s passes for %s", damaged, frame);
		++*tried;
		damaged[i] = frame[i];
		damaged[i + 1] = frame[i + 1];
	}
}

static void
single_errors_and_transpositions_are_caught(void)
{
	check_random random = { 4 };
	mb_command_keys keys;
	mb_command_party party;
	unsigned long tried = 0;

	vector_keys(&keys, &party);
	for (size_t i = 0; i < N_VECTORS; i++)
	{
		damage(vectors[i].frame, false, &tried);
		if (vectors[i].ack != NULL)
			damage(vectors[i].ack, true, &tried);
	}
	for (int i = 0; i < 2000; i++)
	{
		mb_command command = random_command(&random);
		uint64_t counter = 1 + check_random_below(&random, 1000000);
		uint8_t digest[MB_SHA256_SIZE];
		char frame[MB_COMMAND_FRAME_LENGTH + 1];
		char ack[MB_ACK_FRAME_LENGTH + 1];

		REQUIRE(mb_command_build(&keys, &party, &command, counter, NULL, frame, digest) == MB_OK);
		REQUIRE(mb_ack_build(&keys, &party, command.key_id, (int) check_random_below(&random, 5),
							 (int) check_random_below(&random, 5), counter, digest, ack) == MB_OK);
		damage(frame, false, &tried);
		damage(ack, true, &tried);
	}
	check_note("%lu damaged frames, all caught", tried);
}

static void
lost_and_added_symbols_are_caught(void)
{
	for (size_t i = 0; i < N_VECTORS; i++)
	{
		const char *frame = vectors[i].frame;
		mb_command_frame fields;
		char changed[MB_COMMAND_FRAME_LENGTH + 2];

		for (size_t n = 0; n < MB_COMMAND_FRAME_LENGTH; n++)
		{
			check_int(mb_command_parse(frame, n, &fields), MB_FRAME_LENGTH);
			memcpy(changed, frame, n);
			memcpy(changed + n, frame + n + 1, MB_COMMAND_FRAME_LENGTH - n - 1);
			check_int(mb_command_parse(changed, MB_COMMAND_FRAME_LENGTH - 1, &fields),
					  MB_FRAME_LENGTH);
			memcpy(changed, frame, n);
			changed[n] = frame[n];
			memcpy(changed + n + 1, frame + n, MB_COMMAND_FRAME_LENGTH - n);
			check_int(mb_command_parse(changed, MB_COMMAND_FRAME_LENGTH + 1, &fields),
					  MB_FRAME_LENGTH);
		}
	}
}

static void
bad_input_leaves_the_fields_alone(void)
{
	mb_command_frame fields = { .counter = 77 };
	mb_ack_frame ack_fields = { .counter = 78 };

	check_int(mb_command_parse("*070112345678000042608379340856#", 32, &fields), MB_FRAME_CHECK);
	check_int(mb_command_parse("#070112345678000042608379340855#", 32, &fields), MB_FRAME_SYMBOL);
	check_int(mb_command_parse("*070112345678000042608379340855*", 32, &fields), MB_FRAME_SYMBOL);
	check_int(mb_command_parse("*0701-2345678000042608379340855#", 32, &fields), MB_FRAME_SYMBOL);
	check_int(mb_command_parse("*07000100426040297750#", 22, &fields), MB_FRAME_LENGTH);
	check_int(mb_ack_parse("*070112345678000042608379340855#", 32, &ack_fields), MB_FRAME_LENGTH);
	check_int(mb_ack_parse("*07000100426040297751#", 22, &ack_fields), MB_FRAME_CHECK);
	check_int(fields.counter, 77);
	check_int(ack_fields.counter, 78);
	for (int status = MB_FRAME_OK; status <= MB_FRAME_CHECK; status++)
		check(strcmp(mb_frame_status_message((mb_frame_status) status), "unknown status") != 0);
}

static void
challenges_are_built_and_parsed(void)
{
	char digits[MB_CHALLENGE_LENGTH + 1] = "unchang";
	char nonce[MB_NONCE_LENGTH + 1] = "before";

	check_int(mb_challenge_build("12345", digits), MB_ERR_RANGE);
	check_int(mb_challenge_build("12345*", digits), MB_ERR_RANGE);
	check_string(digits, "unchang");
	check_int(mb_challenge_build("493817", digits), MB_OK);
	check_string(digits, "49381731");
	check_int(mb_challenge_parse("49381731", 7, nonce), MB_FRAME_LENGTH);
	check_int(mb_challenge_parse("49381732", 8, nonce), MB_FRAME_CHECK);
	check_int(mb_challenge_parse("4938173#", 8, nonce), MB_FRAME_SYMBOL);
	check_string(nonce, "before");
	check_int(mb_challenge_parse("49381731", 8, nonce), MB_FRAME_OK);
	check_string(nonce, "493817");
}

static void
names_are_the_protocols(void)
{
	mb_command_code code = MB_COMMAND_PING;

	check(mb_command_from_name("REVOKE", &code));
	check_int(code, 1);
	check(mb_command_from_name("RESUME", &code));
	check_int(code, 5);
	check(!mb_command_from_name("revoke", &code));
	check(!mb_command_from_name("", &code));
	check_int(code, 5);
	check_string(mb_command_name(2), "SUSPEND");
	check_string(mb_command_name(3), "EXTEND");
	check_string(mb_command_name(4), "QUERY");
	check_string(mb_command_name(99), "PING");
	check(mb_command_name(0) == NULL && mb_command_name(-1) == NULL && mb_command_name(98) == NULL);
	check_string(mb_ack_status_name(0), "applied");
	check_string(mb_ack_status_name(4), "challenge wanted");
	check(mb_ack_status_name(5) == NULL && mb_ack_status_name(-1) == NULL);
	check_string(mb_mandate_state_name(0), "NONE");
	check_string(mb_mandate_state_name(4), "EXPIRED");
	check(mb_mandate_state_name(5) == NULL && mb_mandate_state_name(-1) == NULL);
	check(mb_mandate_id_valid("00000000") && !mb_mandate_id_valid("0000000") &&
		  !mb_mandate_id_valid("000000000") && !mb_mandate_id_valid("0000000O"));
}

int
main(void)
{
	check_run("keys are derived as specified", keys_are_derived_as_specified);
	check_run("commands are built as published", commands_are_built_as_published);
	check_run("commands are parsed as published", commands_are_parsed_as_published);
	check_run("acknowledgements are built and verified as published",
			  acknowledgements_are_built_and_verified_as_published);
	check_run("acknowledgements of something else are refused",
			  acknowledgements_of_something_else_are_refused);
	check_run("what does not fit a frame is not built", what_does_not_fit_a_frame_is_not_built);
	check_run("limits are built and parsed", limits_are_built_and_parsed);
	check_run("every field is signed", every_field_is_signed);
	check_run("check digits follow ISO 7064 MOD 97-10", check_digits_follow_iso_7064);
	check_run("other spellings of a check are refused", other_spellings_of_a_check_are_refused);
	check_run("every single error and transposition is caught",
			  single_errors_and_transpositions_are_caught);
	check_run("lost and added symbols are caught", lost_and_added_symbols_are_caught);
	check_run("bad input leaves the fields alone", bad_input_leaves_the_fields_alone);
	check_run("challenges are built and parsed", challenges_are_built_and_parsed);
	check_run("names are the protocol's", names_are_the_protocols);
	return check_done();
}
