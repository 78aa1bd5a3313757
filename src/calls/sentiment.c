/*
 * sentiment.c
 *	  The SQL function over the sentiment lexicon of the core.
 */
#include "server/compat.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "core/text/sentiment.h"

PG_FUNCTION_INFO_V1(mulberry_sentiment);

/*
 * sentiment(text) → (sentiment text, confidence float8, score float8,
 * positive float8, negative float8, words int, hits int)
 */
Datum
mulberry_sentiment(PG_FUNCTION_ARGS)
{
	text *argument = PG_GETARG_TEXT_PP(0);
	char *server = VARDATA_ANY(argument);
	int length = VARSIZE_ANY_EXHDR(argument);
	char *utf8 = pg_server_to_any(server, length, PG_UTF8);
	mb_sentiment_result result;
	TupleDesc desc;
	Datum values[7];
	bool nulls[7] = { false };

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	/* only a converted string ends in a NUL */
	mb_sentiment_judge(utf8, utf8 == server ? length : strlen(utf8), &result);
	values[0] = CStringGetTextDatum(mb_sentiment_name(result.sentiment));
	values[1] = Float8GetDatum(result.confidence);
	values[2] = Float8GetDatum(result.score);
	values[3] = Float8GetDatum(result.positive);
	values[4] = Float8GetDatum(result.negative);
	values[5] = Int32GetDatum((int32) result.words);
	values[6] = Int32GetDatum((int32) result.hits);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
