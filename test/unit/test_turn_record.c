/*
 * test_turn_record.c
 *	  One record a turn, and what other settings would have made of a recorded session.
 */
#include "turn_session.h"

#include "core/conversation/turn_whatif.h"

#define INPUTS 60000
#define RECORDS 50
#define REPLIES 50

static session s;

/* A session's inputs, kept with their texts. */
static struct
{
	mb_turn_input inputs[INPUTS];
	char texts[200000];
	size_t n_text;
	int n;
} tape;

static void
tap(void *arg, const mb_turn_input *input)
{
	(void) arg;
	REQUIRE(tape.n < INPUTS && tape.n_text + input->bytes <= sizeof(tape.texts));
	tape.inputs[tape.n] = *input;
	if (input->bytes > 0)
	{
		memcpy(tape.texts + tape.n_text, input->text, input->bytes);
		tape.inputs[tape.n].text = tape.texts + tape.n_text;
		tape.n_text += input->bytes;
	}
	tape.n++;
}

static struct
{
	mb_turn_record records[RECORDS];
	int n;
} book;

static void
take_record(void *arg, const mb_turn_record *record)
{
	(void) arg;
	if (book.n < RECORDS)
		book.records[book.n++] = *record;
}

static mb_whatif_reply replies[REPLIES];
static mb_whatif_recorded recorded;
static mb_turn_recorder recorder;

static void
decide_recorded(void *arg, const mb_turn_decision *decision)
{
	(void) arg;
	mb_whatif_recorded_decision(&recorded, decision);
	mb_turn_recorder_decision(&recorder, decision);
}

static void
decide_whatif(void *arg, const mb_turn_decision *decision)
{
	(void) arg;
	mb_turn_recorder_decision(&recorder, decision);
}

static void
note_given(void *arg, const mb_turn_input *input, int32_t clock)
{
	(void) arg;
	mb_turn_recorder_input(&recorder, input, clock);
}

static void
begin_taped(uint64_t seed)
{
	session_begin(&s, seed);
	tape.n = 0;
	tape.n_text = 0;
	s.tap = tap;
}

/* Records of the session as it was. */
static void
as_it_was(void)
{
	static mb_turn engine;

	book.n = 0;
	mb_turn_recorder_init(&recorder, take_record, NULL);
	mb_whatif_recorded_init(&recorded, replies, REPLIES);
	mb_turn_init(&engine, &s.settings, &s.line, decide_recorded, NULL);
	for (int i = 0; i < tape.n; i++)
	{
		mb_turn_recorder_input(&recorder, &tape.inputs[i], mb_turn_clock(&engine));
		mb_turn_input_take(&engine, &tape.inputs[i]);
		mb_whatif_recorded_input(&recorded, &tape.inputs[i], &engine);
	}
	mb_turn_recorder_end(&recorder);
}

/* And with other settings. */
static void
as_it_would_be(const mb_turn_settings *settings)
{
	static mb_whatif whatif;

	as_it_was();
	book.n = 0;
	mb_turn_recorder_init(&recorder, take_record, NULL);
	mb_whatif_init(&whatif, settings, &recorded, decide_whatif, note_given, NULL);
	for (int i = 0; i < tape.n; i++)
		mb_whatif_input(&whatif, &tape.inputs[i]);
	mb_turn_recorder_end(&recorder);
}

static void
check_text(const char *text, uint32_t n, const char *expected)
{
	char copy[400] = "";

	memcpy(copy, text, n < sizeof(copy) ? n : sizeof(copy) - 1);
	check_string(copy, expected);
}

static void
a_record_has_the_times_of_its_turn(void)
{
	const mb_turn_record *r = book.records;

	begin_taped(1);
	session_say(&s, 1000, "I would like a table.", 250);
	session_say(&s, 4500, "What about tomorrow then?", 250);
	session_run(&s, 14000);
	as_it_was();
	REQUIRE(book.n == 2);
	check_int(r->turn, 1);
	check_near(r->onset, 1000, 20);
	check_near(r->speech_end, 2460, 20);
	check_near(r->committed - r->speech_end, 350, 30);
	check_near(r->final_text, 2650, 60);
	check_int(r->text_class, MB_TEXT_TERMINAL);
	/* prepared 200 ms after the end, its audio 400 after that */
	check_near(r->asked - r->speech_end, 200, 30);
	check_near(r->first_piece - r->asked, 400, 40);
	check_near(r->first_sent, r->first_piece, 20);
	check_near(r->interrupt_onset, 4500, 20);
	/* words, 500 ms of it */
	check_range(r->interrupted - r->interrupt_onset, 300, 900);
	check_int(r->pauses, 1);
	check_int(r->false_pauses, 0);
	check_int(r->reopened, 0);
	check_text(r->said, r->n_said, "I would like a table.");
	/* known only when the next turn had begun */
	check(r->heard_cut);
	check_range(r->n_heard, 10, 40);
	check_text(r[1].said, r[1].n_said, "What about tomorrow then?");
	check_text(r[1].heard, r[1].n_heard,
			   "Here is a reply of some length that goes on for a while.");
	check(!r[1].heard_cut);
	check_int(r[1].interrupted, -1);
}

