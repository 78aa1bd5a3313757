/*
 * turn_caller.c
 *	  The caller's side of the turn engine: pieces of speech, the text of a turn, when a reply is
 *	  prepared and when the turn is over.
 *
 * A turn is tentative as long as the agent has not given way to it: turn_probe.c judges it.
 */
#include "core/conversation/turn_internal.h"

#include <string.h>

/* A pause that does not end the suspicion of speech. */
#define SUSPICION_MS 40

/* Pauses longer than this are learnt as the caller's own. */
#define LEARNT_PAUSE_MS 200
#define LONGEST_PAUSE_MS 3000

/* Speech without text that is answered all the same, by asking what it was. */
#define VOICED_WITHOUT_TEXT_MS 400

/* Turns longer than this are not worth preparing replies that are likely to be dropped. */
#define SPECULATED_SPEECH_MS 10000

static void
learn_pause(mb_turn *turn, int32_t ms)
{
	if (ms < LEARNT_PAUSE_MS)
		return;
	if (ms > LONGEST_PAUSE_MS)
		ms = LONGEST_PAUSE_MS;
	turn->pause_average += (ms * 16 - turn->pause_average) / 10;
}

/* Thousandths by which this caller's pauses change how long is waited. */
static int32_t
factor(const mb_turn *turn)
{
	int32_t average =
		(turn->pause_average * 125 / 2) / mb_turn_setting(turn, MB_TURN_PAUSE_REFERENCE);

	if (average < mb_turn_setting(turn, MB_TURN_FACTOR_MIN))
		return mb_turn_setting(turn, MB_TURN_FACTOR_MIN);
	if (average > mb_turn_setting(turn, MB_TURN_FACTOR_MAX))
		return mb_turn_setting(turn, MB_TURN_FACTOR_MAX);
	return average;
}

/* Silence that ends a turn whose text is of a class. */
static int32_t
delay_of(const mb_turn *turn, mb_text_class text_class)
{
	int32_t cap = mb_turn_setting(turn, MB_TURN_COMMIT_CAP);
	int32_t delay = mb_turn_setting(turn, MB_TURN_COMMIT_ANSWER + text_class) * factor(turn) / 1000;

	return delay < cap ? delay : cap;
}

/* Where in the text what is being said begins. */
static uint32_t
said_from(const mb_turn *turn)
{
	return turn->base;
}

uint32_t
mb_caller_said(const mb_turn *turn, char *out)
{
	uint32_t n = turn->n_text - said_from(turn);

	memcpy(out, turn->text + said_from(turn), n);
	if (turn->n_partial > 0)
	{
		if (n > 0)
			out[n++] = ' ';
		memcpy(out + n, turn->partial, turn->n_partial);
		n += turn->n_partial;
	}
	return n;
}

static void
weigh(mb_turn *turn)
{
	char said[MB_TURN_SAID];
	uint32_t n = mb_caller_said(turn, said);

	turn->text_class = mb_text_class_of(turn->settings, said, n, turn->expectation);
	turn->weight = mb_text_weight_of(turn->settings, said, n, &turn->words);
}

/* Adds to the text; of one that is too long the oldest words go. */
static void
append(mb_turn *turn, const char *text, uint32_t n)
{
	uint32_t need = n + 1;

	if (n == 0)
		return;
	if (turn->n_text + need > MB_TURN_TEXT_ROOM)
	{
		uint32_t away = turn->n_text + need - MB_TURN_TEXT_ROOM;

		while (away < turn->n_text && turn->text[away] != ' ')
			away++;
		away += away < turn->n_text;
		memmove(turn->text, turn->text + away, turn->n_text - away);
		turn->n_text -= away;
		turn->base = turn->base > away ? turn->base - away : 0;
		turn->final_from = turn->final_from > away ? turn->final_from - away : 0;
	}
	if (turn->n_text > 0 && turn->n_text > turn->base)
		turn->text[turn->n_text++] = ' ';
	memcpy(turn->text + turn->n_text, text, n);
	turn->n_text += n;
}

