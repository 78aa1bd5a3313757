/*
 * receiver.c
 *	  The receiving side of voice commands, as far as it needs keys or random digits: the judgement
 *	  of one frame, acknowledgements and challenges.
 *
 * What is stored, the lockout ladder and the effect of a command are SQL's: receive_frame() and what
 * it calls.  The rules of judgement are the core's (core/command_judge.h).
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "core/command/command_judge.h"
#include "core/crypto/digest.h"
#include "metrics/counters.h"
#include "server/row.h"
#include "server/xact.h"
#include "keys/voice_keys.h"

PG_FUNCTION_INFO_V1(mulberry_take_frame);
PG_FUNCTION_INFO_V1(mulberry_judge_frame);
PG_FUNCTION_INFO_V1(mulberry_build_ack);
PG_FUNCTION_INFO_V1(mulberry_draw_challenge);
PG_FUNCTION_INFO_V1(mulberry_challenge_digits);
PG_FUNCTION_INFO_V1(mulberry_ack_names);

/* ---------------------------------------------------------------------------
 * Judging
 * ---------------------------------------------------------------------------
 */

/* The digests of a bytea[], the newest first; what is no digest is an internal error. */
static size_t
get_digests(ArrayType *array, uint8 digests[MB_COMMAND_HISTORY][MB_SHA256_SIZE])
{
	Datum *elements;
	bool *nulls;
	int n;

	deconstruct_array(array, BYTEAOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	n = Min(n, MB_COMMAND_HISTORY);
	for (int i = 0; i < n; i++)
	{
		bytea *digest = nulls[i] ? NULL : DatumGetByteaPP(elements[i]);

		if (digest == NULL || VARSIZE_ANY_EXHDR(digest) != MB_SHA256_SIZE)
			elog(ERROR, "a frame digest has %d bytes", MB_SHA256_SIZE);
		memcpy(digests[i], VARDATA_ANY(digest), MB_SHA256_SIZE);
	}
	return n;
}

/* The type received_frame, in the order of its columns. */
enum
{
	FRAME_SYMBOLS,
	FRAME_PROBLEM,
	FRAME_KEY_ID,
	FRAME_COMMAND,
	FRAME_CODE,
	FRAME_MANDATE,
	FRAME_ARGUMENT,
	FRAME_COUNTER,
	FRAME_TAG,
	FRAME_COLUMNS
};

/* take_frame(symbols) → received_frame, with what is wrong in "problem", or else the fields */
Datum
mulberry_take_frame(PG_FUNCTION_ARGS)
{
	text *symbols = PG_GETARG_TEXT_PP(0);
	mulberry_row r;
	mb_command_frame frame;
	mb_frame_status status =
		mb_command_parse(VARDATA_ANY(symbols), VARSIZE_ANY_EXHDR(symbols), &frame);

	mulberry_row_begin_named(&r, fcinfo);
	mulberry_row_add(&r, PointerGetDatum(symbols));
	if (status != MB_FRAME_OK)
	{
		mulberry_row_add_text(&r, mb_frame_status_message(status));
		return mulberry_row_end(&r);
	}
	mulberry_row_skip(&r);
	mulberry_row_add(&r, Int32GetDatum(frame.command.key_id));
	mulberry_row_add_text(&r, mb_command_name(frame.command.code));
	mulberry_row_add(&r, Int32GetDatum(frame.command.code));
	mulberry_row_add_text(&r, frame.command.mandate);
	mulberry_row_add(&r, Int32GetDatum(frame.command.argument));
	mulberry_row_add(&r, Int32GetDatum(frame.counter));
	mulberry_row_add_text(&r, frame.tag);
	return mulberry_row_end(&r);
}

/* What take_frame() has made of symbols that are a frame. */
static mb_command_frame
taken_frame(HeapTupleHeader row, char symbols[MB_COMMAND_FRAME_LENGTH + 1])
{
	mb_command_frame frame = { 0 };
	Datum values[FRAME_COLUMNS];
	bool nulls[FRAME_COLUMNS];

	mulberry_row_columns(row, FRAME_COLUMNS, values, nulls);
	if (nulls[FRAME_SYMBOLS] || !nulls[FRAME_PROBLEM] || nulls[FRAME_KEY_ID] || nulls[FRAME_CODE] ||
		nulls[FRAME_MANDATE] || nulls[FRAME_ARGUMENT] || nulls[FRAME_COUNTER] || nulls[FRAME_TAG])
		elog(ERROR, "only a frame can be judged");
	text_to_cstring_buffer(DatumGetTextPP(values[FRAME_SYMBOLS]), symbols,
						   MB_COMMAND_FRAME_LENGTH + 1);
	frame.command.key_id = DatumGetInt32(values[FRAME_KEY_ID]);
	frame.command.code = DatumGetInt32(values[FRAME_CODE]);
	text_to_cstring_buffer(DatumGetTextPP(values[FRAME_MANDATE]), frame.command.mandate,
						   sizeof(frame.command.mandate));
	frame.command.argument = DatumGetInt32(values[FRAME_ARGUMENT]);
	frame.counter = DatumGetInt32(values[FRAME_COUNTER]);
	text_to_cstring_buffer(DatumGetTextPP(values[FRAME_TAG]), frame.tag, sizeof(frame.tag));
	return frame;
}

/*
 * judge_frame(tenant, frame, last_counter, digests, challenge_all, challenge_extend,
 * challenge_command, challenge_mandate, challenge_argument, challenge_nonce, challenge_counter,
 * challenge_expired): mb_command_judge() with the receiver's key that the frame names.
 *
 * A disabled or missing key is unknown.  challenge_nonce null: no challenge waits for an answer.
 */
Datum
mulberry_judge_frame(PG_FUNCTION_ARGS)
{
	mulberry_row r;
	char symbols[MB_COMMAND_FRAME_LENGTH + 1];
	uint8 digests[MB_COMMAND_HISTORY][MB_SHA256_SIZE];
	mulberry_voice_key key = { 0 };
	mb_key_state state = { 0 };
	mb_command_challenge challenge = { 0 };
	mb_command_frame frame;
	mb_judgement judgement;

	for (int i = 0; i < 12; i++)
		if (PG_ARGISNULL(i) && (i < 6 || !PG_ARGISNULL(9)))
			elog(ERROR, "argument %d of judge_frame() must not be null", i + 1);
	mulberry_row_begin(&r, fcinfo);
	frame = taken_frame(PG_GETARG_HEAPTUPLEHEADER(1), symbols);
	state.known = mulberry_voice_key_load(PG_GETARG_UUID_P(0), MULBERRY_VOICE_RECEIVER, NULL,
										  frame.command.key_id, &key);
	state.keys = key.keys;
	state.party = key.party;
	state.last_counter = PG_GETARG_INT64(2);
	state.n_digests = get_digests(PG_GETARG_ARRAYTYPE_P(3), digests);
	state.digests = digests;
	state.challenge_all = PG_GETARG_BOOL(4);
	state.challenge_extend = PG_GETARG_BOOL(5);
	if (!PG_ARGISNULL(9))
	{
		challenge.command.key_id = frame.command.key_id;
		challenge.command.code = PG_GETARG_INT32(6);
		text_to_cstring_buffer(PG_GETARG_TEXT_PP(7), challenge.command.mandate,
							   sizeof(challenge.command.mandate));
		challenge.command.argument = PG_GETARG_INT32(8);
		text_to_cstring_buffer(PG_GETARG_TEXT_PP(9), challenge.nonce, sizeof(challenge.nonce));
		challenge.counter = PG_GETARG_INT64(10);
		challenge.expired = PG_GETARG_BOOL(11);
		state.challenge = &challenge;
	}
	mb_command_judge(&frame, symbols, &state, &judgement);
	mb_forget(&key, sizeof(key));
	mb_forget(&state, sizeof(state));
	mulberry_count(MULBERRY_METRIC_COMMAND_FRAMES, judgement.verdict, 0, PG_GETARG_UUID_P(0), 1);
	if (judgement.verdict == MB_VERDICT_FORGERY || judgement.verdict == MB_VERDICT_STALE)
		mulberry_count(MULBERRY_METRIC_VERIFICATION_FAILURES, 0, 0, PG_GETARG_UUID_P(0), 1);

	mulberry_row_add_text(&r, mb_verdict_name(judgement.verdict));
	mulberry_row_add_text(&r, mb_verdict_error_code(judgement.verdict));
	mulberry_row_add(&r, BoolGetDatum(mb_command_meaningful(&frame.command)));
	mulberry_row_add_bytes(&r, judgement.frame_digest, MB_SHA256_SIZE);
	mulberry_row_add(&r, Int32GetDatum(judgement.duplicate_of));
	if (judgement.verdict == MB_VERDICT_ACCEPTED)
	{
		mulberry_row_add(&r, Int64GetDatum(judgement.counter));
		mulberry_row_add_bytes(&r, judgement.message_digest, MB_SHA256_SIZE);
		mulberry_row_add(&r, BoolGetDatum(judgement.challenge_wanted));
		mulberry_row_add(&r, BoolGetDatum(judgement.challenge_answered));
	}
	return mulberry_row_end(&r);
}

/* ---------------------------------------------------------------------------
 * Answering
 * ---------------------------------------------------------------------------
 */

/* build_ack(tenant, agent, key_id, status, state, counter, message_digest) → text */
Datum
mulberry_build_ack(PG_FUNCTION_ARGS)
{
	mulberry_voice_key key;
	bytea *digest = PG_GETARG_BYTEA_PP(6);
	char frame[MB_ACK_FRAME_LENGTH + 1];
	mb_status status;

	if (VARSIZE_ANY_EXHDR(digest) != MB_SHA256_SIZE)
		elog(ERROR, "a message digest has %d bytes", MB_SHA256_SIZE);
	if (!mulberry_voice_key_load(PG_GETARG_UUID_P(0), MULBERRY_VOICE_RECEIVER, PG_GETARG_UUID_P(1),
								 PG_GETARG_INT32(2), &key))
		elog(ERROR, "there is no such enabled voice key");
	status = mb_ack_build(&key.keys, &key.party, key.key_id, PG_GETARG_INT32(3), PG_GETARG_INT32(4),
						  PG_GETARG_INT64(5), (uint8 *) VARDATA_ANY(digest), frame);
	mb_forget(&key, sizeof(key));
	if (status != MB_OK)
		elog(ERROR, "could not sign an acknowledgement: %s", mb_status_message(status));
	PG_RETURN_TEXT_P(cstring_to_text(frame));
}

/* ack_names(status, state) → (status_name, state_name) */
Datum
mulberry_ack_names(PG_FUNCTION_ARGS)
{
	mulberry_row r;

	mulberry_row_begin(&r, fcinfo);
	mulberry_row_add_text(&r, mb_ack_status_name(PG_GETARG_INT32(0)));
	mulberry_row_add_text(&r, mb_mandate_state_name(PG_GETARG_INT32(1)));
	return mulberry_row_end(&r);
}

/* draw_challenge() → text: six random digits, each as probable as any other */
Datum
mulberry_draw_challenge(PG_FUNCTION_ARGS)
{
	char nonce[MB_NONCE_LENGTH + 1];

	for (int i = 0; i < MB_NONCE_LENGTH;)
	{
		uint8 byte;

		if (!pg_strong_random(&byte, 1))
			ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
					errmsg("could not generate random bytes"));
		if (byte < 250)
			nonce[i++] = '0' + byte % 10;
	}
	nonce[MB_NONCE_LENGTH] = '\0';
	PG_RETURN_TEXT_P(cstring_to_text(nonce));
}

/* challenge_digits(nonce) → text: the eight digits to play */
Datum
mulberry_challenge_digits(PG_FUNCTION_ARGS)
{
	char digits[MB_CHALLENGE_LENGTH + 1];

	if (mb_challenge_build(text_to_cstring(PG_GETARG_TEXT_PP(0)), digits) != MB_OK)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a challenge has %d digits", MB_NONCE_LENGTH));
	PG_RETURN_TEXT_P(cstring_to_text(digits));
}
