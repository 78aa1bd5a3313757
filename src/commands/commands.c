/*
 * commands.c
 *	  Voice commands in SQL, as far as they are functions of their arguments alone: the textual
 *	  form of the original protocol, and frames and challenges taken apart.
 *
 * Keys, counters and mandates are not read here; the frames are the core's (core/command.h,
 * core/command_legacy.h).
 */
#include "server/compat.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/command/command.h"
#include "core/command/command_kinds.h"
#include "core/command/command_legacy.h"
#include "core/crypto/digest.h"
#include "server/row.h"
#include "server/texts.h"

PG_FUNCTION_INFO_V1(mulberry_command_generate);
PG_FUNCTION_INFO_V1(mulberry_command_verify);
PG_FUNCTION_INFO_V1(mulberry_command_frame_parse);
PG_FUNCTION_INFO_V1(mulberry_ack_frame_parse);
PG_FUNCTION_INFO_V1(mulberry_challenge_nonce);

/* Shorter ones are found by trying; the original's own samples have 11 bytes and more. */
#define MIN_SECRET_SIZE 8

/* The protocol's code for symbols that are no frame. */
#define DECODE_ERROR "E007"

#define MINUTES_BEFORE_2000 ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * INT64CONST(1440))

static void
check_not_null(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("%s must not be null", name));
}

/* The secret in the encoding in which it keys the HMAC. */
typedef struct secret_bytes
{
	char *bytes;
	size_t length;
} secret_bytes;

/* Fetches the secret in UTF-8, so that a database in another encoding makes the same tags. */
static secret_bytes
get_secret(FunctionCallInfo fcinfo, int arg)
{
	secret_bytes secret;
	char *given = text_to_cstring(PG_GETARG_TEXT_PP(arg));

	secret.bytes = pg_server_to_any(given, strlen(given), PG_UTF8);
	secret.length = strlen(secret.bytes);
	if (secret.length < MIN_SECRET_SIZE)
		ereport(
			ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("secret is too short"),
			errdetail("It has %zu bytes; at least %d are needed.", secret.length, MIN_SECRET_SIZE));
	return secret;
}

/* Unix time in whole minutes, rounded down. */
static int64
minute_of(TimestampTz at)
{
	int64 minutes;

	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("at must be finite"));
	minutes = at / (60 * USECS_PER_SEC);
	if (at < 0 && at % (60 * USECS_PER_SEC) != 0)
		minutes--;
	return minutes + MINUTES_BEFORE_2000;
}

/* The code of a command with a textual form. */
static int
legacy_code(const char *name)
{
	mb_command_code code;
	StringInfoData known;
	const mb_command_kind *kind;
	int n = 0;
	int seen = 0;

	if (mb_command_from_name(name, &code) && mb_legacy_knows(code))
		return code;
	for (size_t i = 0; (kind = mb_command_kind_at(i)) != NULL; i++)
		n += kind->textual;
	initStringInfo(&known);
	for (size_t i = 0; (kind = mb_command_kind_at(i)) != NULL; i++)
		if (kind->textual)
		{
			appendStringInfo(&known, "%s%s",
							 seen == 0		? ""
							 : seen < n - 1 ? ", "
											: " and ",
							 kind->name);
			seen++;
		}

	mulberry_check_text("command", name, (int) strlen(name));
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown command \"%s\"", name),
			errdetail("Commands with a textual form are %s.", known.data));
}

static char *
get_mandate_id(FunctionCallInfo fcinfo, int arg)
{
	char *mandate = text_to_cstring(PG_GETARG_TEXT_PP(arg));

	mulberry_check_text("mandate_id", mandate, (int) strlen(mandate));
	if (!mb_mandate_id_valid(mandate))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid mandate id \"%s\"", mandate),
				errdetail("A mandate id has %d digits.", MB_MANDATE_ID_LENGTH));
	return mandate;
}

