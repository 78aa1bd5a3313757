/*
 * test_turn_interrupt.c
 *	  The turn engine when both speak: interruptions in each state, and what is none.
 */
#include "turn_session.h"

static session s;

/* The reply to "I would like a table.", which ends at 2,460, is heard from about 3,000 to 6,300. */
static void
ask(uint64_t seed)
{
	session_begin(&s, seed);
	session_say(&s, 1000, "I would like a table.", 250);
}

static const session_decision *
the(mb_turn_decision_kind kind)
{
	static const session_decision none;
	const session_decision *d = session_nth(&s, kind, 0);

	check_int(session_count(&s, kind), 1);
	return d != NULL ? d : &none;
}

static void
interruption_while_speaking(void)
{
	const session_decision *d;
	int32_t silent;

	ask(1);
	session_say(&s, 4500, "What about tomorrow then?", 250);
	session_run(&s, 5200);
	silent = s.p.now - s.p.silent_for;
	session_run(&s, 14000);
	/* pausing after 160 ms, and the network both ways */
	check_range(silent - 4500, 160, 160 + 20 + 120 + 20);
	d = the(MB_DO_PAUSE);
	check_int(d->decision.how, MB_PAUSE_CLEAR);
	d = the(MB_DO_INTERRUPTED);
	check_near(d->decision.onset, 4500, 20);
	check_int(session_count(&s, MB_DO_REOPEN), 0);
	check_int(session_count(&s, MB_DO_COMMIT), 2);
	check_string(session_nth(&s, MB_DO_COMMIT, 1)->text, "What about tomorrow then?");
	/* the record has what was heard, a part */
	d = session_nth(&s, MB_DO_HEARD, 0);
	check_int(d->decision.flag, true);
	check_range(strlen(d->text), 10, 40);
	check_near(d->decision.ms, peer_heard_of(&s.p, d->decision.generation, 0), 40);
	check_int(mb_turn_counted(&s.engine)->false_interruptions, 0);
}

/* How long after 4,500 the agent pauses for a sound on a noisy line, of whose frames every so manyth has a pitch; -1: it does not. */
static int32_t
paused_after(int32_t ms, int every)
{
	const session_decision *d;

	ask(4);
	session_sound(&s, 0, 14000, MB_FRAME_NOISY);
	for (int32_t i = 0; i < ms / 20; i++)
		session_sound(&s, 4500 + i * 20, 20,
					  MB_FRAME_ACTIVE | (i % every == 0 ? MB_FRAME_VOICED : 0));
	session_run(&s, 14000);
	d = session_nth(&s, MB_DO_PAUSE, 0);
	return d != NULL ? d->decision.at - 4500 : -1;
}

static void
on_a_noisy_line_a_pitch_that_lasts_is_enough(void)
{
	check_range(paused_after(1500, 1), 160, 180);
	check_int(paused_after(120, 1), -1);
	/* one that comes and goes has to be longer */
	check_range(paused_after(1500, 2), 300, 340);
	check_int(paused_after(260, 2), -1);
	/* and one that is scattered is none, as long as it may take */
	check_int(paused_after(1500, 10), -1);
}

/* How long the agent is silent for a sound from 4,500 on, of whose frames those within so much of its beginning have a pitch; -1: it does not go on. */
static int32_t
silent_on_a_noisy_line(int32_t ms, int32_t voiced, const char *text)
{
	const session_decision *d;

	ask(4);
	session_sound(&s, 0, 16000, MB_FRAME_NOISY);
	for (int32_t at = 0; at < ms; at += 20)
		session_sound(&s, 4500 + at, 20,
					  MB_FRAME_ACTIVE | (at < voiced && at % 100 < 60 ? MB_FRAME_VOICED : 0));
	if (text != NULL)
		session_event_at(&s, 4500 + ms + 100, (mb_turn_input){ .kind = MB_IN_FINAL }, text);
	session_run(&s, 16000);
	check_int(session_count(&s, MB_DO_PAUSE), 1);
	d = session_nth(&s, MB_DO_RESUME, 0);
	return d != NULL ? d->decision.at - session_nth(&s, MB_DO_PAUSE, 0)->decision.at : -1;
}

