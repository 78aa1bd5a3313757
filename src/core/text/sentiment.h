/*
 * sentiment.h
 *	  The sentiment of an English text by a lexicon: AFINN-165 and what the
 *	  language of telephone calls adds to it, with negation, degree and contrast.
 *
 * It is a default that needs no model and no network.  It does not know irony,
 * other languages, or who of two speakers said what.
 */
#ifndef MB_SENTIMENT_H
#define MB_SENTIMENT_H

#include <stddef.h>

typedef enum mb_sentiment
{
	MB_SENTIMENT_NEGATIVE = -1,
	MB_SENTIMENT_NEUTRAL = 0,
	MB_SENTIMENT_POSITIVE = 1
} mb_sentiment;

/*
 * Words and idioms of the lexicon carry a valence from -5 to 5.  Those in the
 * text, after negation, degree and contrast, add up to "positive" and
 * "negative" (both >= 0), and
 *
 *		score = (positive - negative) / (positive + negative + 2 + words / 50)
 *
 * lies between -1 and 1; the two last terms keep a single word from deciding,
 * the more so in a long text.  The text is positive from 0.25 on, negative from
 * -0.25 on, neutral between.
 *
 * confidence lies between 0.5 and 1, and is 0 when the text has no words.  It
 * grows with the distance from the nearest threshold, and with the evidence: the
 * number of hits where the text is judged positive or negative, the number of words where it
 * is judged neutral.  It is no calibrated probability.
 */
typedef struct mb_sentiment_result
{
	mb_sentiment sentiment;
	double confidence;
	double score;
	double positive;
	double negative;
	size_t words; /* words in the text */
	size_t hits;  /* words and idioms that carried a valence */
} mb_sentiment_result;

/*
 * Judges "length" bytes of UTF-8, not NUL-terminated.  Needs no memory beside the stack
 * and time in proportion to the length.  Malformed UTF-8 is taken as letters
 * that no word of the lexicon has.
 */
extern void mb_sentiment_judge(const char *text, size_t length, mb_sentiment_result *result);

/* "positive", "neutral" or "negative" */
extern const char *mb_sentiment_name(mb_sentiment sentiment);

#endif /* MB_SENTIMENT_H */
