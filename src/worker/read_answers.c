/*
 * read_answers.c
 *	  What a worker makes of an answer, as SQL functions: for whoever sets up a service.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "server/row.h"
#include "worker/kinds.h"

PG_FUNCTION_INFO_V1(mulberry_read_transcription);
PG_FUNCTION_INFO_V1(mulberry_read_sentiment_sql);

static void
add_confidence(mulberry_row *row, const mulberry_transcript *said)
{
	if (said->has_confidence)
		mulberry_row_add(row, Float8GetDatum(said->confidence));
	else
		mulberry_row_skip(row);
}

/*
 * read_transcription(kind text, answer jsonb, seconds double precision, OUT transcription text, OUT sentiment text,
 *		OUT confidence double precision, OUT language text, OUT dropped_segments integer,
 *		OUT ignored text, OUT segments jsonb)
 */
Datum
mulberry_read_transcription(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const mulberry_endpoint_kind *kind = mulberry_endpoint_kind_by_name(name);
	const mulberry_protocol *protocol = kind ? mulberry_protocol_of(kind) : NULL;
	double seconds = PG_GETARG_FLOAT8(2);
	mulberry_transcript said = { 0 };
	mulberry_row result;

	if (!(seconds >= 0 && seconds <= 1e6))
		ereport(ERROR, errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				errmsg("%g seconds of audio are out of range", seconds));
	if (protocol != NULL && protocol->read_transcript != NULL)
		protocol->read_transcript(PG_GETARG_JSONB_P(1), &said);
	else
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("endpoints of kind \"%s\" transcribe nothing", name));
	mulberry_row_begin(&result, fcinfo);
	mulberry_row_add_text(&result, said.text);
	mulberry_row_add_text(&result, said.sentiment);
	add_confidence(&result, &said);
	mulberry_row_add_text(&result, said.language);
	mulberry_row_add(&result, Int32GetDatum(said.dropped_segments));
	mulberry_row_add_text(&result, said.ignored);
	mulberry_place_segments(&said.segments, said.text, seconds);
	mulberry_row_add(&result, JsonbPGetDatum(mulberry_segments_json(&said.segments, 0)));
	return mulberry_row_end(&result);
}

/* read_sentiment(answer jsonb, OUT sentiment text, OUT confidence double precision) */
Datum
mulberry_read_sentiment_sql(PG_FUNCTION_ARGS)
{
	mulberry_transcript said = { 0 };
	mulberry_row result;

	mulberry_openai.read_sentiment(PG_GETARG_JSONB_P(0), &said);
	mulberry_row_begin(&result, fcinfo);
	mulberry_row_add_text(&result, said.sentiment);
	add_confidence(&result, &said);
	return mulberry_row_end(&result);
}
