/*
 * voice_keys.c
 *	  Keys of voice commands: makes them, signs commands and checks acknowledgements with them, and
 *	  gives away the one line that takes a key to its edge.
 *
 * Which key a command is signed with, counters and rotation are decided in SQL, over the rows of
 * voice_keys.  How keys are found is voice_key_load.c's, how the line enters on the edge voice_key_entry.c's.
 */
#include "server/compat.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "access/access.h"
#include "core/command/command_kinds.h"
#include "core/crypto/digest.h"
#include "server/row.h"
#include "metrics/counters.h"
#include "secrets/secrets.h"
#include "keys/voice_key_line.h"
#include "keys/voice_keys.h"

PG_FUNCTION_INFO_V1(mulberry_make_voice_key);
PG_FUNCTION_INFO_V1(mulberry_remember_exported_voice_key);
PG_FUNCTION_INFO_V1(mulberry_take_exported_voice_key);
PG_FUNCTION_INFO_V1(mulberry_sign_frame);
PG_FUNCTION_INFO_V1(mulberry_take_ack);
PG_FUNCTION_INFO_V1(mulberry_verify_ack_frame);
PG_FUNCTION_INFO_V1(mulberry_sync_mac);
PG_FUNCTION_INFO_V1(mulberry_sync_mac_fits);
PG_FUNCTION_INFO_V1(mulberry_signing_place);

static const char sync_label[] = "mulberry/sync/1";
static const char fingerprint_label[] = "mulberry/dtmf/2/fingerprint";

/* ---------------------------------------------------------------------------
 * What goes between cloud and edge beside frames
 * ---------------------------------------------------------------------------
 */

/*
 * HMAC-SHA256 of data by the key HMAC-SHA256(K, "mulberry/sync/1"), which signs what goes between cloud and
 * edge beside frames.  False when there is no such enabled key.
 */
static bool
compute_sync_mac(const pg_uuid_t *tenant, mulberry_voice_role role, const pg_uuid_t *agent,
				 int key_id, const void *data, Size n, uint8 mac[MB_SHA256_SIZE])
{
	uint8 bytes[MB_COMMAND_KEY_SIZE];
	uint8 sync_key[MB_SHA256_SIZE];
	mb_command_party party;
	mb_status status;

	if (!mulberry_voice_key_bytes(tenant, role, agent, key_id, bytes, &party))
		return false;
	status = mb_hmac_sha256(bytes, sizeof(bytes), sync_label, strlen(sync_label), sync_key);
	mb_forget(bytes, sizeof(bytes));
	if (status == MB_OK)
		status = mb_hmac_sha256(sync_key, sizeof(sync_key), data, n, mac);
	mb_forget(sync_key, sizeof(sync_key));
	if (status != MB_OK)
		elog(ERROR, "could not compute an HMAC: %s", mb_status_message(status));
	return true;
}

/* ---------------------------------------------------------------------------
 * Making and exporting
 * ---------------------------------------------------------------------------
 */

void
mulberry_voice_key_fingerprint(const uint8 bytes[MB_COMMAND_KEY_SIZE],
							   char fingerprint[MULBERRY_VOICE_FINGERPRINT_SIZE + 1])
{
	uint8 mac[MB_SHA256_SIZE];
	mb_status status = mb_hmac_sha256(bytes, MB_COMMAND_KEY_SIZE, fingerprint_label,
									  strlen(fingerprint_label), mac);

	if (status != MB_OK)
		elog(ERROR, "could not compute an HMAC: %s", mb_status_message(status));
	(void) hex_encode((char *) mac, MULBERRY_VOICE_FINGERPRINT_SIZE / 2, fingerprint);
	fingerprint[MULBERRY_VOICE_FINGERPRINT_SIZE] = '\0';
}

/* make_voice_key(tenant, secret) → fingerprint: draws the bytes and stores them sealed */
Datum
mulberry_make_voice_key(PG_FUNCTION_ARGS)
{
	char *secret = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char fingerprint[MULBERRY_VOICE_FINGERPRINT_SIZE + 1];
	uint8 bytes[MB_COMMAND_KEY_SIZE];

	if (!pg_strong_random(bytes, sizeof(bytes)))
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes"));
	mulberry_secret_store(PG_GETARG_UUID_P(0), secret, (char *) bytes, sizeof(bytes));
	mulberry_voice_key_fingerprint(bytes, fingerprint);
	mb_forget(bytes, sizeof(bytes));
	PG_RETURN_TEXT_P(cstring_to_text(fingerprint));
}

