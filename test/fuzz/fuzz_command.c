/*
 * fuzz_command.c
 *	  Arbitrary symbols into everything that reads them: frames, acknowledgements, challenges, the
 *	  judge, the textual form and the collector.  What is accepted must be what the
 *	  key would sign; what parses must be built the same again.
 *
 * Fuzz with: -max_len=256
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "core/command/command_judge.h"
#include "core/command/command_legacy.h"
#include "core/command/frame_collector.h"

static mb_key_state
key_state(void)
{
	mb_key_state state = { .known = true, .last_counter = 41 };
	uint8_t key[MB_COMMAND_KEY_SIZE];

	for (int i = 0; i < MB_COMMAND_KEY_SIZE; i++)
		key[i] = (uint8_t) i;
	for (int i = 0; i < MB_PARTY_ID_SIZE; i++)
	{
		state.party.tenant[i] = (uint8_t) (0x11 * i);
		state.party.edge[i] = (uint8_t) (0xff - 0x11 * i);
	}
	require(mb_command_derive_keys(key, &state.keys) == MB_OK);
	return state;
}

/* Symbols of the tag and check are not ours to make; the fields in front are. */
static void
judge(const char *symbols, size_t n)
{
	mb_key_state state = key_state();
	mb_key_state unknown = { .known = false };
	mb_judgement judgement;
	mb_command_frame fields;
	char frame[MB_COMMAND_FRAME_LENGTH + 1];
	char signed_again[MB_COMMAND_FRAME_LENGTH + 1];

	if (mb_command_parse(symbols, n, &fields) != MB_FRAME_OK)
		return;
	require(n == MB_COMMAND_FRAME_LENGTH);
	mb_command_judge(&fields, symbols, &unknown, &judgement);
	require(judgement.verdict == MB_VERDICT_FORGERY);

	mb_command_judge(&fields, symbols, &state, &judgement);
	if (judgement.verdict == MB_VERDICT_ACCEPTED && mb_command_meaningful(&fields.command))
	{
		require(mb_command_build(&state.keys, &state.party, &fields.command, judgement.counter,
								 NULL, frame, NULL) == MB_OK);
		require(memcmp(frame, symbols, n) == 0);
	}

	/* the same fields, signed: accepted once, then a duplicate */
	if (!mb_command_meaningful(&fields.command))
		return;
	require(mb_command_build(&state.keys, &state.party, &fields.command, 42, NULL, signed_again,
							 NULL) == MB_OK);
	require(mb_command_parse(signed_again, MB_COMMAND_FRAME_LENGTH, &fields) == MB_FRAME_OK);
	mb_command_judge(&fields, signed_again, &state, &judgement);
	require(judgement.verdict == MB_VERDICT_ACCEPTED && judgement.counter == 42);
	state.digests = (const uint8_t(*)[MB_SHA256_SIZE]) judgement.frame_digest;
	state.n_digests = 1;
	state.last_counter = 42;
	{
		mb_judgement repeated;

		mb_command_judge(&fields, signed_again, &state, &repeated);
		require(repeated.verdict == MB_VERDICT_DUPLICATE && repeated.duplicate_of == 0);
	}
}

static void
acknowledge(const char *symbols, size_t n)
{
	mb_key_state state = key_state();
	uint8_t digest[MB_SHA256_SIZE] = { 0 };
	char frame[MB_ACK_FRAME_LENGTH + 1];
	mb_ack_frame fields;
	char nonce[MB_NONCE_LENGTH + 1];
	char challenge[MB_CHALLENGE_LENGTH + 1];

	if (mb_ack_parse(symbols, n, &fields) == MB_FRAME_OK)
	{
		mb_ack_verdict verdict = mb_ack_verify(&fields, &state.keys, &state.party, fields.key_id,
											   fields.counter + 1, digest);

		require(verdict == MB_ACK_OTHER_COMMAND);
		require(mb_ack_build(&state.keys, &state.party, fields.key_id, fields.status, fields.state,
							 fields.counter + MB_COUNTER_MODULUS, digest, frame) == MB_OK);
		require(mb_ack_parse(frame, MB_ACK_FRAME_LENGTH, &fields) == MB_FRAME_OK);
		require(mb_ack_verify(&fields, &state.keys, &state.party, fields.key_id,
							  fields.counter + MB_COUNTER_MODULUS, digest) == MB_ACK_GENUINE);
	}
	if (mb_challenge_parse(symbols, n, nonce) == MB_FRAME_OK)
	{
		require(mb_challenge_build(nonce, challenge) == MB_OK);
		require(memcmp(challenge, symbols, n) == 0);
	}
}

static void
verify_legacy(const char *symbols, size_t n)
{
	mb_legacy_command command;
	char sequence[MB_LEGACY_SEQUENCE_LENGTH + 1];
	char payload[MB_LEGACY_PAYLOAD_MAX];

	if (mb_legacy_verify(symbols, n, "secret", 6, 5, 29000000, &command) != MB_LEGACY_VALID)
		return;
	require(mb_legacy_generate(command.code, command.mandate, "secret", 6, &command.minute,
							   sequence, payload) == MB_OK);
	require(n == MB_LEGACY_SEQUENCE_LENGTH && memcmp(sequence, symbols, n) == 0);
}

/* Each two bytes are a symbol and the pause before it. */
static void
collect(const uint8_t *data, size_t size)
{
	mb_frame_collector collector;
	char frame[MB_COLLECTED_MAX + 1];
	size_t n;
	int64_t at = 0;

	mb_frame_collector_init(&collector);
	for (size_t i = 0; i + 1 < size; i += 2)
	{
		mb_collected result;

		at += (int64_t) data[i + 1] * 20;
		result = mb_frame_collector_add(&collector, (char) data[i], at, 50, frame, &n);
		at += 50;
		if (result == MB_COLLECTED_NOTHING)
			continue;
		require(n >= 1 && n <= MB_COLLECTED_MAX && frame[0] == '*' && frame[n] == '\0');
		/* when it is cut off there is no #, and none inside a whole one but at its end */
		require(memchr(frame, '#', n - 1) == NULL);
		judge(frame, n);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *symbols;

	if (size == 0)
		return 0;
	/* memory of exactly that size */
	symbols = malloc(size);
	memcpy(symbols, data, size);
	judge(symbols, size);
	acknowledge(symbols, size);
	verify_legacy(symbols, size);
	collect(data, size);
	free(symbols);
	return 0;
}
