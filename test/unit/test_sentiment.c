/*
 * test_sentiment.c
 *	  Proves the sentiment lexicon: each rule by itself, the definitions of score
 *	  and confidence, odd input, and that it judges most sentences of calls as
 *	  people do.
 */
#include "check.h"
#include "core/text/sentiment.h"
#include "sentiment_corpus.h"

static mb_sentiment_result
judge(const char *text)
{
	mb_sentiment_result result;

	mb_sentiment_judge(text, strlen(text), &result);
	return result;
}

#define check_sentiment(text, expected)                                                            \
	check_string(mb_sentiment_name(judge(text).sentiment), expected)

static void
words(void)
{
	check_sentiment("this is good", "positive");
	check_sentiment("this is bad", "negative");
	check_sentiment("this is a table", "neutral");
	check_sentiment("GOOD", "positive");
	check_int(judge("goodish xbad-put goodx").hits, 0);
	check_int(judge("good, great; fantastic!").hits, 3);
	check_int(judge("one two  three-four\tfive").words, 5);
	check_near(judge("good").positive, 3, 1e-9);
	check_near(judge("bad").negative, 3, 1e-9);
	/* valence 3 of one word: 3 / (3 + 2 + 1/50) */
	check_near(judge("good").score, 3 / 5.02, 1e-9);
	check_near(judge("bad").score, -3 / 5.02, 1e-9);
}

/* AFINN-165 and the supplement, each with words that only they have. */
static void
lexicon(void)
{
	check_near(judge("abandon").negative, 2, 1e-9);
	check_near(judge("zealous").positive, 2, 1e-9);
	check_near(judge("breathtaking").positive, 5, 1e-9);
	check_near(judge("overcharged").negative, 2, 1e-9);
	/* typographic apostrophe, capital and diaeresis */
	check_near(judge("NA\xC3\x8FVE").negative, 2, 1e-9);
	check_near(judge("can\xE2\x80\x99t stand").negative, 3, 1e-9);
}

static void
idioms(void)
{
	check_near(judge("I can't stand it").negative, 3, 1e-9);
	check_near(judge("thank you so much").positive, 3, 1e-9);
	/* longest first: not "thank" alone */
	check_near(judge("thank you for calling").positive, 0, 1e-9);
	/* an idiom does not reach over the end of a clause */
	check_near(judge("he said fed, up it went").negative, 0, 1e-9);
	check_near(judge("fed up").negative, 2, 1e-9);
	/* hyphenated: as a whole, or as its parts */
	check_near(judge("it was ill-fated").negative, 2, 1e-9);
	check_int(judge("a good-looking face").hits, 1);
}

static void
negation(void)
{
	check_sentiment("it is not bad", "positive");
	check_sentiment("I was never happy", "negative");
	check_sentiment("they weren't friendly", "negative");
	check_sentiment("they werent friendly", "negative");
	check_sentiment("he wasn\xE2\x80\x99t polite", "negative");
	check_sentiment("that is hardly helpful", "negative");
	check_near(judge("not happy").negative, 0.75 * 3, 1e-9);
	/* it reaches four words, and no other clause */
	check_sentiment("not a of it happy", "negative");
	check_sentiment("not a b c d happy", "positive");
	check_sentiment("no, happy", "positive");
	check_sentiment("not that one. happy", "positive");
}

static void
degree(void)
{
	double plain = judge("it is good").positive;

	check_near(judge("it is very good").positive, 1.5 * plain, 1e-9);
	check_near(judge("it is slightly good").positive, 0.6 * plain, 1e-9);
	check_near(judge("it is a little bit good").positive, 0.6 * plain, 1e-9);
	check_near(judge("very much the good").positive, plain, 1e-9);
	check_near(judge("very, good").positive, plain, 1e-9);
	check_near(judge("it is not very happy").negative, 0.75 * 1.5 * 3, 1e-9);
}

static void
contrast(void)
{
	check_sentiment("the agent was nice but the service was bad", "negative");
	check_sentiment("the service was bad but the agent was nice", "positive");
	check_near(judge("good but bad").positive, 0.5 * 3, 1e-9);
	check_near(judge("good but bad").negative, 1.25 * 3, 1e-9);
	/* the next sentence starts anew */
	check_near(judge("good but. bad").negative, 3, 1e-9);
}

/* Without punctuation, "but" and "not" keep to their surroundings all the same. */
static void
unpunctuated(void)
{
	char text[4096] = "";

	strcat(text, "good ");
	for (int i = 0; i < 100; i++)
		strcat(text, "table ");
	strcat(text, "but table");
	check_near(judge(text).positive, 3, 1e-9);
}