static void
notes_are_counted_in_their_turn(void)
{
	begin_taped(9);
	session_say(&s, 1000, "I would like a table.", 250);
	session_run(&s, 1500);
	for (int i = 0; i < MB_NOTES; i++)
		session_input(&s, (mb_turn_input){ .kind = MB_IN_NOTE, .ms = i });
	session_input(&s, (mb_turn_input){ .kind = MB_IN_NOTE, .ms = MB_NOTE_HEDGE });
	session_input(&s, (mb_turn_input){ .kind = MB_IN_NOTE, .ms = MB_NOTES });
	session_run(&s, 9000);
	as_it_was();
	REQUIRE(book.n == 1);
	check_int(book.records[0].notes[MB_NOTE_FALLBACK], 1);
	check_int(book.records[0].notes[MB_NOTE_WHOLE], 1);
	check_int(book.records[0].notes[MB_NOTE_HEDGE], 2);
	check_int(book.records[0].notes[MB_NOTE_HEDGE_WON], 1);
	check_text(book.records[0].said, book.records[0].n_said, "I would like a table.");
}

static void
false_pauses_and_cut_offs_are_counted(void)
{
	begin_taped(2);
	session_say(&s, 1000, "I would like a table.", 250);
	session_sound(&s, 4500, 300, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
	session_run(&s, 14000);
	as_it_was();
	REQUIRE(book.n == 1);
	check_int(book.records[0].false_pauses, 1);
	check_int(book.records[0].interrupted, -1);
	check(!book.records[0].heard_cut);

	begin_taped(3);
	session_say(&s, 1000, "I would like a table.", 250);
	session_say(&s, 3400, "for two people please.", 250);
	session_run(&s, 14000);
	as_it_was();
	REQUIRE(book.n == 1);
	check_int(book.records[0].cut_offs, 1);
	check_text(book.records[0].said, book.records[0].n_said,
			   "I would like a table. for two people please.");
}

/* Of a reply that was interrupted it is known when its sound ended, however long the rest of it was waited with. */
static void
a_reply_ends_where_its_sound_does(void)
{
	for (int by_clear = 0; by_clear < 2; by_clear++)
	{
		int32_t silent;

		begin_taped(7);
		s.settings.number[MB_TURN_PAUSE_BY_CLEAR] = by_clear;
		session_say(&s, 1000, "I would like a table.", 250);
		session_say(&s, 4500, "What about tomorrow then?", 250);
		session_run(&s, 5400);
		silent = s.p.now - s.p.silent_for;
		check_range(silent, 4660, 5300);
		session_run(&s, 14000);
		as_it_was();
		REQUIRE(book.n == 2);
		check_int(book.records[0].heard_cut, true);
		check_near(book.records[0].reply_end, silent, 40);
		check_int(book.records[1].heard_cut, false);
		check_near(book.records[1].reply_end, s.p.now - s.p.silent_for, 40);
	}
}

/* Three turns, of which the second has a pause of a second in it. */
static void
tape_three_turns(void)
{
	begin_taped(4);
	s.reply_ms = 600;
	s.settings.number[MB_TURN_COMMIT_NEUTRAL] = 600;
	session_say(&s, 1000, "I would like a table.", 250);
	session_say(&s, 8000, "for my wife", 250);
	session_say(&s, 8860 + 1000, "and my daughter.", 250);
	session_say(&s, 19000, "Thank you very much.", 250);
	session_run(&s, 28000);
}

static void
with_the_same_settings_the_same_happens(void)
{
	mb_turn_record was[RECORDS];
	int n;

	tape_three_turns();
	as_it_was();
	n = book.n;
	memcpy(was, book.records, sizeof(was));
	REQUIRE(n == 3);
	check_int(was[1].reopened, 1);
	as_it_would_be(&s.settings);
	REQUIRE(book.n == n);
	for (int i = 0; i < n; i++)
	{
		check_int(book.records[i].committed, was[i].committed);
		check_int(book.records[i].cut_offs, was[i].cut_offs);
		check_int(book.records[i].reopened, was[i].reopened);
		check_near(book.records[i].first_sent, was[i].first_sent, 60);
		check_int(book.records[i].interrupted < 0, was[i].interrupted < 0);
	}
}

static void
other_settings_would_have_waited(void)
{
	mb_turn_settings other;

	tape_three_turns();
	other = s.settings;
	other.number[MB_TURN_COMMIT_NEUTRAL] = 1200;
	as_it_would_be(&other);
	REQUIRE(book.n == 3);
	check_int(book.records[1].reopened, 0);
	check_text(book.records[1].said, book.records[1].n_said, "for my wife and my daughter.");
	/* and the others are as they were */
	check_near(book.records[0].committed - book.records[0].speech_end, 350, 30);
	check_int(book.records[2].interrupted, -1);

	/* in a greater hurry both halves are cut off */
	other.number[MB_TURN_COMMIT_NEUTRAL] = 200;
	other.number[MB_TURN_FINAL_WAIT] = 200;
	other.number[MB_TURN_FACTOR_MIN] = 1000;
	as_it_would_be(&other);
	check_range(book.n, 3, 4);
	check_int(book.records[1].reopened, 1);
	check_range(book.records[1].committed, 0, 12000);
}

/* Interruptions too: with a longer stage 1 a cough does not make the agent pause. */
static void
other_settings_would_not_have_paused(void)
{
	mb_turn_settings other;

	begin_taped(5);
	session_say(&s, 1000, "I would like a table.", 250);
	session_sound(&s, 4500, 300, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
	session_run(&s, 14000);
	other = s.settings;
	as_it_would_be(&other);
	REQUIRE(book.n == 1);
	check_int(book.records[0].false_pauses, 1);
	other.number[MB_TURN_STAGE1] = 400;
	as_it_would_be(&other);
	REQUIRE(book.n == 1);
	check_int(book.records[0].pauses, 0);
}

/* What was said last is in the record although the call ended before its turn did. */
static void
a_turn_that_is_not_over_has_its_text(void)
{
	begin_taped(6);
	s.replies[0] =
		"This sounds like an emergency. If anybody is in danger, hang up and call for help.";
	s.n_replies = 1;
	session_say(&s, 1000, "my father has a heart attack and lies on the floor here.", 250);
	session_event_at(&s, 2500, (mb_turn_input){ .kind = MB_IN_SAY, .item_kind = MB_ITEM_EMERGENCY },
					 "");
	session_event_at(&s, 6000, (mb_turn_input){ .kind = MB_IN_STOP }, "");
	session_run(&s, 7000);
	as_it_was();
	REQUIRE(book.n == 1);
	check_int(book.records[0].committed, -1);
	REQUIRE(book.records[0].n_said < sizeof(book.records[0].said));
	book.records[0].said[book.records[0].n_said] = '\0';
	check_string(book.records[0].said, "my father has a heart attack and lies on the floor here.");
}

/* As much as the engine keeps fits. */
static void
the_longest_turn_has_its_text(void)
{
	static char text[MB_TURN_SAID];
	mb_turn_decision committed = {
		.kind = MB_DO_COMMIT, .turn = 1, .generation = 1, .text = text, .bytes = sizeof(text)
	};

	memset(text, 'x', sizeof(text));
	book.n = 0;
	mb_turn_recorder_init(&recorder, take_record, NULL);
	mb_turn_recorder_decision(&recorder,
							  &(mb_turn_decision){ .kind = MB_DO_TURN_STARTED, .turn = 1 });
	mb_turn_recorder_decision(&recorder, &committed);
	mb_turn_recorder_end(&recorder);
	REQUIRE(book.n == 1);
	check_int(book.records[0].n_said, sizeof(text));
}

int
main(void)
{
	check_run("a record has the times of its turn", a_record_has_the_times_of_its_turn);
	check_run("notes are counted in their turn", notes_are_counted_in_their_turn);
	check_run("false pauses and cut-offs are counted", false_pauses_and_cut_offs_are_counted);
	check_run("a reply ends where its sound does", a_reply_ends_where_its_sound_does);
	check_run("with the same settings the same happens", with_the_same_settings_the_same_happens);
	check_run("other settings would have waited", other_settings_would_have_waited);
	check_run("other settings would not have paused", other_settings_would_not_have_paused);
	check_run("a turn that is not over has its text", a_turn_that_is_not_over_has_its_text);
	check_run("the longest turn has its text", the_longest_turn_has_its_text);
	return check_done();
}
