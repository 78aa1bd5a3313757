/*
 * fuzz_sentiment.c
 *	  Any bytes are judged without touching others, and the figures keep to what
 *	  sentiment.h promises.
 *
 * Fuzz with: -max_len=4096
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "core/text/sentiment.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	mb_sentiment_result result;
	mb_sentiment_result again;

	mb_sentiment_judge((const char *) data, size, &result);
	require(result.words <= size && result.hits <= result.words);
	require(result.positive >= 0 && result.negative >= 0);
	require(result.score > -1 && result.score < 1);
	require(result.words == 0 ? result.confidence == 0
							  : result.confidence >= 0.5 && result.confidence <= 1);
	require(mb_sentiment_name(result.sentiment) != NULL);
	require((result.sentiment == MB_SENTIMENT_POSITIVE) == (result.score >= 0.25));
	require((result.sentiment == MB_SENTIMENT_NEGATIVE) == (result.score <= -0.25));

	/* the same bytes get the same judgement */
	mb_sentiment_judge((const char *) data, size, &again);
	require(memcmp(&result.score, &again.score, sizeof(result.score)) == 0);
	return 0;
}