static void
figures(void)
{
	static const char *const texts[] = {
		"", "   ", "table", "good", "bad", "not bad", "good bad", "hello", "!!!", "a b c d e f g h"
	};
	mb_sentiment_result empty = judge("");
	mb_sentiment_result one = judge("good");
	mb_sentiment_result many = judge("good excellent wonderful perfect superb");

	check_int(empty.sentiment, MB_SENTIMENT_NEUTRAL);
	check_near(empty.confidence, 0, 0);
	check_near(empty.score, 0, 0);
	check_near(judge(" \t\n...,,,!").confidence, 0, 0);
	check(many.confidence > one.confidence);
	check(many.confidence > 0.8);
	check(judge("the parcel is on the table in the hall").confidence > judge("table").confidence);
	/* a single word decides a short text and not a long one */
	{
		char text[8192] = "good";

		for (int i = 0; i < 900; i++)
			strcat(text, " a");
		check_int(judge(text).sentiment, MB_SENTIMENT_NEUTRAL);
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		mb_sentiment_result result = judge(texts[i]);

		check_range(result.score, -1, 1);
		check(result.words == 0 ? result.confidence == 0
								: result.confidence >= 0.5 && result.confidence <= 1);
	}
}

static void
odd_input(void)
{
	check_random random = { 7 };
	mb_sentiment_result result;
	char bytes[257];
	char *chain;
	size_t size = 2000000;

	/* NUL is a space like others, and the length rules */
	mb_sentiment_judge("good\0bad", 8, &result);
	check_int(result.hits, 2);
	mb_sentiment_judge("goodbad", 4, &result);
	check_near(result.positive, 3, 1e-9);
	/* sequences cut off at the end: the sanitizer watches */
	mb_sentiment_judge("good\xE2\x80", 6, &result);
	mb_sentiment_judge("good\xC3", 5, &result);
	check_int(result.hits, 0);
	for (int n = 0; n < 2000; n++)
	{
		size_t length = check_random_below(&random, sizeof(bytes));

		for (size_t i = 0; i < length; i++)
			bytes[i] = (char) check_random_bits(&random);
		mb_sentiment_judge(bytes, length, &result);
		check_range(result.score, -1, 1);
		check_range(result.confidence, 0, 1);
		check(result.hits <= result.words);
	}
	/* words without end, and chains of hyphens, take time in proportion */
	chain = malloc(size);
	REQUIRE(chain != NULL);
	memset(chain, 'a', size);
	mb_sentiment_judge(chain, size, &result);
	check_int(result.words, 1);
	for (size_t i = 1; i < size; i += 2)
		chain[i] = '-';
	mb_sentiment_judge(chain, size, &result);
	check_range(result.words, 1000, size);
	free(chain);
}

static int
judge_all(const judged_sentence *sentences, size_t count)
{
	int right = 0;

	for (size_t i = 0; i < count; i++)
	{
		mb_sentiment_result result = judge(sentences[i].text);
		char got = "-0+"[result.sentiment + 1];

		if (got == sentences[i].judgement)
			right++;
		else
			check_note("judged %c instead of %c (score %.2f): %s", got, sentences[i].judgement,
					   result.score, sentences[i].text);
	}
	check_note("%d of %zu as people judge", right, count);
	return right;
}

static void
sentences_developed_with(void)
{
	size_t count = sizeof(developed_with) / sizeof(developed_with[0]);

	check_range(judge_all(developed_with, count), 0.90 * count, count);
}

static void
sentences_held_out(void)
{
	size_t count = sizeof(held_out) / sizeof(held_out[0]);

	check_range(judge_all(held_out, count), 0.75 * count, count);
}

int
main(void)
{
	check_run("words of the lexicon are found whole, in any case, and add up", words);
	check_run("both word lists are in", lexicon);
	check_run("idioms are taken before their words", idioms);
	check_run("negation turns what follows in its clause", negation);
	check_run("degree strengthens and weakens", degree);
	check_run("what follows a but counts more", contrast);
	check_run("a text without punctuation has sentences all the same", unpunctuated);
	check_run("score and confidence are what the header says", figures);
	check_run("malformed and endless input is taken", odd_input);
	check_run("sentences of calls: at least 90 % of those it was made with",
			  sentences_developed_with);
	check_run("sentences of calls: at least 75 % of others", sentences_held_out);
	return check_done();
}
