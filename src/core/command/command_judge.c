/*
 * command_judge.c
 *	  Judging a received command frame; see command_judge.h.
 */
#include "core/command/command_judge.h"

#include "core/command/command_kinds.h"

#include <string.h>

/*
 * What stands in for the keys of a key that does not exist, so that such a frame costs what a
 * forged one costs.  Their values do not matter: the outcome is a forgery even when the tag fits them.
 */
static const mb_command_keys dummy_keys;
static const mb_command_party dummy_party;

bool
mb_counter_reconstruct(uint64_t last, int digits, uint64_t *counter)
{
	uint64_t ahead; /* of last + 1 */

	if (digits < 0 || digits >= MB_COUNTER_MODULUS || last >= MB_COUNTER_MAX)
		return false;
	ahead = (digits + MB_COUNTER_MODULUS - (last + 1) % MB_COUNTER_MODULUS) % MB_COUNTER_MODULUS;
	if (ahead + 1 > MB_COUNTER_WINDOW || ahead > MB_COUNTER_MAX - (last + 1))
		return false;
	*counter = last + 1 + ahead;
	return true;
}

/* A counter for a key without one: any that fits the frame will do. */
static uint64_t
dummy_counter(int digits)
{
	return digits != 0 ? (uint64_t) digits : MB_COUNTER_MODULUS;
}

/* Looks for the frame among those accepted. */
static bool
find_duplicate(const mb_key_state *state, const uint8_t *digest, size_t *found)
{
	size_t n = state->n_digests < MB_COMMAND_HISTORY ? state->n_digests : MB_COMMAND_HISTORY;

	for (size_t i = 0; i < n; i++)
	{
		if (memcmp(state->digests[i], digest, MB_SHA256_SIZE) == 0)
		{
			*found = i;
			return true;
		}
	}
	return false;
}

/* An answer to a challenge repeats what was challenged, and comes next. */
static bool
answers(const mb_command *command, uint64_t counter, const mb_command_challenge *challenge)
{
	return challenge != NULL && counter == challenge->counter + 1 &&
		   command->code == challenge->command.code &&
		   command->argument == challenge->command.argument &&
		   strcmp(command->mandate, challenge->command.mandate) == 0;
}

/* Computes and compares the one tag. */
static mb_verdict
judge_tag(const mb_command_frame *frame, const mb_key_state *state, uint64_t counter,
		  const char *nonce, mb_judgement *judgement)
{
	uint8_t message_digest[MB_SHA256_SIZE];
	char expected[MB_COMMAND_TAG_LENGTH + 1];
	bool equal;

	if (mb_command_sign(state->known ? &state->keys : &dummy_keys,
						state->known ? &state->party : &dummy_party, &frame->command, counter,
						nonce, expected, message_digest) != MB_OK)
		return MB_VERDICT_NOT_JUDGED;
	equal = mb_equal(expected, frame->tag, MB_COMMAND_TAG_LENGTH);
	mb_forget(expected, sizeof(expected));
	if (!equal || !state->known)
		return MB_VERDICT_FORGERY;
	judgement->counter = counter;
	memcpy(judgement->message_digest, message_digest, MB_SHA256_SIZE);
	return MB_VERDICT_ACCEPTED;
}

void
mb_command_judge(const mb_command_frame *frame, const char symbols[MB_COMMAND_FRAME_LENGTH],
				 const mb_key_state *state, mb_judgement *judgement)
{
	const mb_command *command = &frame->command;
	const mb_command_kind *kind;
	bool is_answer;
	uint64_t counter;

	memset(judgement, 0, sizeof(*judgement));
	if (mb_sha256(symbols, MB_COMMAND_FRAME_LENGTH, judgement->frame_digest) != MB_OK)
	{
		judgement->verdict = MB_VERDICT_NOT_JUDGED;
		return;
	}
	if (!state->known)
	{
		judgement->verdict =
			judge_tag(frame, state, dummy_counter(frame->counter), NULL, judgement);
		return;
	}
	if (find_duplicate(state, judgement->frame_digest, &judgement->duplicate_of))
	{
		judgement->verdict = MB_VERDICT_DUPLICATE;
		return;
	}
	if (!mb_counter_reconstruct(state->last_counter, frame->counter, &counter))
	{
		judgement->verdict = MB_VERDICT_STALE;
		return;
	}

	is_answer = answers(command, counter, state->challenge);
	judgement->verdict =
		judge_tag(frame, state, counter, is_answer ? state->challenge->nonce : NULL, judgement);
	/* who has given the challenge up may have signed without it */
	if (judgement->verdict == MB_VERDICT_FORGERY && is_answer && state->challenge->expired)
		judgement->verdict = judge_tag(frame, state, counter, NULL, judgement);
	if (judgement->verdict != MB_VERDICT_ACCEPTED)
		return;
	judgement->challenge_answered = is_answer && !state->challenge->expired;
	kind = mb_command_kind_by_code(command->code);
	judgement->challenge_wanted =
		!judgement->challenge_answered &&
		(state->challenge_all || (state->challenge_extend && kind && kind->challenged));
}

const char *
mb_verdict_name(mb_verdict verdict)
{
	switch (verdict)
	{
		case MB_VERDICT_DUPLICATE:
			return "duplicate";
		case MB_VERDICT_STALE:
			return "stale";
		case MB_VERDICT_FORGERY:
			return "forgery";
		case MB_VERDICT_ACCEPTED:
			return "accepted";
		case MB_VERDICT_NOT_JUDGED:
			return "not judged";
	}
	return "unknown verdict";
}

const char *
mb_verdict_error_code(mb_verdict verdict)
{
	switch (verdict)
	{
		case MB_VERDICT_NOT_JUDGED:
			return "E007";
		case MB_VERDICT_STALE:
			return "E005";
		case MB_VERDICT_FORGERY:
			return "E002";
		case MB_VERDICT_DUPLICATE:
		case MB_VERDICT_ACCEPTED:
			break;
	}
	return NULL;
}
