/*
 * test_turn_text.c
 *	  What a transcript means for a turn: classes, weights, and the table of settings.
 */
#include "turn_lists.h"

#include "core/conversation/turn_text.h"

static void
texts_have_the_class_of_their_end(void)
{
	static const struct
	{
		const char *text;
		int closed;
		int digits;
		mb_text_class expected;
	} cases[] = {
		{ "", 0, 0, MB_TEXT_NONE },
		{ " ... ", 0, 0, MB_TEXT_NONE },
		{ "I would like a table", 0, 0, MB_TEXT_NEUTRAL },
		{ "I would like a table.", 0, 0, MB_TEXT_TERMINAL },
		{ "Is there a table?", 0, 0, MB_TEXT_TERMINAL },
		{ "What is it for?", 0, 0, MB_TEXT_TERMINAL },
		{ "I would like a table for", 0, 0, MB_TEXT_OPEN },
		{ "I would like a table, and.", 0, 0, MB_TEXT_OPEN },
		{ "I would like soup, bread,", 0, 0, MB_TEXT_OPEN },
		{ "I would like soup\xE2\x80\xA6", 0, 0, MB_TEXT_OPEN },
		{ "Um", 0, 0, MB_TEXT_OPEN },
		{ "I have a question.", 0, 0, MB_TEXT_OPEN },
		{ "A question", 0, 0, MB_TEXT_OPEN },
		{ "Well, let me think.", 0, 0, MB_TEXT_OPEN },
		{ "the question", 0, 0, MB_TEXT_NEUTRAL },
		{ "He is paid a. Question of time.", 0, 0, MB_TEXT_TERMINAL },
		{ "This is a. Question", 0, 0, MB_TEXT_NEUTRAL },
		{ "May I ask you a question?", 0, 0, MB_TEXT_TERMINAL },
		{ "a table for two.", 0, 0, MB_TEXT_TERMINAL },
		{ "my number is five", 0, 0, MB_TEXT_DIGITS },
		{ "my number is five five.", 0, 0, MB_TEXT_DIGITS },
		{ "my number is 555.", 0, 0, MB_TEXT_DIGITS },
		{ "it is s m i", 0, 0, MB_TEXT_DIGITS },
		{ "so did i", 0, 0, MB_TEXT_NEUTRAL },
		{ "yes", 1, 0, MB_TEXT_ANSWER },
		{ "Yes, of course.", 1, 0, MB_TEXT_ANSWER },
		{ "yes", 0, 0, MB_TEXT_NEUTRAL },
		{ "yes but", 1, 0, MB_TEXT_OPEN },
		{ "one two three four", 0, 4, MB_TEXT_ANSWER },
		{ "one two", 0, 4, MB_TEXT_DIGITS },
		{ "12 34", 0, 4, MB_TEXT_ANSWER },
		{ "I do not know.", 0, 4, MB_TEXT_TERMINAL },
		{ "\xE3\x81\xAF\xE3\x81\x84\xE3\x80\x82", 0, 0, MB_TEXT_TERMINAL },
	};
	mb_turn_settings settings;

	english(&settings);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		mb_turn_expectation expectation = { cases[i].closed != 0, cases[i].digits };
		mb_text_class got =
			mb_text_class_of(&settings, cases[i].text, strlen(cases[i].text), expectation);

		if (got != cases[i].expected)
			check_note("\"%s\"", cases[i].text);
		check_int(got, cases[i].expected);
	}
}

static void
texts_have_the_weight_of_their_words(void)
{
	static const struct
	{
		const char *text;
		mb_text_weight expected;
		int words;
	} cases[] = {
		{ "", MB_WEIGHT_EMPTY, 0 },
		{ "Mhm.", MB_WEIGHT_BACKCHANNEL, 1 },
		{ "uh-huh", MB_WEIGHT_BACKCHANNEL, 2 },
		{ "Yeah, right.", MB_WEIGHT_BACKCHANNEL, 2 },
		{ "I see", MB_WEIGHT_BACKCHANNEL, 2 },
		{ "That's right", MB_WEIGHT_BACKCHANNEL, 2 },
		/* four words are no backchannel, and one that is none makes it none */
		{ "yeah yeah yeah yeah", MB_WEIGHT_WORDS, 4 },
		{ "yeah but", MB_WEIGHT_WORDS, 2 },
		/* phrases are whole: neither word of one is one */
		{ "see", MB_WEIGHT_WORDS, 1 },
		{ "Bless you!", MB_WEIGHT_NEVER, 2 },
		{ "No", MB_WEIGHT_ALWAYS, 1 },
		{ "Please hold on a second", MB_WEIGHT_ALWAYS, 5 },
		{ "nothing stopped", MB_WEIGHT_WORDS, 2 },
		{ "stop, there is a fire", MB_WEIGHT_EMERGENCY, 5 },
		{ "firefly", MB_WEIGHT_WORDS, 1 },
	};
	mb_turn_settings settings;

	english(&settings);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		int words;
		mb_text_weight got =
			mb_text_weight_of(&settings, cases[i].text, strlen(cases[i].text), &words);

		if (got != cases[i].expected)
			check_note("\"%s\"", cases[i].text);
		check_int(got, cases[i].expected);
		check_int(words, cases[i].words);
	}
}

