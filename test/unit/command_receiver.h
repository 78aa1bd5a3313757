/*
 * command_receiver.h
 *	  A receiver of command frames for tests: what SQL stores of one key, in memory.
 */
#ifndef COMMAND_RECEIVER_H
#define COMMAND_RECEIVER_H

#include "check.h"
#include "core/command/command_judge.h"
#include "command_setup.h"

#define NO_FRAME (MB_VERDICT_NOT_JUDGED + 1) /* of receive(), where nothing could be judged */

typedef struct receiver
{
	mb_key_state state;
	uint8_t digests[MB_COMMAND_HISTORY][MB_SHA256_SIZE];
	unsigned long accepted;
	mb_command_frame frame; /* the last that was received */
} receiver;

CHECK_UNUSED static void
receiver_init(receiver *r, uint64_t last_counter)
{
	memset(r, 0, sizeof(*r));
	r->state.known = true;
	r->state.last_counter = last_counter;
	r->state.digests = (const uint8_t(*)[MB_SHA256_SIZE]) r->digests;
	vector_keys(&r->state.keys, &r->state.party);
}

/* Judges and stores as an accepted frame asks for; what is no frame is NO_FRAME. */
CHECK_UNUSED static int
receive(receiver *r, const char *symbols, size_t n, mb_judgement *judgement)
{
	if (mb_command_parse(symbols, n, &r->frame) != MB_FRAME_OK)
		return NO_FRAME;
	mb_command_judge(&r->frame, symbols, &r->state, judgement);
	if (judgement->verdict == MB_VERDICT_ACCEPTED)
	{
		memmove(r->digests[1], r->digests[0], sizeof(r->digests) - sizeof(r->digests[0]));
		memcpy(r->digests[0], judgement->frame_digest, MB_SHA256_SIZE);
		if (r->state.n_digests < MB_COMMAND_HISTORY)
			r->state.n_digests++;
		r->state.last_counter = judgement->counter;
		r->accepted++;
	}
	return judgement->verdict;
}

CHECK_UNUSED static int
receive_string(receiver *r, const char *symbols)
{
	mb_judgement judgement;

	return receive(r, symbols, strlen(symbols), &judgement);
}

/* Judges what is a frame, and stores nothing. */
CHECK_UNUSED static mb_verdict
judge_frame(const char *frame, const mb_key_state *state, mb_judgement *judgement)
{
	mb_command_frame fields;

	if (mb_command_parse(frame, strlen(frame), &fields) != MB_FRAME_OK)
		abort();
	mb_command_judge(&fields, frame, state, judgement);
	return judgement->verdict;
}

/* A frame with the receiver's own keys. */
CHECK_UNUSED static void
sign_frame(const receiver *r, const mb_command *command, uint64_t counter, const char *nonce,
		   char frame[MB_COMMAND_FRAME_LENGTH + 1])
{
	if (mb_command_build(&r->state.keys, &r->state.party, command, counter, nonce, frame, NULL) !=
		MB_OK)
		abort();
}

#endif /* COMMAND_RECEIVER_H */