/*
 * The key whose line this session may take: xid marked it as exported.  Session memory, because a
 * line that was seen stays seen, whatever becomes of the transaction that took it.
 */
static struct
{
	TransactionId xid; /* invalid: none */
	Oid user;
	pg_uuid_t tenant;
	pg_uuid_t agent;
	int key_id;
	bool challenge_extend;
	char fingerprint[MULBERRY_VOICE_FINGERPRINT_SIZE + 1]; /* an id may be given again */
} exported;

/* remember_exported_voice_key(tenant, agent, key_id, challenge_extend, fingerprint) */
Datum
mulberry_remember_exported_voice_key(PG_FUNCTION_ARGS)
{
	exported.tenant = *PG_GETARG_UUID_P(0);
	exported.agent = *PG_GETARG_UUID_P(1);
	exported.key_id = PG_GETARG_INT32(2);
	exported.challenge_extend = PG_GETARG_BOOL(3);
	text_to_cstring_buffer(PG_GETARG_TEXT_PP(4), exported.fingerprint,
						   sizeof(exported.fingerprint));
	exported.user = GetOuterUserId();
	exported.xid = GetCurrentTransactionId();
	PG_RETURN_VOID();
}

/*
 * take_exported_voice_key() → text: the line for the edge, once, and only when the transaction
 * that marked the key has been committed.
 */
Datum
mulberry_take_exported_voice_key(PG_FUNCTION_ARGS)
{
	TransactionId marked_by = exported.xid;
	mulberry_voice_key_line line = { 0 };
	char *written;
	text *result;
	char fingerprint[MULBERRY_VOICE_FINGERPRINT_SIZE + 1];

	/* through a function of somebody else: neither given nor forgotten */
	if (TransactionIdIsValid(marked_by) &&
		!mulberry_has_access(&exported.tenant, MULBERRY_ACCESS_ADMIN))
		marked_by = InvalidTransactionId;
	else
		exported.xid = InvalidTransactionId;
	if (!TransactionIdIsValid(marked_by) || exported.user != GetOuterUserId() ||
		!TransactionIdDidCommit(marked_by))
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("no voice key was exported by this session"),
				errhint("Use CALL mulberry.export_voice_key(agent, key_id)."));
	(void) mulberry_voice_key_bytes(&exported.tenant, MULBERRY_VOICE_SENDER, &exported.agent,
									exported.key_id, line.bytes, &line.party);
	mulberry_voice_key_fingerprint(line.bytes, fingerprint);
	if (strcmp(fingerprint, exported.fingerprint) != 0)
	{
		mb_forget(&line, sizeof(line));
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("voice key %d was disabled meanwhile", exported.key_id));
	}
	line.key_id = exported.key_id;
	line.challenge_extend = exported.challenge_extend;
	written = mulberry_voice_key_line_write(&line);
	mb_forget(&line, sizeof(line));
	result = cstring_to_text(written);
	explicit_bzero(written, strlen(written));
	pfree(written);
	PG_RETURN_TEXT_P(result);
}

/* ---------------------------------------------------------------------------
 * Signing
 * ---------------------------------------------------------------------------
 */

/*
 * signing_place() → text: the server, database and timeline that we run on.  A restored dump, a
 * promoted standby and a server recovered to a point in time have another one.
 */
Datum
mulberry_signing_place(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(
		cstring_to_text(psprintf(UINT64_FORMAT "/%u/%u", GetSystemIdentifier(), MyDatabaseId,
								 RecoveryInProgress() ? 0 : GetWALInsertionTimeLine())));
}

/*
 * sign_frame(tenant, agent, key_id, command, mandate, argument, counter, nonce) → (frame,
 * message_digest): with a sender's key.  mandate is null for PING, nonce null but for the answer to a
 * challenge.
 */
