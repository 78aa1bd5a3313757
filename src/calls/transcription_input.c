/*
 * transcription_input.c
 *	  What is transcribed of a call, for the workers: its audio or its text, with
 *	  what a service wants to know about it.  How packets become audio is in
 *	  call_audio.c; what is asked of a service is in worker/ai.c.
 */
#include "server/compat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "calls/call_audio.h"
#include "server/row.h"

PG_FUNCTION_INFO_V1(mulberry_transcription_input);

/* Facts that the result of the call keeps. */
static Jsonb *
audio_facts(const mulberry_audio_report *report)
{
	char *text = psprintf("{\"audio_seconds\": %.2f, \"packets\": " INT64_FORMAT "}",
						  (double) report->samples / report->sample_rate, report->packets);

	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

/*
 * transcription_input(call bigint, track integer, OUT call_id text, OUT encoding text,
 *		OUT sample_rate integer, OUT audio bytea, OUT content text, OUT facts jsonb)
 *
 * Reads the latest committed state: the worker has moved the call to
 * PROCESSING_AI, and from then on nothing is added to it.
 */
Datum
mulberry_transcription_input(PG_FUNCTION_ARGS)
{
	int64 call = PG_GETARG_INT64(0);
	Oid types[2] = { INT8OID, INT4OID };
	Datum arguments[2] = { Int64GetDatum(call), PG_ARGISNULL(1) ? (Datum) 0 : PG_GETARG_DATUM(1) };
	int64 track = 0;
	MemoryContext context = CurrentMemoryContext;
	mulberry_row row;
	Jsonb *facts = NULL;
	char *encoding = NULL;

	mulberry_row_begin(&row, fcinfo);
	SPI_connect();
	if (SPI_execute_with_args(
			"SELECT c.call_id, t.encoding, t.sample_rate, t.id FROM mulberry_internal.calls c"
			" JOIN mulberry_internal.all_tracks t ON t.call OPERATOR(pg_catalog.=) c.id"
			" WHERE c.id OPERATOR(pg_catalog.=) $1 AND t.number OPERATOR(pg_catalog.=)"
			" coalesce($2, mulberry_internal.next_track($1, -1), 0)",
			2, types, arguments, PG_ARGISNULL(1) ? " n" : NULL, false, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the call does not exist"));
	for (int i = 0; i < 4; i++)
	{
		bool isnull;
		Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &isnull);
		MemoryContext old = MemoryContextSwitchTo(context);

		if (i == 1)
			encoding = TextDatumGetCString(value);
		if (i < 2)
			mulberry_row_add_text(&row, TextDatumGetCString(value));
		else if (i == 2)
			mulberry_row_add(&row, value);
		else
			track = DatumGetInt64(value);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();

	if (strcmp(encoding, "text") == 0)
	{
		text *content = mulberry_call_text(track, NULL);

		mulberry_row_skip(&row);
		/* A packet is never empty, so an empty text has none. */
		if (content == NULL || VARSIZE_ANY_EXHDR(content) == 0)
			mulberry_row_skip(&row);
		else
			mulberry_row_add(&row, PointerGetDatum(content));
	}
	else
	{
		mulberry_audio_report report = { 0 };
		bytea *audio = mulberry_call_wav(track, NULL, &report);

		if (audio == NULL || report.packets == 0)
			mulberry_row_skip(&row);
		else
		{
			mulberry_row_add(&row, PointerGetDatum(audio));
			facts = audio_facts(&report);
		}
		mulberry_row_skip(&row);
	}
	mulberry_row_add(&row, facts != NULL ? JsonbPGetDatum(facts)
										 : DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	return mulberry_row_end(&row);
}