/* command_generate(command, mandate_id, secret, at, include_timestamp) */
Datum
mulberry_command_generate(PG_FUNCTION_ARGS)
{
	mulberry_row r;
	int code;
	char *mandate;
	secret_bytes secret;
	int64 minute = 0;
	bool with_minute;
	char sequence[MB_LEGACY_SEQUENCE_LENGTH + 1];
	char payload[MB_LEGACY_PAYLOAD_MAX];
	mb_status status;

	check_not_null(fcinfo, 0, "command");
	check_not_null(fcinfo, 1, "mandate_id");
	check_not_null(fcinfo, 2, "secret");
	check_not_null(fcinfo, 4, "include_timestamp");
	with_minute = PG_GETARG_BOOL(4);
	if (with_minute)
	{
		check_not_null(fcinfo, 3, "at");
		minute = minute_of(PG_GETARG_TIMESTAMPTZ(3));
	}
	mulberry_row_begin(&r, fcinfo);
	code = legacy_code(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	mandate = get_mandate_id(fcinfo, 1);
	secret = get_secret(fcinfo, 2);

	status = mb_legacy_generate(code, mandate, secret.bytes, secret.length,
								with_minute ? &minute : NULL, sequence, payload);
	mb_forget(secret.bytes, secret.length);
	if (status != MB_OK)
		elog(ERROR, "could not sign a command: %s", mb_status_message(status));
	mulberry_row_add_text(&r, sequence);
	mulberry_row_add_text(&r, payload);
	return mulberry_row_end(&r);
}

/* command_verify(sequence, secret, window_minutes, at) */
Datum
mulberry_command_verify(PG_FUNCTION_ARGS)
{
	mulberry_row r;
	text *sequence;
	secret_bytes secret;
	int window;
	int64 minute;
	mb_legacy_command command;
	mb_legacy_status status;

	check_not_null(fcinfo, 0, "sequence");
	check_not_null(fcinfo, 1, "secret");
	check_not_null(fcinfo, 2, "window_minutes");
	check_not_null(fcinfo, 3, "at");
	mulberry_row_begin(&r, fcinfo);
	sequence = PG_GETARG_TEXT_PP(0);
	window = PG_GETARG_INT32(2);
	if (window < 0 || window > MB_LEGACY_MAX_WINDOW)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("window_minutes %d is out of range", window),
				errdetail("It can be 0 to %d.", MB_LEGACY_MAX_WINDOW));
	minute = minute_of(PG_GETARG_TIMESTAMPTZ(3));
	secret = get_secret(fcinfo, 1);

	status = mb_legacy_verify(VARDATA_ANY(sequence), VARSIZE_ANY_EXHDR(sequence), secret.bytes,
							  secret.length, window, minute, &command);
	mb_forget(secret.bytes, secret.length);
	/* what could not be judged is no verdict */
	if (status == MB_LEGACY_FAILURE || status == MB_LEGACY_RANGE)
		elog(ERROR, "could not verify a command: %s", mb_legacy_message(status));

	mulberry_row_add(&r, BoolGetDatum(status == MB_LEGACY_VALID));
	if (status != MB_LEGACY_VALID)
	{
		mulberry_row_add_error(&r, mb_legacy_error_code(status), mb_legacy_message(status));
		return mulberry_row_end(&r);
	}
	mulberry_row_add_text(&r, mb_command_name(command.code));
	mulberry_row_add_two_digits(&r, command.code);
	mulberry_row_add_text(&r, command.mandate);
	mulberry_row_add(&r, Int64GetDatum(command.minute));
	return mulberry_row_end(&r);
}

/* command_frame_parse(frame) */
Datum
mulberry_command_frame_parse(PG_FUNCTION_ARGS)
{
	mulberry_row r;
	text *symbols;
	mb_command_frame frame;
	mb_frame_status status;

	check_not_null(fcinfo, 0, "frame");
	symbols = PG_GETARG_TEXT_PP(0);
	mulberry_row_begin(&r, fcinfo);
	status = mb_command_parse(VARDATA_ANY(symbols), VARSIZE_ANY_EXHDR(symbols), &frame);
	mulberry_row_add(&r, BoolGetDatum(status == MB_FRAME_OK));
	if (status != MB_FRAME_OK)
	{
		mulberry_row_add_error(&r, DECODE_ERROR, mb_frame_status_message(status));
		return mulberry_row_end(&r);
	}
	mulberry_row_add(&r, Int32GetDatum(frame.command.key_id));
	mulberry_row_add_text(&r, mb_command_name(frame.command.code));
	mulberry_row_add_two_digits(&r, frame.command.code);
	mulberry_row_add_text(&r, frame.command.mandate);
	mulberry_row_add(&r, Int32GetDatum(frame.command.argument));
	mulberry_row_add(&r, Int32GetDatum(frame.counter));
	mulberry_row_add_text(&r, frame.tag);
	mulberry_row_add_two_digits(&r, frame.check);
	return mulberry_row_end(&r);
}

/* ack_frame_parse(frame) */
Datum
mulberry_ack_frame_parse(PG_FUNCTION_ARGS)
{
	mulberry_row r;
	text *symbols;
	mb_ack_frame frame;
	mb_frame_status status;

	check_not_null(fcinfo, 0, "frame");
	symbols = PG_GETARG_TEXT_PP(0);
	mulberry_row_begin(&r, fcinfo);
	status = mb_ack_parse(VARDATA_ANY(symbols), VARSIZE_ANY_EXHDR(symbols), &frame);
	mulberry_row_add(&r, BoolGetDatum(status == MB_FRAME_OK));
	if (status != MB_FRAME_OK)
	{
		mulberry_row_add_error(&r, DECODE_ERROR, mb_frame_status_message(status));
		return mulberry_row_end(&r);
	}
	mulberry_row_add(&r, Int32GetDatum(frame.key_id));
	mulberry_row_add_text(&r, mb_ack_status_name(frame.status));
	mulberry_row_add_two_digits(&r, frame.status);
	mulberry_row_add_text(&r, mb_mandate_state_name(frame.state));
	mulberry_row_add_two_digits(&r, frame.state);
	mulberry_row_add(&r, Int32GetDatum(frame.counter));
	mulberry_row_add_text(&r, frame.tag);
	mulberry_row_add_two_digits(&r, frame.check);
	return mulberry_row_end(&r);
}

/* challenge_nonce(digits) → the six digits before their check, null when they do not fit it */
Datum
mulberry_challenge_nonce(PG_FUNCTION_ARGS)
{
	text *digits = PG_GETARG_TEXT_PP(0);
	char nonce[MB_NONCE_LENGTH + 1];

	if (mb_challenge_parse(VARDATA_ANY(digits), VARSIZE_ANY_EXHDR(digits), nonce) != MB_FRAME_OK)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(nonce));
}
