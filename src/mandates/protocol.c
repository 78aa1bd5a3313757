/*
 * protocol.c
 *	  The numbers of the protocol for SQL, which writes none of them itself: codes of statuses and
 *	  states, and the limits of core/command/command.h, command_judge.h and lockout.h.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/command/command_judge.h"
#include "core/command/lockout.h"

PG_FUNCTION_INFO_V1(mulberry_ack_status_code);
PG_FUNCTION_INFO_V1(mulberry_mandate_state_code);
PG_FUNCTION_INFO_V1(mulberry_frame_counter);
PG_FUNCTION_INFO_V1(mulberry_counter_window);
PG_FUNCTION_INFO_V1(mulberry_frames_remembered);
PG_FUNCTION_INFO_V1(mulberry_challenge_lifetime);
PG_FUNCTION_INFO_V1(mulberry_alarm_forgeries);

/* The number from 0 on that has this name; an error for a name that none has. */
static int
code_of(text *name, const char *(*name_of)(int code))
{
	char *wanted = text_to_cstring(name);
	const char *is;

	for (int code = 0; (is = name_of(code)) != NULL; code++)
		if (strcmp(is, wanted) == 0)
			return code;
	elog(ERROR, "\"%s\" has no code", wanted);
}

/* ack_status_code(name) → integer: SS of an acknowledgement */
Datum
mulberry_ack_status_code(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(code_of(PG_GETARG_TEXT_PP(0), mb_ack_status_name));
}

/* mandate_state_code(name) → integer: QQ of an acknowledgement */
Datum
mulberry_mandate_state_code(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(code_of(PG_GETARG_TEXT_PP(0), mb_mandate_state_name));
}

/* frame_counter(counter) → integer: as a frame carries it */
Datum
mulberry_frame_counter(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32((int32) (PG_GETARG_INT64(0) % MB_COUNTER_MODULUS));
}

/* counter_window() → integer */
Datum
mulberry_counter_window(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(MB_COUNTER_WINDOW);
}

/* frames_remembered() → integer */
Datum
mulberry_frames_remembered(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(MB_COMMAND_HISTORY);
}

/* challenge_lifetime() → interval */
Datum
mulberry_challenge_lifetime(PG_FUNCTION_ARGS)
{
	Interval *lifetime = palloc0(sizeof(*lifetime));

	lifetime->time = MB_CHALLENGE_LIFETIME_S * MB_SECOND_US;
	PG_RETURN_INTERVAL_P(lifetime);
}

/* alarm_forgeries() → integer */
Datum
mulberry_alarm_forgeries(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(MB_LOCKOUT_ALARM);
}
