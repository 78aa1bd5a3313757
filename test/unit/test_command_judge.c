/*
 * test_command_judge.c
 *	  Judging received frames: what is accepted, what is told from a forgery, what is
 *	  challenged, and what work is done for each.
 *
 * Link with: -Wl,--wrap=CRYPTO_memcmp -Wl,--wrap=mb_hmac_sha256
 */
#include "check.h"
#include "core/command/command_judge.h"
#include "command_receiver.h"
#include "command_setup.h"

/* --- what judging costs -------------------------------------------------- */

static unsigned long compares;
static size_t compared_bytes;
static unsigned long hmacs;

extern int __real_CRYPTO_memcmp(const void *a, const void *b, size_t n);
extern int __wrap_CRYPTO_memcmp(const void *a, const void *b, size_t n);
extern mb_status __real_mb_hmac_sha256(const void *key, size_t key_length, const void *data,
									   size_t n, uint8_t mac[MB_SHA256_SIZE]);
extern mb_status __wrap_mb_hmac_sha256(const void *key, size_t key_length, const void *data,
									   size_t n, uint8_t mac[MB_SHA256_SIZE]);

int
__wrap_CRYPTO_memcmp(const void *a, const void *b, size_t n)
{
	compares++;
	compared_bytes += n;
	return __real_CRYPTO_memcmp(a, b, n);
}

mb_status
__wrap_mb_hmac_sha256(const void *key, size_t key_length, const void *data, size_t n,
					  uint8_t mac[MB_SHA256_SIZE])
{
	hmacs++;
	return __real_mb_hmac_sha256(key, key_length, data, n, mac);
}

/* --- the rules ---------------------------------------------------------- */