static void
open_turn(mb_turn *turn, int32_t onset)
{
	turn->open = true;
	turn->tentative = turn->agent != MB_AGENT_IDLE;
	turn->kept = false;
	turn->emergency = false;
	turn->opened_at = turn->clock;
	turn->turn_onset = onset;
	turn->turn_voiced = 0;
	turn->turn_speech = 0;
	turn->base = turn->n_text;
	turn->n_partial = 0;
	turn->finalized = false;
	turn->final_heard = false;
	turn->said_over = false;
	turn->speculations = 0;
	turn->text_class = MB_TEXT_NONE;
	turn->weight = MB_WEIGHT_EMPTY;
	turn->words = 0;
	if (!turn->tentative)
		mb_caller_confirm(turn);
}

void
mb_caller_confirm(mb_turn *turn)
{
	mb_turn_decision decision;

	turn->tentative = false;
	turn->kept = false;
	/* the text before it belongs to the last turn, which cannot be reopened any more */
	memmove(turn->text, turn->text + turn->base, turn->n_text - turn->base);
	turn->n_text -= turn->base;
	turn->base = 0;
	turn->final_due = false;
	turn->final_from = 0;
	turn->number++;
	turn->counts.turns++;
	decision = mb_turn_new_decision(turn, MB_DO_TURN_STARTED);
	decision.onset = turn->turn_onset;
	mb_turn_decide(turn, &decision);
}

/* What was committed without its final text is partial again: that will replace it, and not stand behind it. */
static void
take_back_partial(mb_turn *turn)
{
	const char *owed = turn->text + turn->final_from;
	uint32_t n = turn->base - turn->final_from;

	if (n > 0 && *owed == ' ')
	{
		owed++;
		n--;
	}
	if (turn->n_partial == 0)
	{
		n = mb_text_fitting(owed, n, MB_TURN_PARTIAL_ROOM);
		memcpy(turn->partial, owed, n);
		turn->n_partial = n;
	}
	turn->n_text = turn->base = turn->final_from;
}

void
mb_caller_reopen(mb_turn *turn, bool cut_off)
{
	mb_turn_decision decision = mb_turn_new_decision(turn, MB_DO_REOPEN);

	decision.flag = cut_off;
	decision.onset = turn->turn_onset;
	decision.end = turn->committed_end;
	if (turn->turn_onset > turn->committed_end)
		learn_pause(turn, turn->turn_onset - turn->committed_end);
	if (turn->final_due && turn->n_text == turn->base)
		take_back_partial(turn);
	if (turn->base > 0 && turn->n_text > turn->base)
	{
		/* with a space between */
		if (turn->n_text == MB_TURN_TEXT_ROOM)
			turn->n_text--;
		memmove(turn->text + turn->base + 1, turn->text + turn->base, turn->n_text - turn->base);
		turn->text[turn->base] = ' ';
		turn->n_text++;
	}
	turn->base = 0;
	turn->open = true;
	turn->tentative = false;
	turn->kept = false;
	turn->final_due = false;
	if (cut_off)
		turn->counts.false_cutoffs++;
	else
		turn->counts.additions++;
	mb_turn_decide(turn, &decision);
	weigh(turn);
}

void
mb_caller_forget(mb_turn *turn)
{
	turn->open = false;
	turn->tentative = false;
	turn->kept = false;
	turn->n_partial = 0;
	turn->n_text = turn->base;
	turn->weight = MB_WEIGHT_EMPTY;
	turn->text_class = MB_TEXT_NONE;
	turn->words = 0;
}

void
mb_caller_end(mb_turn *turn)
{
	char said[MB_TURN_SAID];
	mb_turn_decision decision;

	if (!turn->open || (turn->tentative && !turn->kept))
		return;
	if (turn->tentative)
		mb_caller_confirm(turn);
	decision = mb_turn_new_decision(turn, MB_DO_AMEND);
	decision.text = said;
	decision.bytes = mb_caller_said(turn, said);
	if (decision.bytes > 0)
		mb_turn_decide(turn, &decision);
}

