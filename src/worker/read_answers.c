/*
 * read_answers.c
 *	  What a worker makes of an answer, as SQL functions: for whoever sets up a service.
 */
#include "server/compat.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "worker/kinds.h"

PG_FUNCTION_INFO_V1(mulberry_read_transcription);
PG_FUNCTION_INFO_V1(mulberry_read_sentiment_sql);

static Datum
result_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc descriptor;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls));
}

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

/*
 * read_transcription(kind text, answer jsonb, OUT transcription text, OUT sentiment text,
 *		OUT confidence double precision, OUT language text, OUT dropped_segments integer,
 *		OUT ignored text)
 */
Datum
mulberry_read_transcription(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const mulberry_endpoint_kind *kind = mulberry_endpoint_kind_by_name(name);
	const mulberry_protocol *protocol = kind ? mulberry_protocol_of(kind) : NULL;
	mulberry_transcript said = { 0 };
	Datum values[6];
	bool nulls[6] = { false };

	if (protocol == NULL || protocol->read_transcript == NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("endpoints of kind \"%s\" transcribe nothing", name));
	protocol->read_transcript(PG_GETARG_JSONB_P(1), &said);
	values[0] = text_or_null(said.text, &nulls[0]);
	values[1] = text_or_null(said.sentiment, &nulls[1]);
	values[2] = Float8GetDatum(said.confidence);
	nulls[2] = !said.has_confidence;
	values[3] = text_or_null(said.language, &nulls[3]);
	values[4] = Int32GetDatum(said.dropped_segments);
	values[5] = text_or_null(said.ignored, &nulls[5]);
	PG_RETURN_DATUM(result_row(fcinfo, values, nulls));
}

/* read_sentiment(answer jsonb, OUT sentiment text, OUT confidence double precision) */
Datum
mulberry_read_sentiment_sql(PG_FUNCTION_ARGS)
{
	mulberry_transcript said = { 0 };
	Datum values[2];
	bool nulls[2] = { false };

	mulberry_openai.read_sentiment(PG_GETARG_JSONB_P(0), &said);
	values[0] = text_or_null(said.sentiment, &nulls[0]);
	values[1] = Float8GetDatum(said.confidence);
	nulls[1] = !said.has_confidence;
	PG_RETURN_DATUM(result_row(fcinfo, values, nulls));
}