static void
on_a_noisy_line_who_talks_on_is_waited_for(void)
{
	check_int(silent_on_a_noisy_line(3000, 3000, "no I want to hear about another day"), -1);
	check_int(session_count(&s, MB_DO_INTERRUPTED), 1);
	/* what has no pitch any more, or for long and nobody can understand it, is not */
	check_range(silent_on_a_noisy_line(7000, 400, NULL), 2000, 2020);
	check_range(silent_on_a_noisy_line(7000, 7000, NULL), 4000, 4020);
}

static void
interruption_while_thinking_is_an_addition(void)
{
	ask(2);
	s.reply_ms = 3000;
	session_say(&s, 3400, "For two please.", 250);
	session_run(&s, 12000);
	check_int(session_count(&s, MB_DO_INTERRUPTED), 0);
	check_int(session_nth(&s, MB_DO_PAUSE, 0)->decision.how, MB_PAUSE_HOLD);
	check_int(the(MB_DO_REOPEN)->decision.flag, false);
	REQUIRE(session_count(&s, MB_DO_COMMIT) == 2);
	check_string(session_nth(&s, MB_DO_COMMIT, 1)->text, "I would like a table. For two please.");
	check_int(session_nth(&s, MB_DO_COMMIT, 1)->decision.turn, 1);
	check_int(mb_turn_counted(&s.engine)->additions, 1);
	/* the first reply was never heard */
	check_int(peer_heard_of(&s.p, session_nth(&s, MB_DO_COMMIT, 0)->decision.generation, 0), 0);
}