Datum
mulberry_sign_frame(PG_FUNCTION_ARGS)
{
	mulberry_row r;
	mulberry_voice_key key;
	mb_command command = { 0 };
	mb_command_code code;
	char *mandate = PG_ARGISNULL(4) ? "00000000" : text_to_cstring(PG_GETARG_TEXT_PP(4));
	char *nonce = PG_ARGISNULL(7) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(7));
	char frame[MB_COMMAND_FRAME_LENGTH + 1];
	uint8 digest[MB_SHA256_SIZE];
	mb_status status;

	for (int i = 0; i < 7; i++)
		if (PG_ARGISNULL(i) && i != 4)
			elog(ERROR, "argument %d of sign_frame() must not be null", i + 1);
	mulberry_row_begin(&r, fcinfo);
	if (!mb_command_from_name(text_to_cstring(PG_GETARG_TEXT_PP(3)), &code) ||
		!mb_mandate_id_valid(mandate))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid command or mandate id"));
	command.key_id = PG_GETARG_INT32(2);
	command.code = code;
	memcpy(command.mandate, mandate, sizeof(command.mandate));
	command.argument = PG_GETARG_INT32(5);

	if (!mulberry_voice_key_load(PG_GETARG_UUID_P(0), MULBERRY_VOICE_SENDER, PG_GETARG_UUID_P(1),
								 command.key_id, &key))
		elog(ERROR, "there is no such enabled voice key");
	status =
		mb_command_build(&key.keys, &key.party, &command, PG_GETARG_INT64(6), nonce, frame, digest);
	mb_forget(&key, sizeof(key));
	if (status == MB_ERR_RANGE)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a command's argument, counter or nonce is out of range"),
				errdetail("%s takes an argument from %d to %d; a nonce has %d digits.",
						  mb_command_name(code), mb_command_kind_by_code(code)->least_argument,
						  mb_command_kind_by_code(code)->most_argument, MB_NONCE_LENGTH));
	if (status != MB_OK)
		elog(ERROR, "could not sign a command: %s", mb_status_message(status));
	mulberry_row_add_text(&r, frame);
	mulberry_row_add_bytes(&r, digest, sizeof(digest));
	return mulberry_row_end(&r);
}

/* The type received_ack, in the order of its columns. */
enum
{
	ACK_PROBLEM,
	ACK_KEY_ID,
	ACK_STATUS,
	ACK_STATE,
	ACK_COUNTER,
	ACK_TAG,
	ACK_COLUMNS
};

/* take_ack(symbols) → received_ack, with what is wrong in "problem", or else the fields */
Datum
mulberry_take_ack(PG_FUNCTION_ARGS)
{
	text *symbols = PG_GETARG_TEXT_PP(0);
	mulberry_row r;
	mb_ack_frame fields;
	mb_frame_status status =
		mb_ack_parse(VARDATA_ANY(symbols), VARSIZE_ANY_EXHDR(symbols), &fields);

	mulberry_row_begin_named(&r, fcinfo);
	if (status != MB_FRAME_OK)
	{
		mulberry_row_add_text(&r, mb_frame_status_message(status));
		return mulberry_row_end(&r);
	}
	mulberry_row_skip(&r);
	mulberry_row_add(&r, Int32GetDatum(fields.key_id));
	mulberry_row_add(&r, Int32GetDatum(fields.status));
	mulberry_row_add(&r, Int32GetDatum(fields.state));
	mulberry_row_add(&r, Int32GetDatum(fields.counter));
	mulberry_row_add_text(&r, fields.tag);
	return mulberry_row_end(&r);
}

/* What take_ack() has made of symbols; false when they are no acknowledgement. */
static bool
taken_ack(HeapTupleHeader row, mb_ack_frame *fields)
{
	Datum values[ACK_COLUMNS];
	bool nulls[ACK_COLUMNS];

	mulberry_row_columns(row, ACK_COLUMNS, values, nulls);
	for (int column = ACK_KEY_ID; column < ACK_COLUMNS; column++)
		if (nulls[column])
			return false;
	memset(fields, 0, sizeof(*fields));
	fields->key_id = DatumGetInt32(values[ACK_KEY_ID]);
	fields->status = DatumGetInt32(values[ACK_STATUS]);
	fields->state = DatumGetInt32(values[ACK_STATE]);
	fields->counter = DatumGetInt32(values[ACK_COUNTER]);
	text_to_cstring_buffer(DatumGetTextPP(values[ACK_TAG]), fields->tag, sizeof(fields->tag));
	return nulls[ACK_PROBLEM];
}

/* As verify_ack_frame() answers; null for what could not be judged, which is an error. */
static const char *
ack_verdict_name(mb_ack_verdict verdict)
{
	switch (verdict)
	{
		case MB_ACK_GENUINE:
			return "genuine";
		case MB_ACK_OTHER_COMMAND:
			return "other command";
		case MB_ACK_FORGERY:
			return "forgery";
		case MB_ACK_NOT_JUDGED:
			break;
	}
	return NULL;
}