static void
drop_speculation(mb_turn *turn)
{
	if (turn->next == 0)
		return;
	turn->counts.speculations_dropped++;
	mb_agent_cancel(turn, turn->next, MB_WHY_TEXT);
	turn->next = 0;
}

static void
dismiss(mb_turn *turn, mb_turn_reason reason)
{
	mb_turn_decision decision = mb_turn_new_decision(turn, MB_DO_DISMISS);

	decision.reason = reason;
	drop_speculation(turn);
	mb_caller_forget(turn);
	turn->quiet_since = turn->clock;
	mb_turn_decide(turn, &decision);
}

static void
speech_started(mb_turn *turn)
{
	turn->speaking = true;
	if (turn->open)
	{
		learn_pause(turn, turn->onset - turn->speech_end);
		turn->turn_voiced += turn->voiced_ms;
	}
	else
	{
		open_turn(turn, turn->onset);
		turn->turn_voiced = turn->voiced_ms;
	}
	turn->turn_speech += turn->active_ms;
	turn->finalized = false;
	turn->final_heard = false;
	turn->said_over = false;
	turn->speech_end = turn->last_active;
}

void
mb_caller_lost(mb_turn *turn)
{
	turn->suspected = false;
	turn->speaking = false;
}

void
mb_caller_frame(mb_turn *turn, uint8_t flags)
{
	int32_t start = turn->clock - MB_TURN_FRAME_MS;
	bool active = (flags & MB_FRAME_ACTIVE) != 0 && (flags & (MB_FRAME_ECHO | MB_FRAME_TONE)) == 0;
	int32_t voiced = (flags & MB_FRAME_VOICED) != 0 ? MB_TURN_FRAME_MS : 0;

	turn->noisy = (flags & MB_FRAME_NOISY) != 0;
	turn->voiced_frames = turn->voiced_frames << 1 | (active && voiced > 0);
	if (!active)
	{
		if (turn->speaking &&
			turn->clock - turn->last_active >= mb_turn_setting(turn, MB_TURN_HANGOVER))
			mb_caller_lost(turn);
		else if (!turn->speaking && turn->clock - turn->last_active > SUSPICION_MS)
			turn->suspected = false;
		return;
	}
	if (!turn->suspected)
	{
		turn->suspected = true;
		turn->onset = start;
		turn->active_ms = 0;
		turn->voiced_ms = 0;
	}
	turn->active_ms += MB_TURN_FRAME_MS;
	turn->voiced_ms += voiced;
	if (turn->speaking)
	{
		/* a pause within the hangover is one all the same, and what was asked for in it is to be asked again */
		if (start - turn->last_active >= mb_turn_setting(turn, MB_TURN_SPECULATE))
		{
			learn_pause(turn, start - turn->last_active);
			turn->finalized = false;
		}
		/* what the recogniser has finished is not all any more */
		turn->final_heard = false;
		turn->said_over = false;
		turn->turn_voiced += voiced;
		turn->turn_speech += MB_TURN_FRAME_MS;
		turn->last_active = turn->speech_end = turn->clock;
		return;
	}
	turn->last_active = turn->clock;
	if (turn->active_ms >= mb_turn_setting(turn, MB_TURN_SPEECH_START))
		speech_started(turn);
}