static void
counters_are_reconstructed(void)
{
	static const struct
	{
		uint64_t last;
		int digits;
		uint64_t counter; /* 0: behind */
	} cases[] = {
		{ 0, 1, 1 },
		{ 0, 0, 0 },
		{ 0, 5000, 5000 },
		{ 0, 5001, 0 },
		{ 0, 9999, 0 },
		{ 42, 42, 0 },
		{ 42, 41, 0 },
		{ 42, 43, 43 },
		{ 9998, 9999, 9999 },
		{ 9999, 0, 10000 },
		{ 9999, 9999, 0 },
		{ 9999, 4999, 14999 },
		{ 9999, 5000, 0 },
		{ 10042, 43, 10043 },
		{ 19998, 1, 20001 },
		{ UINT64_C(123456789990000), 1, UINT64_C(123456789990001) },
		{ MB_COUNTER_MAX - 1, 5807, MB_COUNTER_MAX },
		{ MB_COUNTER_MAX - 1, 5808, 0 },
		{ MB_COUNTER_MAX, 5808, 0 },
		{ UINT64_MAX, 0, 0 },
		{ 0, -1, 0 },
		{ 0, 10000, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		uint64_t counter = 0;

		check_int(mb_counter_reconstruct(cases[i].last, cases[i].digits, &counter),
				  cases[i].counter != 0);
		check_int(counter, cases[i].counter);
	}
}

/* Against the rule's own words, by counting up. */
static void
counters_are_the_smallest_that_fit(void)
{
	check_random random = { 34 };

	for (int i = 0; i < 3000; i++)
	{
		uint64_t last = check_random_below(&random, 100000);
		int digits = (int) check_random_below(&random, 10000);
		uint64_t expected = last + 1;
		uint64_t counter = 0;

		while (expected % 10000 != (uint64_t) digits)
			expected++;
		check_int(mb_counter_reconstruct(last, digits, &counter), expected - last <= 5000);
		check_int(counter, expected - last <= 5000 ? expected : 0);
	}
}

static void
published_frames_are_accepted(void)
{
	receiver r;
	mb_judgement judgement;
	mb_command_challenge challenge = { .counter = 10042, .nonce = "493817" };

	receiver_init(&r, 0);
	check_int(receive_string(&r, "*070112345678000042608379340855#"), MB_VERDICT_ACCEPTED);
	check_int(r.state.last_counter, 42);
	check_int(receive_string(&r, "*070212345678000043840112923938#"), MB_VERDICT_ACCEPTED);
	check_int(r.state.last_counter, 43);
	r.state.last_counter = 5000;
	check_int(receive_string(&r, "*070387654321149999682855456053#"), MB_VERDICT_ACCEPTED);
	check_int(r.state.last_counter, 9999);
	check_int(receive(&r, "*070400000001000000228238911697#", 32, &judgement), MB_VERDICT_ACCEPTED);
	check_int(r.state.last_counter, 10000);
	check_string(mb_command_name(r.frame.command.code), "QUERY");
	check_string(r.frame.command.mandate, "00000001");
	check(!judgement.challenge_wanted && !judgement.challenge_answered);

	/* the answer to a challenge of this very command */
	challenge.command = make_command(7, MB_COMMAND_EXTEND, "12345678", 30);
	check_int(receive_string(&r, "*070312345678300043284285852957#"), MB_VERDICT_FORGERY);
	r.state.challenge = &challenge;
	check_int(receive(&r, "*070312345678300043284285852957#", 32, &judgement), MB_VERDICT_ACCEPTED);
	check(judgement.challenge_answered);
	check_int(r.state.last_counter, 10043);

	receiver_init(&r, 0);
	check_int(receive_string(&r, "*999900000000000001869025457877#"), MB_VERDICT_ACCEPTED);
	check_int(r.state.last_counter, 1);
}

/* The judgement has what the acknowledgement needs. */
static void
the_acknowledgement_follows_from_the_judgement(void)
{
	receiver r;
	mb_judgement judgement;
	char ack[MB_ACK_FRAME_LENGTH + 1];

	receiver_init(&r, 40);
	REQUIRE(receive(&r, "*070112345678000042608379340855#", 32, &judgement) == MB_VERDICT_ACCEPTED);
	check_int(mb_ack_build(&r.state.keys, &r.state.party, r.frame.command.key_id, MB_ACK_APPLIED,
						   MB_MANDATE_REVOKED, judgement.counter, judgement.message_digest, ack),
			  MB_OK);
	check_string(ack, "*07000100426040297750#");
}

static void
a_frame_played_twice_acts_once(void)
{
	receiver r;
	mb_judgement judgement;
	mb_command command = make_command(7, MB_COMMAND_REVOKE, "12345678", 0);
	char first[MB_COMMAND_FRAME_LENGTH + 1];
	char frame[MB_COMMAND_FRAME_LENGTH + 1];

	receiver_init(&r, 0);
	sign_frame(&r, &command, 1, NULL, first);
	check_int(receive_string(&r, first), MB_VERDICT_ACCEPTED);
	for (int i = 0; i < 5; i++)
		check_int(receive_string(&r, first), MB_VERDICT_DUPLICATE);
	check_int(r.accepted, 1);

	/* it stays a duplicate for 63 more, and after that it is old: never new again */
	for (uint64_t counter = 2; counter <= MB_COMMAND_HISTORY; counter++)
	{
		sign_frame(&r, &command, counter, NULL, frame);
		check_int(receive_string(&r, frame), MB_VERDICT_ACCEPTED);
		check_int(receive(&r, first, strlen(first), &judgement), MB_VERDICT_DUPLICATE);
		check_int(judgement.duplicate_of, counter - 1);
	}
	sign_frame(&r, &command, MB_COMMAND_HISTORY + 1, NULL, frame);
	check_int(receive_string(&r, frame), MB_VERDICT_ACCEPTED);
	check_int(receive_string(&r, first), MB_VERDICT_STALE);
	check_int(r.accepted, MB_COMMAND_HISTORY + 1);
}

/* A recorded frame must not come alive when the counter has gone around. */
static void
an_old_frame_stays_old_when_the_counter_wraps(void)
{
	receiver r;
	mb_command command = make_command(7, MB_COMMAND_REVOKE, "12345678", 0);
	char old[MB_COMMAND_FRAME_LENGTH + 1];
	int forgeries = 0;
	int stale = 0;

	receiver_init(&r, 0);
	sign_frame(&r, &command, 100, NULL, old);
	for (uint64_t last = 100; last <= 30100; last += 7)
	{
		mb_judgement judgement;

		r.state.last_counter = last;
		judge_frame(old, &r.state, &judgement);
		forgeries += judgement.verdict == MB_VERDICT_FORGERY;
		stale += judgement.verdict == MB_VERDICT_STALE;
		check(judgement.verdict != MB_VERDICT_ACCEPTED &&
			  judgement.verdict != MB_VERDICT_DUPLICATE);
	}
	check(forgeries > 1000 && stale > 1000);
}

static void
the_counter_passes_its_modulus(void)
{
	receiver r;
	mb_command command = make_command(7, MB_COMMAND_QUERY, "12345678", 0);
	char frame[MB_COMMAND_FRAME_LENGTH + 1];

	receiver_init(&r, 9990);
	for (uint64_t counter = 9991; counter <= 10010; counter++)
	{
		sign_frame(&r, &command, counter, NULL, frame);
		check_int(receive_string(&r, frame), MB_VERDICT_ACCEPTED);
		check_int(r.state.last_counter, counter);
	}
	/* the thousand that a restored sender adds, and the farthest that is taken */
	sign_frame(&r, &command, 11010, NULL, frame);
	check_int(receive_string(&r, frame), MB_VERDICT_ACCEPTED);
	sign_frame(&r, &command, 16011, NULL, frame);
	check_int(receive_string(&r, frame), MB_VERDICT_STALE);
	sign_frame(&r, &command, 16010, NULL, frame);
	check_int(receive_string(&r, frame), MB_VERDICT_ACCEPTED);
	check_int(r.state.last_counter, 16010);
	sign_frame(&r, &command, 16009, NULL, frame);
	check_int(receive_string(&r, frame), MB_VERDICT_STALE);
}

static void
frames_of_others_are_forgeries(void)
{
	receiver r;
	receiver other;
	mb_command command = make_command(7, MB_COMMAND_REVOKE, "12345678", 0);
	mb_command elsewhere = command;
	char frame[MB_COMMAND_FRAME_LENGTH + 1];

	receiver_init(&r, 0);
	other = r;
	other.state.party.edge[3] ^= 1;
	sign_frame(&other, &command, 1, NULL, frame);
	check_int(receive_string(&r, frame), MB_VERDICT_FORGERY);

	other = r;
	other.state.party.tenant[3] ^= 1;
	sign_frame(&other, &command, 1, NULL, frame);
	check_int(receive_string(&r, frame), MB_VERDICT_FORGERY);

	other = r;
	other.state.keys.command[31] ^= 1;
	sign_frame(&other, &command, 1, NULL, frame);
	check_int(receive_string(&r, frame), MB_VERDICT_FORGERY);

	/* the key of acknowledgements signs no commands */
	other = r;
	memcpy(other.state.keys.command, r.state.keys.ack, MB_SHA256_SIZE);
	sign_frame(&other, &command, 1, NULL, frame);
	check_int(receive_string(&r, frame), MB_VERDICT_FORGERY);

	/* genuine but for the key id */
	elsewhere.key_id = 8;
	sign_frame(&r, &elsewhere, 1, NULL, frame);
	frame[2] = '7';
	fix_check(frame, MB_COMMAND_FRAME_LENGTH);
	check_int(receive_string(&r, frame), MB_VERDICT_FORGERY);

	/* signed with a nonce nobody asked for */
	sign_frame(&r, &command, 1, "123456", frame);
	check_int(receive_string(&r, frame), MB_VERDICT_FORGERY);

	sign_frame(&r, &command, 1, NULL, frame);
	check_int(receive_string(&r, frame), MB_VERDICT_ACCEPTED);
}

static void
an_unknown_key_costs_what_a_forgery_costs(void)
{
	receiver r;
	mb_key_state unknown = { .known = false };
	mb_command command = make_command(55, MB_COMMAND_REVOKE, "12345678", 0);
	char frame[MB_COMMAND_FRAME_LENGTH + 1];
	mb_judgement judgement;

	receiver_init(&r, 0);
	sign_frame(&r, &command, 1, NULL, frame);
	for (int digits = 0; digits < 10000; digits += 1111)
	{
		frame[15] = (char) ('0' + digits / 1000);
		frame[16] = (char) ('0' + digits / 100 % 10);
		frame[17] = (char) ('0' + digits / 10 % 10);
		frame[18] = (char) ('0' + digits % 10);
		fix_check(frame, MB_COMMAND_FRAME_LENGTH);
		hmacs = compares = compared_bytes = 0;
		judge_frame(frame, &unknown, &judgement);
		check_int(judgement.verdict, MB_VERDICT_FORGERY);
		check_int(hmacs, 1);
		check_int(compares, 1);
		check_int(compared_bytes, MB_COMMAND_TAG_LENGTH);
	}

	/* a tag made with a key of zeros, should that be what stands in, opens nothing */
	memset(&r.state.keys, 0, sizeof(r.state.keys));
	memset(&r.state.party, 0, sizeof(r.state.party));
	sign_frame(&r, &command, 1, NULL, frame);
	judge_frame(frame, &unknown, &judgement);
	check_int(judgement.verdict, MB_VERDICT_FORGERY);
}

/*
 * The time must not tell where a tag differs.  A clock would be a weak witness; this looks at
 * what is done: one HMAC over a message of one length and one comparison, by the library's
 * constant-time function and over the whole tag, wherever the difference is and when there is none.
 */
static void
the_work_does_not_depend_on_where_a_tag_differs(void)
{
	receiver r;
	mb_command command = make_command(7, MB_COMMAND_REVOKE, "12345678", 0);
	char frame[MB_COMMAND_FRAME_LENGTH + 1];
	char wrong[MB_COMMAND_FRAME_LENGTH + 1];
	mb_judgement judgement;

	receiver_init(&r, 0);
	sign_frame(&r, &command, 1, NULL, frame);
	for (int at = -1; at < MB_COMMAND_TAG_LENGTH; at++)
	{
		memcpy(wrong, frame, sizeof(wrong));
		if (at >= 0)
			wrong[19 + at] = (char) ('0' + (wrong[19 + at] - '0' + 1) % 10);
		fix_check(wrong, MB_COMMAND_FRAME_LENGTH);
		hmacs = compares = compared_bytes = 0;
		judge_frame(wrong, &r.state, &judgement);
		check_int(judgement.verdict, at < 0 ? MB_VERDICT_ACCEPTED : MB_VERDICT_FORGERY);
		check_int(hmacs, 1);
		check_int(compares, 1);
		check_int(compared_bytes, MB_COMMAND_TAG_LENGTH);
	}

	/* acknowledgements likewise */
	for (int at = 0; at < MB_ACK_TAG_LENGTH; at++)
	{
		uint8_t digest[MB_SHA256_SIZE] = { 0 };
		char ack[MB_ACK_FRAME_LENGTH + 1];
		mb_ack_frame fields;

		REQUIRE(mb_ack_build(&r.state.keys, &r.state.party, 7, 0, 1, 1, digest, ack) == MB_OK);
		ack[11 + at] = (char) ('0' + (ack[11 + at] - '0' + 1) % 10);
		fix_check(ack, MB_ACK_FRAME_LENGTH);
		hmacs = compares = compared_bytes = 0;
		REQUIRE(mb_ack_parse(ack, strlen(ack), &fields) == MB_FRAME_OK);
		check_int(mb_ack_verify(&fields, &r.state.keys, &r.state.party, 7, 1, digest),
				  MB_ACK_FORGERY);
		check_int(hmacs, 1);
		check_int(compares, 1);
		check_int(compared_bytes, MB_ACK_TAG_LENGTH);
	}
}

/* Whoever has no key learns nothing from these: no tag is computed. */
static void
no_tag_is_checked_for_old_damaged_and_repeated_frames(void)
{
	receiver r;
	mb_command command = make_command(7, MB_COMMAND_REVOKE, "12345678", 0);
	char frame[MB_COMMAND_FRAME_LENGTH + 1];
	char old[MB_COMMAND_FRAME_LENGTH + 1];

	receiver_init(&r, 500);
	sign_frame(&r, &command, 500, NULL, old);
	sign_frame(&r, &command, 501, NULL, frame);
	check_int(receive_string(&r, frame), MB_VERDICT_ACCEPTED);
	hmacs = compares = 0;
	check_int(receive_string(&r, frame), MB_VERDICT_DUPLICATE);
	check_int(receive_string(&r, old), MB_VERDICT_STALE);
	frame[5] ^= 1;
	check_int(receive_string(&r, frame), NO_FRAME);
	check_int(receive_string(&r, ""), NO_FRAME);
	check_int(hmacs, 0);
	check_int(compares, 0);
}

static void
verdicts_have_names_and_codes(void)
{
	check_string(mb_verdict_error_code(MB_VERDICT_NOT_JUDGED), "E007");
	check_string(mb_verdict_error_code(MB_VERDICT_STALE), "E005");
	check_string(mb_verdict_error_code(MB_VERDICT_FORGERY), "E002");
	check(mb_verdict_error_code(MB_VERDICT_ACCEPTED) == NULL);
	check(mb_verdict_error_code(MB_VERDICT_DUPLICATE) == NULL);
	for (int verdict = 0; verdict <= MB_VERDICT_NOT_JUDGED; verdict++)
		check(strcmp(mb_verdict_name((mb_verdict) verdict), "unknown verdict") != 0);
}

/* --- challenges --------------------------------------------------------- */

static void
a_challenge_is_wanted_and_answered(void)
{
	receiver r;
	mb_command_challenge challenge = { .nonce = "271828" };
	mb_command command = make_command(7, MB_COMMAND_REVOKE, "12345678", 0);
	char frame[MB_COMMAND_FRAME_LENGTH + 1];
	char answer[MB_COMMAND_FRAME_LENGTH + 1];
	mb_judgement judgement;

	receiver_init(&r, 0);
	r.state.challenge_all = true;
	sign_frame(&r, &command, 1, NULL, frame);
	check_int(receive(&r, frame, strlen(frame), &judgement), MB_VERDICT_ACCEPTED);
	check(judgement.challenge_wanted && !judgement.challenge_answered);
	check_int(r.state.last_counter, 1);

	challenge.command = r.frame.command;
	challenge.counter = judgement.counter;
	r.state.challenge = &challenge;
	/* the acknowledgement was lost: the frame comes again */
	check_int(receive_string(&r, frame), MB_VERDICT_DUPLICATE);
	/* someone without the key plays the digits he overheard */
	sign_frame(&r, &command, 2, NULL, answer);
	check_int(receive_string(&r, answer), MB_VERDICT_FORGERY);
	sign_frame(&r, &command, 2, "271829", answer);
	check_int(receive_string(&r, answer), MB_VERDICT_FORGERY);
	sign_frame(&r, &command, 2, "271828", answer);
	check_int(receive(&r, answer, strlen(answer), &judgement), MB_VERDICT_ACCEPTED);
	check(judgement.challenge_answered && !judgement.challenge_wanted);
	r.state.challenge = NULL;
	check_int(receive_string(&r, answer), MB_VERDICT_DUPLICATE);
	check_int(r.state.last_counter, 2);
}

static void
a_late_answer_is_challenged_again(void)
{
	receiver r;
	mb_command_challenge challenge = { .counter = 1, .nonce = "271828", .expired = true };
	char answer[MB_COMMAND_FRAME_LENGTH + 1];
	mb_judgement judgement;

	receiver_init(&r, 1);
	r.state.challenge_all = true;
	challenge.command = make_command(7, MB_COMMAND_SUSPEND, "12345678", 0);
	r.state.challenge = &challenge;
	sign_frame(&r, &challenge.command, 2, "271828", answer);
	check_int(receive(&r, answer, strlen(answer), &judgement), MB_VERDICT_ACCEPTED);
	check(judgement.challenge_wanted && !judgement.challenge_answered);

	/* as is who has given it up, and nobody else */
	receiver_init(&r, 1);
	r.state.challenge_all = true;
	r.state.challenge = &challenge;
	sign_frame(&r, &challenge.command, 2, "271829", answer);
	check_int(receive_string(&r, answer), MB_VERDICT_FORGERY);
	sign_frame(&r, &challenge.command, 2, NULL, answer);
	check_int(receive(&r, answer, strlen(answer), &judgement), MB_VERDICT_ACCEPTED);
	check(judgement.challenge_wanted && !judgement.challenge_answered);
}

/* The sender has not heard the challenge, or too late: its next frame leaves out the answer's counter. */
static void
the_command_signed_anew_is_no_answer(void)
{
	receiver r;
	mb_command_challenge challenge = { .counter = 1, .nonce = "271828" };
	char frame[MB_COMMAND_FRAME_LENGTH + 1];
	mb_judgement judgement;

	receiver_init(&r, 1);
	r.state.challenge_all = true;
	challenge.command = make_command(7, MB_COMMAND_SUSPEND, "12345678", 0);
	r.state.challenge = &challenge;
	sign_frame(&r, &challenge.command, 3, "271828", frame);
	check_int(receive_string(&r, frame), MB_VERDICT_FORGERY);
	sign_frame(&r, &challenge.command, 3, NULL, frame);
	check_int(receive(&r, frame, strlen(frame), &judgement), MB_VERDICT_ACCEPTED);
	check(judgement.challenge_wanted && !judgement.challenge_answered);
	check_int(r.state.last_counter, 3);
}

/* A revocation overtakes the extension that waits for its answer. */
static void
another_command_is_not_taken_for_the_answer(void)
{
	receiver r;
	mb_command_challenge challenge = { .counter = 1, .nonce = "271828" };
	mb_command revoke = make_command(7, MB_COMMAND_REVOKE, "12345678", 0);
	char frame[MB_COMMAND_FRAME_LENGTH + 1];
	mb_judgement judgement;

	receiver_init(&r, 1);
	r.state.challenge_extend = true;
	challenge.command = make_command(7, MB_COMMAND_EXTEND, "12345678", 30);
	r.state.challenge = &challenge;
	sign_frame(&r, &revoke, 2, NULL, frame);
	check_int(receive(&r, frame, strlen(frame), &judgement), MB_VERDICT_ACCEPTED);
	check(!judgement.challenge_wanted && !judgement.challenge_answered);

	/* the same for another mandate or other days is no answer either */
	challenge.command.argument = 31;
	challenge.counter = 2;
	revoke = make_command(7, MB_COMMAND_EXTEND, "12345678", 30);
	sign_frame(&r, &revoke, 3, "271828", frame);
	check_int(receive_string(&r, frame), MB_VERDICT_FORGERY);
	sign_frame(&r, &revoke, 3, NULL, frame);
	check_int(receive(&r, frame, strlen(frame), &judgement), MB_VERDICT_ACCEPTED);
	check(judgement.challenge_wanted);
}

static void
the_policy_challenges_extend_alone(void)
{
	static const int codes[] = { MB_COMMAND_REVOKE, MB_COMMAND_SUSPEND, MB_COMMAND_EXTEND,
								 MB_COMMAND_QUERY,	MB_COMMAND_RESUME,	MB_COMMAND_PING };
	receiver r;

	receiver_init(&r, 0);
	r.state.challenge_extend = true;
	for (int i = 0; i < 6; i++)
	{
		mb_command command =
			make_command(7, codes[i], codes[i] == MB_COMMAND_PING ? "00000000" : "12345678",
						 codes[i] == MB_COMMAND_EXTEND ? 1 : 0);
		char frame[MB_COMMAND_FRAME_LENGTH + 1];
		mb_judgement judgement;

		sign_frame(&r, &command, 1 + i, NULL, frame);
		check_int(receive(&r, frame, strlen(frame), &judgement), MB_VERDICT_ACCEPTED);
		check_int(judgement.challenge_wanted, codes[i] == MB_COMMAND_EXTEND);
	}
}

int
main(void)
{
	check_run("counters are reconstructed", counters_are_reconstructed);
	check_run("counters are the smallest that fit", counters_are_the_smallest_that_fit);
	check_run("published frames are accepted", published_frames_are_accepted);
	check_run("the acknowledgement follows from the judgement",
			  the_acknowledgement_follows_from_the_judgement);
	check_run("a frame played twice acts once", a_frame_played_twice_acts_once);
	check_run("an old frame stays old when the counter wraps",
			  an_old_frame_stays_old_when_the_counter_wraps);
	check_run("the counter passes its modulus", the_counter_passes_its_modulus);
	check_run("frames of other keys, edges and tenants are forgeries",
			  frames_of_others_are_forgeries);
	check_run("an unknown key costs what a forgery costs",
			  an_unknown_key_costs_what_a_forgery_costs);
	check_run("the work does not depend on where a tag differs",
			  the_work_does_not_depend_on_where_a_tag_differs);
	check_run("no tag is checked for old, damaged and repeated frames",
			  no_tag_is_checked_for_old_damaged_and_repeated_frames);
	check_run("verdicts have names and codes", verdicts_have_names_and_codes);
	check_run("a challenge is wanted and answered", a_challenge_is_wanted_and_answered);
	check_run("a late answer is challenged again", a_late_answer_is_challenged_again);
	check_run("the command signed anew is no answer", the_command_signed_anew_is_no_answer);
	check_run("another command is not taken for the answer",
			  another_command_is_not_taken_for_the_answer);
	check_run("the policy challenges EXTEND alone", the_policy_challenges_extend_alone);
	return check_done();
}
