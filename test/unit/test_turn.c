/*
 * test_turn.c
 *	  The turn engine in whole conversations: turns, their ends, replies prepared and committed, silence.
 */
#include "turn_session.h"

static session s;

static void
a_plain_dialogue(void)
{
	int32_t end;
	const session_decision *d;

	session_begin(&s, 1);
	end = session_say(&s, 1000, "I would like a table.", 250);
	session_run(&s, 9000);
	session_say(&s, 9000, "For two people.", 250);
	session_run(&s, 17000);
	check_int(session_count(&s, MB_DO_TURN_STARTED), 2);
	check_int(session_count(&s, MB_DO_COMMIT), 2);
	check_int(session_count(&s, MB_DO_DRAINED), 2);
	check_int(session_count(&s, MB_DO_INTERRUPTED), 0);
	check_int(session_count(&s, MB_DO_PAUSE), 0);
	d = session_nth(&s, MB_DO_COMMIT, 0);
	REQUIRE(d != NULL);
	check_string(d->text, "I would like a table.");
	check_int(d->decision.text_class, MB_TEXT_TERMINAL);
	/* 350 ms after the end, as the peer's clock has it */
	check_near(d->decision.end, end, 20);
	check_near(d->decision.at - d->decision.end, 350, 20);
	/* the reply that was prepared is the one that is said */
	d = session_nth(&s, MB_DO_SPECULATE, session_count(&s, MB_DO_SPECULATE) > 2 ? 1 : 0);
	REQUIRE(d != NULL);
	check_near(d->decision.at, end + 200, 80);
	d = session_nth(&s, MB_DO_HEARD, 0);
	REQUIRE(d != NULL);
	check_string(d->text, "Here is a reply of some length that goes on for a while.");
	check_int(d->decision.flag, false);
	check(mb_turn_counted(&s.engine)->speculations > 0);
	check_range(mb_turn_round_trip(&s.engine), 80, 150);
}