/* The final text of a turn that was committed without it. */
static void
late_final(mb_turn *turn, const char *text, uint32_t n)
{
	char said[MB_TURN_SAID];
	mb_turn_decision decision;
	uint32_t length;

	turn->final_due = false;
	turn->n_text = turn->final_from;
	turn->base = 0;
	append(turn, text, n);
	length = mb_caller_said(turn, said);
	turn->base = turn->n_text;
	if (mb_text_words_hash(said, length) == turn->committed_hash)
		return;
	if (turn->agent == MB_AGENT_PENDING && turn->replies)
	{
		/* nothing was said to what is not quite what was heard */
		mb_agent_stop(turn, MB_WHY_TEXT);
		turn->turn_onset = turn->committed_end;
		turn->n_partial = 0;
		mb_caller_reopen(turn, false);
		turn->final_heard = true;
		return;
	}
	decision = mb_turn_new_decision(turn, MB_DO_AMEND);
	decision.text = said;
	decision.bytes = length;
	mb_turn_decide(turn, &decision);
}

/*
 * Speech goes on and the recogniser still owes the final text of the turn that was committed: what
 * comes next has both.  False when it is not to be looked at.
 */
static bool
take_owed_final(mb_turn *turn, const char *text, uint32_t n, bool final)
{
	uint32_t owed = turn->base - turn->final_from;

	if (!final)
		return turn->clock - turn->committed_at >= mb_turn_setting(turn, MB_TURN_TEXT_WAIT);
	turn->final_due = false;
	if (mb_text_words_hash(text, n) == mb_text_words_hash(turn->text + turn->final_from, owed))
		return false;
	turn->n_text = turn->base = turn->final_from;
	return true;
}

void
mb_caller_text(mb_turn *turn, const char *text, uint32_t n, bool final, bool over)
{
	n = mb_text_fitting(text, n, MB_TURN_PARTIAL_ROOM);
	while (n > 0 && (*text == ' ' || *text == '\n'))
	{
		text++;
		n--;
	}
	if (!turn->open)
	{
		if (n > 0 && turn->final_due && turn->speech_end == turn->committed_end)
		{
			if (final)
				late_final(turn, text, n);
			return;
		}
		if (n == 0)
			return;
		/* what voice activity has missed */
		open_turn(turn, turn->clock);
		turn->speech_end = turn->clock;
	}
	if (turn->tentative && turn->final_due && turn->n_text == turn->base &&
		!take_owed_final(turn, text, n, final))
		return;
	turn->n_partial = 0;
	if (final)
	{
		append(turn, text, n);
		turn->final_heard = true;
		turn->said_over = over;
	}
	else if (n > 0)
	{
		memcpy(turn->partial, text, n);
		turn->n_partial = n;
	}
	weigh(turn);
	if (turn->weight == MB_WEIGHT_EMERGENCY && !turn->emergency)
	{
		char said[MB_TURN_SAID];
		mb_turn_decision decision = mb_turn_new_decision(turn, MB_DO_EMERGENCY);

		turn->emergency = true;
		decision.text = said;
		decision.bytes = mb_caller_said(turn, said);
		mb_turn_decide(turn, &decision);
	}
	if (turn->tentative)
		mb_probe_text(turn, final);
}

/* The turn is over. */
static void
commit(mb_turn *turn, int32_t delay)
{
	char said[MB_TURN_SAID];
	uint32_t n = mb_caller_said(turn, said);
	uint32_t hash = mb_text_words_hash(said, n);
	uint32_t generation = turn->next;
	bool ended = turn->next_ended;
	bool failed = turn->next_failed;
	mb_turn_decision decision;

	if (generation != 0 && turn->next_hash != hash)
	{
		drop_speculation(turn);
		generation = 0;
	}
	if (turn->agent != MB_AGENT_IDLE)
		mb_agent_stop(turn, MB_WHY_TURN);
	if (generation == 0)
	{
		generation = mb_agent_new_generation(turn);
		ended = failed = false;
	}
	turn->next = 0;
	decision = mb_turn_new_decision(turn, MB_DO_COMMIT);
	decision.generation = generation;
	decision.text_class = turn->text_class;
	decision.onset = turn->turn_onset;
	decision.end = turn->speech_end;
	decision.delay = delay;
	decision.text = said;
	decision.bytes = n;
	turn->final_due = !turn->final_heard;
	turn->final_from = turn->n_text;
	append(turn, turn->partial, turn->n_partial);
	turn->n_partial = 0;
	turn->base = turn->n_text;
	turn->open = false;
	turn->committed_hash = hash;
	turn->committed_at = turn->clock;
	turn->committed_end = turn->speech_end;
	turn->expectation = (mb_turn_expectation){ false, 0 };
	turn->prompts = 0;
	turn->quiet_since = turn->clock;
	mb_agent_begin(turn, generation, true, MB_ITEM_REPLY);
	turn->ended = ended;
	turn->failed = failed;
	mb_turn_decide(turn, &decision);
}