/*
 * verify_ack_frame(tenant, agent, key_id, counter, message_digest, ack) → (verdict, status,
 * state, status_name, state_name): with a sender's key; the fields are null unless genuine.  What a
 * key that is disabled by now once signed can no longer be checked and is "other command".
 */
Datum
mulberry_verify_ack_frame(PG_FUNCTION_ARGS)
{
	mulberry_row r;
	mulberry_voice_key key;
	mb_ack_frame fields;
	mb_ack_verdict verdict = MB_ACK_OTHER_COMMAND;
	bytea *digest = PG_GETARG_BYTEA_PP(4);

	mulberry_row_begin(&r, fcinfo);
	if (VARSIZE_ANY_EXHDR(digest) != MB_SHA256_SIZE)
		elog(ERROR, "a message digest has %d bytes", MB_SHA256_SIZE);
	if (!taken_ack(PG_GETARG_HEAPTUPLEHEADER(5), &fields))
	{
		mulberry_row_add_text(&r, "decode error");
		return mulberry_row_end(&r);
	}
	if (mulberry_voice_key_load(PG_GETARG_UUID_P(0), MULBERRY_VOICE_SENDER, PG_GETARG_UUID_P(1),
								PG_GETARG_INT32(2), &key))
		verdict = mb_ack_verify(&fields, &key.keys, &key.party, key.key_id, PG_GETARG_INT64(3),
								(uint8 *) VARDATA_ANY(digest));
	mb_forget(&key, sizeof(key));
	if (verdict == MB_ACK_NOT_JUDGED)
		elog(ERROR, "could not verify an acknowledgement");
	mulberry_count_named(MULBERRY_METRIC_ACKNOWLEDGEMENTS, ack_verdict_name(verdict), NULL,
						 PG_GETARG_UUID_P(0));
	if (verdict == MB_ACK_FORGERY)
		mulberry_count(MULBERRY_METRIC_VERIFICATION_FAILURES, 0, 0, PG_GETARG_UUID_P(0), 1);
	mulberry_row_add_text(&r, ack_verdict_name(verdict));
	if (verdict == MB_ACK_GENUINE)
	{
		mulberry_row_add(&r, Int32GetDatum(fields.status));
		mulberry_row_add(&r, Int32GetDatum(fields.state));
		mulberry_row_add_text(&r, mb_ack_status_name(fields.status));
		mulberry_row_add_text(&r, mb_mandate_state_name(fields.state));
	}
	return mulberry_row_end(&r);
}

/* sync_mac(tenant, role, agent, key_id, data) → bytea, null without such an enabled key */
Datum
mulberry_sync_mac(PG_FUNCTION_ARGS)
{
	bytea *data = PG_GETARG_BYTEA_PP(4);
	bytea *result = palloc(VARHDRSZ + MB_SHA256_SIZE);

	SET_VARSIZE(result, VARHDRSZ + MB_SHA256_SIZE);
	if (!compute_sync_mac(PG_GETARG_UUID_P(0),
						  mulberry_voice_role_from_name(text_to_cstring(PG_GETARG_TEXT_PP(1))),
						  PG_GETARG_UUID_P(2), PG_GETARG_INT32(3), VARDATA_ANY(data),
						  VARSIZE_ANY_EXHDR(data), (uint8 *) VARDATA(result)))
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(result);
}

/* sync_mac_fits(tenant, role, agent, key_id, data, mac) → boolean */
Datum
mulberry_sync_mac_fits(PG_FUNCTION_ARGS)
{
	bytea *data = PG_GETARG_BYTEA_PP(4);
	bytea *mac = PG_GETARG_BYTEA_PP(5);
	uint8 expected[MB_SHA256_SIZE];
	bool fits;

	if (!compute_sync_mac(PG_GETARG_UUID_P(0),
						  mulberry_voice_role_from_name(text_to_cstring(PG_GETARG_TEXT_PP(1))),
						  PG_GETARG_UUID_P(2), PG_GETARG_INT32(3), VARDATA_ANY(data),
						  VARSIZE_ANY_EXHDR(data), expected))
		PG_RETURN_BOOL(false);
	fits = VARSIZE_ANY_EXHDR(mac) == MB_SHA256_SIZE &&
		   mb_equal(expected, VARDATA_ANY(mac), MB_SHA256_SIZE);
	mb_forget(expected, sizeof(expected));
	PG_RETURN_BOOL(fits);
}