/* A pause in the middle of a sentence. */
static void
class_of_the_text_decides(void)
{
	static const struct
	{
		const char *text;
		bool closed;
		int digits;
		int32_t delay;
	} cases[] = {
		{ "yes", true, 0, 250 }, /* 200, and its final text comes at 250 */
		{ "one two three four", false, 4, 250 },
		{ "I would like a table.", false, 0, 350 },
		{ "I would like a table", false, 0, 600 },
		{ "I would like a table and", false, 0, 1300 },
		{ "my number is five five", false, 0, 1200 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const session_decision *d;

		session_begin(&s, i);
		session_event_at(
			&s, 100,
			(mb_turn_input){ .kind = MB_IN_EXPECT, .flag = cases[i].closed, .ms = cases[i].digits },
			"");
		session_say(&s, 1000, cases[i].text, 250);
		session_run(&s, 6000);
		d = session_nth(&s, MB_DO_COMMIT, 0);
		REQUIRE(d != NULL);
		check_near(d->decision.delay, cases[i].delay, 80);
		check_string(d->text, cases[i].text);
	}
}

static void
a_pause_in_a_sentence_is_waited_for(void)
{
	int32_t end;

	session_begin(&s, 3);
	end = session_say(&s, 1000, "I would like to", -1);
	session_say(&s, end + 900, "I would like to book a table.", 250);
	session_run(&s, 8000);
	check_int(session_count(&s, MB_DO_COMMIT), 1);
	check_string(session_nth(&s, MB_DO_COMMIT, 0)->text, "I would like to book a table.");
	check_int(session_count(&s, MB_DO_REOPEN), 0);
}

/* Two commits must not come of one turn, whatever the recogniser still says. */
static void
a_late_final_is_not_another_turn(void)
{
	int32_t end;

	session_begin(&s, 4);
	end = session_say(&s, 1000, "I would like a table", -1);
	session_event_at(&s, end + 1500, (mb_turn_input){ .kind = MB_IN_FINAL },
					 "I would like a table.");
	session_run(&s, 8000);
	check_int(session_count(&s, MB_DO_COMMIT), 1);
	/* by 800 ms without it */
	check_near(session_nth(&s, MB_DO_COMMIT, 0)->decision.delay, 800, 30);
	check_int(session_count(&s, MB_DO_CANCEL), 0);

	/* other words, and the reply has not begun: answered anew */
	session_begin(&s, 5);
	s.reply_ms = 3000;
	end = session_say(&s, 1000, "I would like a table", -1);
	session_event_at(&s, end + 1500, (mb_turn_input){ .kind = MB_IN_FINAL },
					 "I would like a cable.");
	session_run(&s, 9000);
	check_int(session_count(&s, MB_DO_COMMIT), 2);
	check_string(session_nth(&s, MB_DO_COMMIT, 1)->text, "I would like a cable.");
	check_int(session_nth(&s, MB_DO_COMMIT, 1)->decision.turn, 1);

	/* and it has: amended */
	session_begin(&s, 6);
	s.reply_ms = 100;
	end = session_say(&s, 1000, "I would like a table", -1);
	session_event_at(&s, end + 1800, (mb_turn_input){ .kind = MB_IN_FINAL },
					 "I would like a cable.");
	session_run(&s, 9000);
	check_int(session_count(&s, MB_DO_COMMIT), 1);
	check_int(session_count(&s, MB_DO_INTERRUPTED), 0);
	REQUIRE(session_count(&s, MB_DO_AMEND) == 1);
	check_string(session_nth(&s, MB_DO_AMEND, 0)->text, "I would like a cable.");
}

/* A final text that comes when its turn, committed without it, has been reopened has all of it. */
static void
a_final_text_replaces_what_was_committed_without_it(void)
{
	int32_t end;

	session_begin(&s, 4);
	s.reply_ms = 3000;
	end = session_say(&s, 1000, "I would like a table", -1);
	session_sound(&s, end + 1000, 600, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
	session_event_at(&s, end + 1900, (mb_turn_input){ .kind = MB_IN_FINAL },
					 "I would like a table for two.");
	session_run(&s, 12000);
	REQUIRE(session_count(&s, MB_DO_COMMIT) == 2);
	check_string(session_nth(&s, MB_DO_COMMIT, 1)->text, "I would like a table for two.");
}

static void
a_sound_without_words_is_no_turn(void)
{
	session_begin(&s, 7);
	session_sound(&s, 1000, 240, MB_FRAME_ACTIVE);
	session_run(&s, 6000);
	check_int(session_count(&s, MB_DO_COMMIT), 0);
	check_int(session_count(&s, MB_DO_DISMISS), 1);

	/* speech that nobody understood is answered */
	session_begin(&s, 8);
	session_sound(&s, 1000, 2000, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
	session_run(&s, 9000);
	REQUIRE(session_count(&s, MB_DO_COMMIT) == 1);
	check_int(session_nth(&s, MB_DO_COMMIT, 0)->decision.text_class, MB_TEXT_NONE);

	/* and words that voice activity has missed start a turn */
	session_begin(&s, 9);
	session_event_at(&s, 2000, (mb_turn_input){ .kind = MB_IN_FINAL }, "no");
	session_run(&s, 6000);
	REQUIRE(session_count(&s, MB_DO_COMMIT) == 1);
	check_string(session_nth(&s, MB_DO_COMMIT, 0)->text, "no");
}

static void
a_slow_caller_is_waited_for_longer(void)
{
	session_begin(&s, 10);
	for (int32_t i = 0; i < 12; i++)
	{
		/* words with a second between, of one turn */
		session_sound(&s, 1000 + i * 1260, 260, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
		session_event_at(&s, 1000 + i * 1260 + 400, (mb_turn_input){ .kind = MB_IN_PARTIAL },
						 "well and");
	}
	session_event_at(&s, 1000 + 11 * 1260 + 500, (mb_turn_input){ .kind = MB_IN_FINAL },
					 "well and so on");
	session_run(&s, 22000);
	REQUIRE(session_count(&s, MB_DO_COMMIT) == 1);
	/* "on" asks for more: 1,300 ms and half as much again */
	check_range(session_nth(&s, MB_DO_COMMIT, 0)->decision.delay, 1700, 1970);
}

static void
speculation_has_a_limit_and_is_dropped(void)
{
	session_begin(&s, 11);
	for (int32_t i = 0; i < 6; i++)
	{
		char text[100];

		snprintf(text, sizeof(text), "this is part number %c of the", 'a' + i);
		session_sound(&s, 1000 + i * 700, 260, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
		session_event_at(&s, 1000 + i * 700 + 360, (mb_turn_input){ .kind = MB_IN_PARTIAL }, text);
	}
	session_run(&s, 12000);
	check_int(session_count(&s, MB_DO_SPECULATE), 3);
	check_int(mb_turn_counted(&s.engine)->speculations_dropped, 3);
	check_int(session_count(&s, MB_DO_COMMIT), 1);
	/* nothing of what was dropped is said */
	check_int(s.p.heard[0].generation, session_nth(&s, MB_DO_COMMIT, 0)->decision.generation);

	session_begin(&s, 12);
	s.settings.number[MB_TURN_SPECULATIONS] = 0;
	session_say(&s, 1000, "I would like a table.", 250);
	session_run(&s, 8000);
	check_int(session_count(&s, MB_DO_SPECULATE), 0);
	check_int(session_count(&s, MB_DO_DRAINED), 1);
}

static void
silence_is_counted_from_the_end_of_playback(void)
{
	int32_t drained;

	session_begin(&s, 13);
	session_say(&s, 1000, "Hello.", 250);
	session_run(&s, 60000);
	check_int(session_count(&s, MB_DO_SAY_PROMPT), 2);
	drained = session_nth(&s, MB_DO_DRAINED, 0)->decision.at;
	check_near(session_nth(&s, MB_DO_SAY_PROMPT, 0)->decision.at - drained, 10000, 20);
	drained = session_nth(&s, MB_DO_DRAINED, 1)->decision.at;
	check_near(session_nth(&s, MB_DO_SAY_PROMPT, 1)->decision.at - drained, 10000, 20);
	REQUIRE(session_count(&s, MB_DO_END) == 1);
	check_int(session_nth(&s, MB_DO_END, 0)->decision.reason, MB_WHY_SILENCE);

	/* not while on hold */
	session_begin(&s, 14);
	session_event_at(&s, 500, (mb_turn_input){ .kind = MB_IN_HOLD, .flag = true }, "");
	session_run(&s, 30000);
	check_int(session_count(&s, MB_DO_SAY_PROMPT), 0);
}

static void
a_slow_engine_gets_a_filler_and_an_apology(void)
{
	session_begin(&s, 15);
	s.reply_ms = 2500;
	session_say(&s, 1000, "I would like a table.", 250);
	session_run(&s, 10000);
	check_int(session_count(&s, MB_DO_SAY_FILLER), 1);
	check_int(session_count(&s, MB_DO_SAY_APOLOGY), 0);
	check_near(session_nth(&s, MB_DO_SAY_FILLER, 0)->decision.at -
				   session_nth(&s, MB_DO_COMMIT, 0)->decision.at,
			   750, 30);
	/* the filler is heard, is no part of the conversation, and the reply follows */
	check_int(session_count(&s, MB_DO_HEARD), 2);
	check_int(session_nth(&s, MB_DO_HEARD, 0)->decision.item_kind, MB_ITEM_FILLER);
	check_int(session_nth(&s, MB_DO_HEARD, 1)->decision.item_kind, MB_ITEM_REPLY);

	session_begin(&s, 16);
	s.reply_ms = 20000;
	session_say(&s, 1000, "I would like a table.", 250);
	session_run(&s, 12000);
	REQUIRE(session_count(&s, MB_DO_SAY_APOLOGY) == 1);
	check_int(session_nth(&s, MB_DO_SAY_APOLOGY, 0)->decision.reason, MB_WHY_LATE);

	session_begin(&s, 17);
	s.replies_fail = true;
	session_say(&s, 1000, "I would like a table.", 250);
	session_run(&s, 12000);
	REQUIRE(session_count(&s, MB_DO_SAY_APOLOGY) == 1);
	check_int(session_nth(&s, MB_DO_SAY_APOLOGY, 0)->decision.reason, MB_WHY_FAILED);
	check_int(session_count(&s, MB_DO_SAY_FILLER), 0);
}

static void
frames_that_stop_end_speech_and_then_the_call(void)
{
	session_begin(&s, 18);
	session_sound(&s, 1000, 10000, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
	session_event_at(&s, 1800, (mb_turn_input){ .kind = MB_IN_PARTIAL }, "I would like a table.");
	session_run(&s, 2000);
	s.p.mute = true;
	session_run(&s, 30000);
	/* still "speaking" when the frames stopped */
	REQUIRE(session_count(&s, MB_DO_COMMIT) == 1);
	check_int(session_count(&s, MB_DO_MEDIA_LOST), 1);
	REQUIRE(session_count(&s, MB_DO_END) == 1);
	check_int(session_nth(&s, MB_DO_END, 0)->decision.reason, MB_WHY_NO_MEDIA);
	check_near(session_nth(&s, MB_DO_END, 0)->now, 17000, 100);

	session_begin(&s, 19);
	session_run(&s, 2000);
	s.p.mute = true;
	session_run(&s, 9000);
	s.p.mute = false;
	session_run(&s, 10000);
	check_int(session_count(&s, MB_DO_MEDIA_BACK), 1);
	session_say(&s, 10000, "Hello there.", 250);
	session_run(&s, 15000);
	check_int(session_count(&s, MB_DO_COMMIT), 1);
}

static void
a_turn_without_end_is_ended(void)
{
	session_begin(&s, 20);
	session_sound(&s, 1000, 90000, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
	session_event_at(&s, 1800, (mb_turn_input){ .kind = MB_IN_PARTIAL }, "and then and then and");
	session_run(&s, 62000);
	check_int(session_count(&s, MB_DO_COMMIT), 1);

	session_begin(&s, 21);
	s.settings.number[MB_TURN_MAX_DURATION] = 20000;
	session_run(&s, 25000);
	REQUIRE(session_count(&s, MB_DO_END) == 1);
	check_int(session_nth(&s, MB_DO_END, 0)->decision.reason, MB_WHY_DURATION);
	check_near(session_nth(&s, MB_DO_END, 0)->now, 20000, 40);
}

static void
the_state_is_small(void)
{
	check_range(sizeof(mb_turn), 1, 16384);
	check_note("%zu bytes a session", sizeof(mb_turn));
}

int
main(void)
{
	check_run("a plain dialogue has a commit a turn", a_plain_dialogue);
	check_run("the class of the text says how long is waited", class_of_the_text_decides);
	check_run("a pause in a sentence is waited for", a_pause_in_a_sentence_is_waited_for);
	check_run("a late final text is not another turn", a_late_final_is_not_another_turn);
	check_run("a final text replaces what was committed without it",
			  a_final_text_replaces_what_was_committed_without_it);
	check_run("a sound without words is no turn, and words without sound are one",
			  a_sound_without_words_is_no_turn);
	check_run("a caller with long pauses is waited for longer", a_slow_caller_is_waited_for_longer);
	check_run("speculation has a limit and is dropped when the text changes",
			  speculation_has_a_limit_and_is_dropped);
	check_run("silence is counted from the end of playback",
			  silence_is_counted_from_the_end_of_playback);
	check_run("a slow engine gets a filler, then an apology",
			  a_slow_engine_gets_a_filler_and_an_apology);
	check_run("frames that stop end speech, and then the call",
			  frames_that_stop_end_speech_and_then_the_call);
	check_run("a turn or a call without end is ended", a_turn_without_end_is_ended);
	check_run("the state is below 16 kB", the_state_is_small);
	return check_done();
}
