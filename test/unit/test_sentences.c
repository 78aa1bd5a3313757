/*
 * test_sentences.c
 *	  Pieces of a text that is still being written: where it is cut, what is left out, and that nothing depends on how it comes.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/conversation/sentences.h"

typedef struct heard
{
	char text[8192];
	size_t length;
} heard;

static void
hear(void *arg, const char *text, size_t n)
{
	heard *h = arg;

	if (h->length > 0)
		h->text[h->length++] = '|';
	memcpy(h->text + h->length, text, n);
	h->length += n;
	h->text[h->length] = '\0';
}

static void
cut(const char *text, size_t step, heard *h)
{
	mb_sentences s;
	size_t n = strlen(text);

	memset(h, 0, sizeof(*h));
	mb_sentences_init(&s);
	for (size_t at = 0; at < n; at += step)
		mb_sentences_feed(&s, text + at, n - at < step ? n - at : step, hear, h);
	mb_sentences_end(&s, hear, h);
}

static const struct
{
	const char *text;
	const char *pieces;
} cases[] = {
	{ "", "" },
	{ "Yes.", "Yes." },
	{ "Yes. We are open.", "Yes.|We are open." },
	/* the first one soon: with a clause when it has three words, without when it has eight */
	{ "Well, let me see, that is on Monday.", "Well, let me see,|that is on Monday." },
	{ "We have a table for you on Monday at seven in the evening.",
	  "We have a table for you on Monday|at seven in the evening." },
	/* the others at ends of sentences, when they are long enough */
	{ "Sure. It is open. The office is open on Monday, Tuesday and on Friday. Do come.",
	  "Sure.|It is open. The office is open on Monday, Tuesday and on Friday.|Do come." },
	{ "Thanks. Dr. Meyer and Mrs. J. Smith are in room 3. Please go there, or wait in the hall.",
	  "Thanks.|Dr. Meyer and Mrs. J. Smith are in room 3. Please go there, or wait in the hall." },
	{ "It costs 3.50 euros, or 1,234.56 in all, and the number is +49 30 555 01 23, thank you.",
	  "It costs 3.50 euros,|or 1,234.56 in all, and the number is +49 30 555 01 23, thank you." },
	{ "Look at www.example.com. There you are, and that is all.",
	  "Look at www.example.com. There you are,|and that is all." },
	/* what cannot be said */
	{ "**Bold** and `code` and # head\n* one\n* two.", "Bold and code and head one two." },
	{ "See [our page](https://example.com/a_b) for it.", "See our page for it." },
	{ "A [sic] word.", "A sic word." },
	{ "Fine \xF0\x9F\x98\x80 then \xE2\x9C\x85!", "Fine then !" },
	{ "It is open (as ever) on Monday.", "It is open,|as ever, on Monday." },
	{ "Gr\xC3\xBC\xC3\x9F Gott, wie geht es Ihnen heute?",
	  "Gr\xC3\xBC\xC3\x9F Gott, wie geht es Ihnen heute?" },
	{ "broken \xC3 and \xFF bytes", "broken and bytes" },
};

static void
texts_are_cut_where_they_can_be_spoken(void)
{
	heard h;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		cut(cases[i].text, 1000, &h);
		check_string(h.text, cases[i].pieces);
	}
}

static void
it_does_not_matter_how_they_come(void)
{
	heard h;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		for (size_t step = 1; step < 8; step++)
		{
			cut(cases[i].text, step, &h);
			check_string(h.text, cases[i].pieces);
		}
	}
}

static void
a_piece_is_never_too_long(void)
{
	static char text[5000];
	heard h;
	size_t from = 0;

	for (size_t word = 1; word < 500; word += 97)
	{
		for (size_t i = 0; i < sizeof(text) - 1; i++)
			text[i] = i % word == word - 1 ? ' ' : 'a';
		text[sizeof(text) - 1] = '\0';
		cut(text, 7, &h);
		from = 0;
		for (size_t i = 0; i <= h.length; i++)
		{
			if (i < h.length && h.text[i] != '|')
				continue;
			check(i - from <= MB_SENTENCE_ROOM);
			from = i + 1;
		}
	}
}

int
main(void)
{
	check_run("texts are cut where they can be spoken", texts_are_cut_where_they_can_be_spoken);
	check_run("it does not matter how they come", it_does_not_matter_how_they_come);
	check_run("a piece is never too long", a_piece_is_never_too_long);
	return check_done();
}