/* The recogniser had not finished the first half when it was committed: its final text has both. */
static void
an_addition_does_not_repeat_what_was_said(void)
{
	session_begin(&s, 23);
	s.reply_ms = 3000;
	session_say(&s, 1000, "for my wife", -1);
	session_sound(&s, 2860, 1000, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
	session_event_at(&s, 4110, (mb_turn_input){ .kind = MB_IN_FINAL },
					 "for my wife and my daughter.");
	session_run(&s, 9000);
	REQUIRE(session_count(&s, MB_DO_COMMIT) == 2);
	check_string(session_nth(&s, MB_DO_COMMIT, 1)->text, "for my wife and my daughter.");

	/* and when it has nothing more, the sound was no speech: the reply stays */
	session_begin(&s, 24);
	s.reply_ms = 3000;
	s.settings.number[MB_TURN_FILLER] = 0;
	session_say(&s, 1000, "for my wife", -1);
	session_sound(&s, 2860, 300, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
	session_event_at(&s, 3300, (mb_turn_input){ .kind = MB_IN_FINAL }, "For my wife.");
	session_run(&s, 12000);
	check_int(session_count(&s, MB_DO_COMMIT), 1);
	check_int(session_count(&s, MB_DO_REOPEN), 0);
	check_int(session_count(&s, MB_DO_DRAINED), 1);
}

static void
a_cough_while_thinking_does_not_kill_the_reply(void)
{
	ask(3);
	s.reply_ms = 1500;
	s.settings.number[MB_TURN_FILLER] = 0;
	session_sound(&s, 3300, 300, MB_FRAME_ACTIVE);
	session_event_at(&s, 4000, (mb_turn_input){ .kind = MB_IN_FINAL }, "");
	session_run(&s, 12000);
	check_int(session_count(&s, MB_DO_CANCEL), 0);
	check_int(session_count(&s, MB_DO_COMMIT), 1);
	check_int(session_count(&s, MB_DO_DRAINED), 1);
	check_int(session_count(&s, MB_DO_RESUME), 1);
	check_int(the(MB_DO_HEARD)->decision.flag, false);
}

static void
interruption_after_generation_before_the_end_of_playback(void)
{
	const session_decision *d;

	ask(4);
	/* everything is with the peer at once */
	s.lead = 100000;
	session_say(&s, 5000, "What about tomorrow then?", 250);
	session_run(&s, 14000);
	the(MB_DO_INTERRUPTED);
	d = session_nth(&s, MB_DO_HEARD, 0);
	check_int(d->decision.flag, true);
	check_near(d->decision.ms, peer_heard_of(&s.p, d->decision.generation, 0), 40);
	check_int(session_count(&s, MB_DO_COMMIT), 2);
}

static void
a_cough_lets_the_agent_go_on(void)
{
	const session_decision *d;

	/* without a pitch it is not even a pause */
	ask(5);
	session_sound(&s, 4500, 300, MB_FRAME_ACTIVE);
	session_run(&s, 12000);
	check_int(session_count(&s, MB_DO_PAUSE), 0);
	check_int(the(MB_DO_HEARD)->decision.flag, false);

	/* with one the agent waits two seconds and goes on at the word */
	ask(6);
	session_sound(&s, 4500, 300, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
	session_run(&s, 16000);
	check_int(session_count(&s, MB_DO_INTERRUPTED), 0);
	d = the(MB_DO_RESUME);
	check_int(d->decision.flag, true);
	check_near(d->decision.at - the(MB_DO_PAUSE)->decision.at, 2000, 20);
	check_near(d->decision.ms,
			   peer_heard_of(&s.p, d->decision.generation, 0) > 0 ? d->decision.ms : -1, 0);
	check_int(the(MB_DO_HEARD)->decision.flag, false);
	check_int(session_count(&s, MB_DO_DRAINED), 1);
	check_int(mb_turn_counted(&s.engine)->false_interruptions, 1);
	/* all of it was played: the last of what was said is its end */
	check_int(peer_heard_of(&s.p, d->decision.generation, 0), 56 * 60);

	/* so long that it counts as one, and still no word */
	ask(7);
	session_sound(&s, 4500, 640, MB_FRAME_ACTIVE);
	session_sound(&s, 4500, 200, MB_FRAME_VOICED);
	session_run(&s, 16000);
	the(MB_DO_INTERRUPTED);
	check_int(the(MB_DO_RESUME)->decision.flag, true);
	check_int(session_count(&s, MB_DO_COMMIT), 1);
	check_int(session_count(&s, MB_DO_DRAINED), 1);
	check_int(mb_turn_counted(&s.engine)->false_interruptions, 1);
}

static void
backchannels_are_no_interruption(void)
{
	ask(8);
	session_say(&s, 4500, "Mhm.", 250);
	session_run(&s, 12000);
	check_int(session_count(&s, MB_DO_INTERRUPTED), 0);
	check_string(the(MB_DO_BACKCHANNEL)->text, "Mhm.");
	check_int(session_count(&s, MB_DO_COMMIT), 1);
	check_int(session_count(&s, MB_DO_DRAINED), 1);
	/* as soon as it is known, not after two seconds */
	check_range(the(MB_DO_RESUME)->decision.at - the(MB_DO_PAUSE)->decision.at, 0, 500);
	check_int(peer_heard_of(&s.p, session_nth(&s, MB_DO_COMMIT, 0)->decision.generation, 0),
			  56 * 60);

	/* a sound and its text while a word of the tenant's own list is all there is */
	ask(9);
	session_say(&s, 4500, "Bless you", 250);
	session_run(&s, 12000);
	check_int(session_count(&s, MB_DO_INTERRUPTED), 0);
	check_int(session_count(&s, MB_DO_DRAINED), 1);

	/* after a question it is an answer */
	ask(10);
	s.replies[0] = "Would you like a window seat?";
	session_say(&s, 4400, "Yeah.", 250);
	session_run(&s, 12000);
	check_int(session_count(&s, MB_DO_COMMIT), 2);
	check_string(session_nth(&s, MB_DO_COMMIT, 1)->text, "Yeah.");
}

static void
a_short_no_is_one(void)
{
	ask(11);
	session_say(&s, 4500, "No.", 250);
	session_run(&s, 12000);
	check_int(the(MB_DO_INTERRUPTED)->decision.reason, MB_WHY_ALWAYS);
	check_string(session_nth(&s, MB_DO_COMMIT, 1)->text, "No.");

	/* missed by voice activity, and in a final text */
	ask(12);
	session_event_at(&s, 4700, (mb_turn_input){ .kind = MB_IN_FINAL }, "Tomorrow.");
	session_run(&s, 12000);
	check_int(the(MB_DO_INTERRUPTED)->decision.reason, MB_WHY_WORDS);
	check_int(session_count(&s, MB_DO_CLEAR), 1);
	check_string(session_nth(&s, MB_DO_COMMIT, 1)->text, "Tomorrow.");
}

static void
our_own_echo_is_none(void)
{
	ask(13);
	session_sound(&s, 3000, 3400, MB_FRAME_ACTIVE | MB_FRAME_VOICED | MB_FRAME_ECHO);
	session_event_at(&s, 4500, (mb_turn_input){ .kind = MB_IN_PARTIAL }, "a reply of some");
	session_event_at(&s, 5200, (mb_turn_input){ .kind = MB_IN_FINAL }, "a reply of some length");
	session_run(&s, 12000);
	check_int(session_count(&s, MB_DO_PAUSE), 0);
	check_int(session_count(&s, MB_DO_INTERRUPTED), 0);
	check_int(session_count(&s, MB_DO_COMMIT), 1);
	check_int(session_count(&s, MB_DO_DRAINED), 1);
}

static void
digits_interrupt_at_once_and_count_once(void)
{
	ask(14);
	/* its tone is in the audio and heard by our receiver; the peer tells it, too */
	session_sound(&s, 4500, 120, MB_FRAME_ACTIVE | MB_FRAME_VOICED | MB_FRAME_TONE);
	session_event_at(&s, 4560, (mb_turn_input){ .kind = MB_IN_DIGIT, .digit = '5' }, "");
	session_event_at(&s, 4700, (mb_turn_input){ .kind = MB_IN_DIGIT, .digit = '5', .flag = true },
					 "");
	/* the same key again is another digit */
	session_event_at(&s, 5100, (mb_turn_input){ .kind = MB_IN_DIGIT, .digit = '5', .flag = true },
					 "");
	session_event_at(&s, 5120, (mb_turn_input){ .kind = MB_IN_DIGIT, .digit = '5' }, "");
	session_run(&s, 9000);
	check_int(session_count(&s, MB_DO_DIGIT), 2);
	check_int(the(MB_DO_INTERRUPTED)->decision.reason, MB_WHY_DIGIT);
	check_near(the(MB_DO_CLEAR)->now, 4560, 1);
	check_int(session_count(&s, MB_DO_COMMIT), 1);
}

static void
emergencies_are_told_in_mid_sentence(void)
{
	ask(15);
	session_say(&s, 4500, "my husband has a heart attack and he is not moving", 250);
	session_run(&s, 16000);
	/* as soon as the words are there, long before the sentence ends */
	check_near(the(MB_DO_EMERGENCY)->now, 4500 + 6 * 300 + 200, 30);
	the(MB_DO_INTERRUPTED);

	/* in a turn of the caller's own as well */
	session_begin(&s, 16);
	session_say(&s, 1000, "there is fire in the house", 250);
	session_run(&s, 6000);
	the(MB_DO_EMERGENCY);
}

static void
greetings_are_protected_at_first(void)
{
	session_begin(&s, 17);
	s.replies[0] =
		"Welcome to the restaurant at the end of the universe, how can we help you today?";
	s.replies[1] = "Fine, and this is what we do about it.";
	s.n_replies = 2;
	session_event_at(&s, 100, (mb_turn_input){ .kind = MB_IN_SAY, .item_kind = MB_ITEM_GREETING },
					 "");
	session_sound(&s, 600, 700, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
	session_say(&s, 3300, "A table for two.", 250);
	session_run(&s, 12000);
	/* the noise at the beginning did nothing, what came after two seconds interrupts */
	the(MB_DO_INTERRUPTED);
	check_near(the(MB_DO_INTERRUPTED)->decision.onset, 3300, 20);
	check_int(session_count(&s, MB_DO_COMMIT), 1);
}

static void
legal_text_is_said_to_its_end_and_what_was_said_kept(void)
{
	session_begin(&s, 18);
	s.replies[0] = "This call is recorded so that we know what was said in it by whom.";
	s.replies[1] = "Then we book it.";
	s.n_replies = 2;
	session_event_at(&s, 100, (mb_turn_input){ .kind = MB_IN_SAY, .item_kind = MB_ITEM_LEGAL }, "");
	session_say(&s, 1000, "I want a table now.", 250);
	session_event_at(&s, 3000, (mb_turn_input){ .kind = MB_IN_DIGIT, .digit = '1' }, "");
	session_run(&s, 12000);
	check_int(session_count(&s, MB_DO_INTERRUPTED), 0);
	check_int(session_count(&s, MB_DO_PAUSE), 0);
	check_int(session_count(&s, MB_DO_CLEAR), 0);
	check_int(session_count(&s, MB_DO_DIGIT), 1);
	the(MB_DO_KEPT);
	check_int(session_nth(&s, MB_DO_HEARD, 0)->decision.flag, false);
	/* and answered then */
	check_string(the(MB_DO_COMMIT)->text, "I want a table now.");
	check(the(MB_DO_COMMIT)->decision.at >= session_nth(&s, MB_DO_DRAINED, 0)->decision.at);
}

/* What must be heard begins while somebody is in the middle of a sentence, and is not given up when he comes to its end. */
static void
what_must_be_heard_outlasts_the_sentence_it_began_in(void)
{
	session_begin(&s, 18);
	s.replies[0] =
		"This sounds like an emergency. If anybody is in danger, hang up and call for help.";
	s.replies[1] = "Then we book it.";
	s.n_replies = 2;
	session_say(&s, 1000, "my father has a heart attack and lies on the floor here.", 250);
	session_event_at(&s, 2500, (mb_turn_input){ .kind = MB_IN_SAY, .item_kind = MB_ITEM_EMERGENCY },
					 "");
	session_run(&s, 16000);
	check_int(session_count(&s, MB_DO_CLEAR), 0);
	check_int(session_nth(&s, MB_DO_HEARD, 0)->decision.flag, false);
	check(the(MB_DO_COMMIT)->decision.at >= session_nth(&s, MB_DO_DRAINED, 0)->decision.at);
}

static void
a_turn_that_was_cut_off_is_reopened(void)
{
	const session_decision *first;

	ask(19);
	/* goes on 300 ms after the agent has begun */
	session_say(&s, 3400, "for two people please.", 250);
	session_run(&s, 14000);
	check_int(the(MB_DO_REOPEN)->decision.flag, true);
	check_int(session_count(&s, MB_DO_INTERRUPTED), 0);
	check_int(mb_turn_counted(&s.engine)->false_cutoffs, 1);
	REQUIRE(session_count(&s, MB_DO_COMMIT) == 2);
	first = session_nth(&s, MB_DO_COMMIT, 1);
	check_string(first->text, "I would like a table. for two people please.");
	check_int(first->decision.turn, 1);
	/* it has learnt from it */
	check(s.engine.pause_average > 400 * 16);
}

/* Every state of the peer's abilities, with a speech over the agent in each. */
static void
peers_pause_as_they_can(void)
{
	ask(20);
	s.settings.number[MB_TURN_PAUSE_BY_CLEAR] = 0;
	s.lead = 160;
	session_sound(&s, 4500, 300, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
	session_run(&s, 16000);
	check_int(the(MB_DO_PAUSE)->decision.how, MB_PAUSE_STARVE);
	check_int(the(MB_DO_RESUME)->decision.how, MB_PAUSE_STARVE);
	check_int(session_count(&s, MB_DO_CLEAR), 0);
	check_int(session_count(&s, MB_DO_DRAINED), 1);
	check_int(peer_heard_of(&s.p, session_nth(&s, MB_DO_COMMIT, 0)->decision.generation, 0),
			  56 * 60);

	ask(21);
	s.settings.number[MB_TURN_PAUSE_BY_CLEAR] = 0;
	session_say(&s, 4500, "What about tomorrow then?", 250);
	session_run(&s, 14000);
	the(MB_DO_INTERRUPTED);
	check_int(session_count(&s, MB_DO_COMMIT), 2);
	check_int(session_count(&s, MB_DO_HEARD), 2);
}

static void
answers_for_an_old_generation_are_dropped(void)
{
	uint32_t old;

	ask(22);
	session_say(&s, 4500, "What about tomorrow then?", 250);
	session_run(&s, 6500);
	old = session_nth(&s, MB_DO_COMMIT, 0)->decision.generation;
	session_input(&s, (mb_turn_input){ .kind = MB_IN_PIECE,
									   .generation = old,
									   .item = 9,
									   .text = "old news",
									   .bytes = 8,
									   .ms = 1000 });
	session_input(&s,
				  (mb_turn_input){ .kind = MB_IN_SENT, .generation = old, .item = 9, .ms = 500 });
	session_input(&s, (mb_turn_input){ .kind = MB_IN_REPLY_FAILED, .generation = old });
	session_input(&s, (mb_turn_input){ .kind = MB_IN_MARK, .generation = old, .mark = 77 });
	check_int(mb_turn_counted(&s.engine)->stale, 3);
	check_int(s.engine.ledger.stale_marks, 1);
	session_run(&s, 14000);
	check_int(session_count(&s, MB_DO_SAY_APOLOGY), 0);
	check_int(session_count(&s, MB_DO_COMMIT), 2);
	for (int i = 0; i < s.n_decisions; i++)
		check(strcmp(s.decisions[i].text, "old news") != 0);
}

/* What a model is told was said: never more than a word from what was heard, at any moment. */
static void
heard_text_of_interruptions_at_random_moments(void)
{
	check_random random = { 99 };
	int off = 0;

	for (int i = 0; i < 150; i++)
	{
		int32_t moment = 4100 + (int32_t) check_random_below(&random, 2500);
		const session_decision *d;
		double truth;

		ask(1000 + (uint64_t) i);
		s.p.up = 20 + (int) check_random_below(&random, 281);
		s.p.down = 20 + (int) check_random_below(&random, 281);
		session_say(&s, moment, "What about tomorrow then?", 250);
		session_run(&s, 12000);
		d = session_nth(&s, MB_DO_HEARD, 0);
		REQUIRE(d != NULL);
		/* 60 ms a letter */
		truth = peer_heard_of(&s.p, d->decision.generation, 0) / 60.0;
		/* the longest word has six letters */
		check_range((double) strlen(d->text) - truth, -8, 1.5);
		off += strlen(d->text) > truth;
		check_int(session_count(&s, MB_DO_COMMIT), 2);
	}
	check_note("%d of 150 count a word that was not quite over", off);
}

int
main(void)
{
	check_run("an interruption while the agent speaks", interruption_while_speaking);
	check_run("on a noisy line a pitch that lasts is enough",
			  on_a_noisy_line_a_pitch_that_lasts_is_enough);
	check_run("on a noisy line who talks on is waited for",
			  on_a_noisy_line_who_talks_on_is_waited_for);
	check_run("while it thinks it is an addition", interruption_while_thinking_is_an_addition);
	check_run("an addition does not repeat what was said",
			  an_addition_does_not_repeat_what_was_said);
	check_run("a cough while it thinks does not kill the reply",
			  a_cough_while_thinking_does_not_kill_the_reply);
	check_run("after generation, before the end of playback",
			  interruption_after_generation_before_the_end_of_playback);
	check_run("a cough lets the agent go on where it was", a_cough_lets_the_agent_go_on);
	check_run("backchannels are no interruption, but answers", backchannels_are_no_interruption);
	check_run("a short no is one, and words alone are", a_short_no_is_one);
	check_run("our own echo is none", our_own_echo_is_none);
	check_run("digits interrupt at once and count once", digits_interrupt_at_once_and_count_once);
	check_run("emergencies are told in mid-sentence", emergencies_are_told_in_mid_sentence);
	check_run("greetings are protected at first", greetings_are_protected_at_first);
	check_run("legal text is said to its end and what was said kept",
			  legal_text_is_said_to_its_end_and_what_was_said_kept);
	check_run("what must be heard outlasts the sentence it began in",
			  what_must_be_heard_outlasts_the_sentence_it_began_in);
	check_run("a turn that was cut off is reopened and merged",
			  a_turn_that_was_cut_off_is_reopened);
	check_run("peers pause as they can", peers_pause_as_they_can);
	check_run("answers for an old generation are dropped and counted",
			  answers_for_an_old_generation_are_dropped);
	check_run("heard text at 150 random moments, 20 to 300 ms each way",
			  heard_text_of_interruptions_at_random_moments);
	return check_done();
}