static void
an_echo_in_words_is_recognised(void)
{
	const char *spoken = "We are open from nine to five, and closed on Sundays.";

	check(mb_text_repeats("open from nine", 14, spoken, strlen(spoken)));
	check(mb_text_repeats("We closed", 9, spoken, strlen(spoken)));
	check(!mb_text_repeats("nine", 4, spoken, strlen(spoken)));
	check(!mb_text_repeats("nine open", 9, spoken, strlen(spoken)));
	check(!mb_text_repeats("open until nine", 15, spoken, strlen(spoken)));
	check(!mb_text_repeats("", 0, spoken, strlen(spoken)));
}

static void
what_is_between_words_does_not_count(void)
{
	char long_text[4000] = "";
	char other[8000] = "";

	check_int(mb_text_words_hash("Hello, there.", 13), mb_text_words_hash("hello there", 11));
	check(mb_text_words_hash("hello there", 11) != mb_text_words_hash("hellothere", 10));
	check(mb_text_words_hash("hello there", 11) != mb_text_words_hash("hello", 5));
	for (int i = 0; i < 300; i++)
	{
		char word[32];

		snprintf(word, sizeof(word), "word%d ", i);
		strcat(long_text, word);
		snprintf(word, sizeof(word), "Word%d, ", i);
		strcat(other, word);
	}
	check_int(mb_text_words_hash(long_text, strlen(long_text)),
			  mb_text_words_hash(other, strlen(other)));
}

static void
lists_are_folded(void)
{
	static const char lines[] = "Uh-huh\n\nThat\xE2\x80\x99s right!\n...\nF\xC3\xBCr";
	char out[MB_TURN_LIST_ROOM(sizeof(lines))];
	char exact[MB_TURN_LIST_ROOM(2)];

	mb_turn_fold_list(lines, sizeof(lines) - 1, out);
	check_string(out, "\nuh huh\nthats right\nfur\n");
	mb_turn_fold_list("", 0, exact);
	check_string(exact, "\n");
	/* the letter that becomes longest */
	mb_turn_fold_list("\xC3\x9F", 2, exact);
	check_string(exact, "\nss\n");
}

static void
the_start_values_are_in_their_ranges(void)
{
	mb_turn_settings settings;
	int number = -1;

	mb_turn_settings_init(&settings);
	check_int(mb_turn_settings_check(&settings, &number), MB_OK);
	for (int i = 0; i < MB_TURN_NUMBERS; i++)
	{
		const mb_turn_number_kind *kind = mb_turn_number_kind_at(i);

		REQUIRE(kind != NULL && kind->name != NULL && kind->meaning != NULL);
		settings.number[i] = kind->minimum - 1;
		check_int(mb_turn_settings_check(&settings, &number), MB_ERR_RANGE);
		check_int(number, i);
		settings.number[i] = kind->maximum + 1;
		check_int(mb_turn_settings_check(&settings, &number), MB_ERR_RANGE);
		settings.number[i] = kind->standard;
	}
	check(mb_turn_number_kind_at(MB_TURN_NUMBERS) == NULL);
	for (int i = 0; i < MB_TURN_LISTS; i++)
		check(mb_turn_list_name(i) != NULL);
	check(mb_turn_list_name(MB_TURN_LISTS) == NULL);
}

int
main(void)
{
	check_run("texts have the class of their end", texts_have_the_class_of_their_end);
	check_run("texts have the weight of their words", texts_have_the_weight_of_their_words);
	check_run("a transcript of the agent's own words is recognised",
			  an_echo_in_words_is_recognised);
	check_run("what is between words does not count", what_is_between_words_does_not_count);
	check_run("lists are folded", lists_are_folded);
	check_run("the start values are in their ranges", the_start_values_are_in_their_ranges);
	return check_done();
}