static void
speculate(mb_turn *turn)
{
	char said[MB_TURN_SAID];
	uint32_t n = mb_caller_said(turn, said);
	uint32_t hash = mb_text_words_hash(said, n);
	mb_turn_decision decision;

	if (turn->next != 0)
	{
		if (turn->next_hash == hash)
			return;
		drop_speculation(turn);
	}
	if (turn->speculations >= mb_turn_setting(turn, MB_TURN_SPECULATIONS) ||
		turn->turn_speech > SPECULATED_SPEECH_MS)
		return;
	turn->speculations++;
	turn->counts.speculations++;
	turn->next = mb_agent_new_generation(turn);
	turn->next_hash = hash;
	turn->next_ended = false;
	turn->next_failed = false;
	decision = mb_turn_new_decision(turn, MB_DO_SPECULATE);
	decision.generation = turn->next;
	decision.text_class = turn->text_class;
	decision.text = said;
	decision.bytes = n;
	mb_turn_decide(turn, &decision);
}

/* Silence after something was said: prepares a reply, and ends the turn. */
static void
silence_after_text(mb_turn *turn, int32_t silence)
{
	int32_t delay = delay_of(turn, turn->text_class);
	int32_t terminal = delay_of(turn, MB_TEXT_TERMINAL);
	int32_t wait = mb_turn_setting(turn, MB_TURN_FINAL_WAIT);

	if (turn->said_over && delay > terminal)
		delay = terminal;
	if (silence >= mb_turn_setting(turn, MB_TURN_SPECULATE))
		speculate(turn);
	if (silence >= delay && (turn->final_heard || silence >= wait))
		commit(turn, silence);
}

static void
silence_without_text(mb_turn *turn, int32_t silence)
{
	if (silence < delay_of(turn, MB_TEXT_NONE))
		return;
	/* the recogniser has heard it and found no word */
	if (turn->final_heard)
		dismiss(turn, MB_WHY_NO_TEXT);
	else if (silence >= mb_turn_setting(turn, MB_TURN_TEXT_WAIT))
	{
		if (turn->turn_voiced >= VOICED_WITHOUT_TEXT_MS)
			commit(turn, silence);
		else
			dismiss(turn, MB_WHY_NO_TEXT);
	}
}

void
mb_caller_time(mb_turn *turn)
{
	int32_t silence = mb_caller_silence(turn);
	bool hard;

	if (!turn->open)
		return;
	/* somebody who begins to speak at this moment is let speak */
	if (!turn->finalized && silence >= mb_turn_setting(turn, MB_TURN_SPECULATE))
	{
		mb_turn_decision decision = mb_turn_new_decision(turn, MB_DO_FINALIZE);

		turn->finalized = true;
		mb_turn_decide(turn, &decision);
	}
	if (turn->tentative)
		return;
	/* what must be heard is said to its end, and then the turn may be over */
	(void) mb_agent_protected(turn, &hard);
	if (hard)
		return;
	if (turn->clock - turn->opened_at >= mb_turn_setting(turn, MB_TURN_TURN_CAP))
		commit(turn, silence > 0 ? silence : 0);
	else if (turn->suspected && turn->clock - turn->last_active <= SUSPICION_MS)
		return;
	else if (turn->text_class == MB_TEXT_NONE)
		silence_without_text(turn, silence);
	else
		silence_after_text(turn, silence);
}
