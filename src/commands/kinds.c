/*
 * kinds.c
 *	  The kinds of commands as SQL reads them; core/command/command_kinds.c defines them.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "core/command/command_kinds.h"
#include "server/row.h"

PG_FUNCTION_INFO_V1(mulberry_command_kinds);
PG_FUNCTION_INFO_V1(mulberry_command_kind);
PG_FUNCTION_INFO_V1(mulberry_command_means_something);

/* The columns that command_kind() and command_kinds() share. */
static void
add_properties(mulberry_row *row, const mb_command_kind *kind)
{
	mulberry_row_add(row, BoolGetDatum(kind->has_mandate));
	mulberry_row_add(row, Int32GetDatum(kind->least_argument));
	mulberry_row_add(row, Int32GetDatum(kind->most_argument));
	mulberry_row_add(row, BoolGetDatum(kind->changes));
	mulberry_row_add_text(row,
						  kind->sets == MB_MANDATE_NONE ? NULL : mb_mandate_state_name(kind->sets));
	mulberry_row_add(row, BoolGetDatum(kind->urgent));
	mulberry_row_add(row, BoolGetDatum(kind->final));
	mulberry_row_add(row, BoolGetDatum(kind->adds_up));
	mulberry_row_add(row, BoolGetDatum(kind->challenged));
	mulberry_row_add(row, BoolGetDatum(kind->asks));
	mulberry_row_add_text(row, kind->announcement);
	mulberry_row_add_text(row, kind->done);
	mulberry_row_add_text(row, kind->confirmation);
}

/* command_kinds() → setof (command, code, has_mandate, …, confirmation, meaning) */
Datum
mulberry_command_kinds(PG_FUNCTION_ARGS)
{
	const mb_command_kind *kind;

	InitMaterializedSRF(fcinfo, 0);
	for (size_t i = 0; (kind = mb_command_kind_at(i)) != NULL; i++)
	{
		mulberry_row row;

		mulberry_row_begin(&row, fcinfo);
		mulberry_row_add_text(&row, kind->name);
		mulberry_row_add_two_digits(&row, kind->code);
		add_properties(&row, kind);
		mulberry_row_add_text(&row, kind->meaning);
		mulberry_row_put(&row, fcinfo);
	}
	return (Datum) 0;
}

/* command_kind(command text) → (has_mandate, …, confirmation) */
Datum
mulberry_command_kind(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const mb_command_kind *kind = mb_command_kind_by_name(name);
	mulberry_row row;

	if (kind == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown command \"%s\"", name)));
	mulberry_row_begin(&row, fcinfo);
	add_properties(&row, kind);
	return mulberry_row_end(&row);
}

/* command_means_something(command text, mandate text, argument integer): may a row have these? */
Datum
mulberry_command_means_something(PG_FUNCTION_ARGS)
{
	const mb_command_kind *kind;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_BOOL(false);
	kind = mb_command_kind_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_BOOL(kind && kind->has_mandate == !PG_ARGISNULL(1) &&
				   PG_GETARG_INT32(2) >= kind->least_argument &&
				   PG_GETARG_INT32(2) <= kind->most_argument);
}
