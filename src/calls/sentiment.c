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
#include "server/row.h"

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
	mulberry_row row;

	/* only a converted string ends in a NUL */
	mb_sentiment_judge(utf8, utf8 == server ? length : strlen(utf8), &result);
	mulberry_row_begin(&row, fcinfo);
	mulberry_row_add_text(&row, mb_sentiment_name(result.sentiment));
	mulberry_row_add(&row, Float8GetDatum(result.confidence));
	mulberry_row_add(&row, Float8GetDatum(result.score));
	mulberry_row_add(&row, Float8GetDatum(result.positive));
	mulberry_row_add(&row, Float8GetDatum(result.negative));
	mulberry_row_add(&row, Int32GetDatum((int32) result.words));
	mulberry_row_add(&row, Int32GetDatum((int32) result.hits));
	return mulberry_row_end(&row);
}
