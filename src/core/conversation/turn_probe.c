/*
 * turn_probe.c
 *	  Whether speech over the agent is an interruption: two stages, words, and what is none.
 *
 * Stage 1, a little speech with a pitch, makes the agent pause; stage 2, more of it or words,
 * makes it give way.  A sound without words, or a backchannel, lets it go on.  Speech before anything of a
 * reply was heard is no interruption but more of the turn, and speech right after its beginning says
 * that the turn was cut off: both reopen it.
 */
#include "core/conversation/turn_internal.h"

static void
tell_text(mb_turn *turn, mb_turn_decision_kind kind)
{
	char said[MB_TURN_SAID];
	mb_turn_decision decision = mb_turn_new_decision(turn, kind);

	decision.generation = turn->generation;
	decision.text = said;
	decision.bytes = mb_caller_said(turn, said);
	mb_turn_decide(turn, &decision);
}

/* The reply had begun so little ago that the caller cannot mean to answer it. */
static bool
cut_off(const mb_turn *turn)
{
	return turn->replies && turn->sent_reply &&
		   turn->turn_onset - turn->play_at - turn->ledger.round_trip <
			   mb_turn_setting(turn, MB_TURN_REOPEN);
}

static void
tell_interrupted(mb_turn *turn, mb_turn_reason reason)
{
	mb_turn_decision decision = mb_turn_new_decision(turn, MB_DO_INTERRUPTED);

	if (turn->interrupted)
		return;
	turn->interrupted = true;
	turn->counts.interruptions++;
	decision.generation = turn->generation;
	decision.reason = reason;
	decision.onset = turn->turn_onset;
	mb_turn_decide(turn, &decision);
}

/* It is one: the agent gives way for good. */
static void
interrupt(mb_turn *turn, mb_turn_reason reason)
{
	bool addition = turn->replies && !turn->sent_reply;
	bool cutting = cut_off(turn);

	if (turn->agent == MB_AGENT_IDLE)
	{
		mb_caller_confirm(turn);
		return;
	}
	if (!addition && !cutting && turn->agent != MB_AGENT_PENDING)
		tell_interrupted(turn, reason);
	mb_agent_stop(turn, reason);
	if (addition || cutting)
		mb_caller_reopen(turn, cutting);
	else
		mb_caller_confirm(turn);
}

/* It is none: the agent goes on, if it had stopped. */
static void
let_pass(mb_turn *turn, bool was_false)
{
	mb_caller_forget(turn);
	if (turn->held || turn->agent == MB_AGENT_PAUSED || turn->agent == MB_AGENT_YIELDED)
		mb_agent_resume(turn, was_false);
}

static void
pass_backchannel(mb_turn *turn)
{
	turn->counts.backchannels++;
	tell_text(turn, MB_DO_BACKCHANNEL);
	let_pass(turn, turn->interrupted);
}

/* What the recogniser has made of our own voice, though no voice was heard. */
static bool
own_words(mb_turn *turn)
{
	char said[MB_TURN_SAID];
	const mb_ledger_item *now = mb_ledger_now(&turn->ledger, turn->clock);
	uint32_t n;

	if (now == NULL || turn->turn_speech > 0)
		return false;
	n = mb_caller_said(turn, said);
	return mb_text_repeats(said, n, mb_ledger_text(&turn->ledger, now), now->bytes);
}

void
mb_probe_text(mb_turn *turn, bool final)
{
	bool hard;
	bool guarded = mb_agent_protected(turn, &hard);

	switch (turn->weight)
	{
		case MB_WEIGHT_EMPTY:
			if (final && !turn->speaking && turn->agent != MB_AGENT_PLAYING)
				let_pass(turn, true);
			else if (final && !turn->speaking)
				mb_caller_forget(turn);
			return;
		case MB_WEIGHT_NEVER:
			if (final)
				pass_backchannel(turn);
			return;
		case MB_WEIGHT_BACKCHANNEL:
			if (!guarded && mb_agent_asked(turn) && turn->sent_reply)
				interrupt(turn, MB_WHY_WORDS);
			else if (final)
				pass_backchannel(turn);
			return;
		case MB_WEIGHT_EMERGENCY:
		case MB_WEIGHT_ALWAYS:
			if (!hard && !(guarded && turn->agent == MB_AGENT_PENDING))
			{
				interrupt(turn,
						  turn->weight == MB_WEIGHT_ALWAYS ? MB_WHY_ALWAYS : MB_WHY_EMERGENCY);
				return;
			}
			break;
		case MB_WEIGHT_WORDS:
			if (!final && turn->words < mb_turn_setting(turn, MB_TURN_STAGE2_WORDS) &&
				!(turn->agent == MB_AGENT_PENDING && turn->replies))
				return;
			if (own_words(turn))
			{
				mb_caller_forget(turn);
				return;
			}
			if (!guarded)
			{
				interrupt(turn, MB_WHY_WORDS);
				return;
			}
			break;
	}
	/* it is answered when the agent is done with what must be heard */
	if (!turn->kept)
	{
		turn->kept = true;
		tell_text(turn, MB_DO_KEPT);
	}
}

void
mb_probe_digit(mb_turn *turn)
{
	bool hard;

	mb_agent_protected(turn, &hard);
	if (hard || turn->agent == MB_AGENT_IDLE || turn->agent == MB_AGENT_PENDING)
		return;
	if (turn->open && turn->tentative)
		mb_caller_forget(turn);
	turn->turn_onset = turn->clock;
	tell_interrupted(turn, MB_WHY_DIGIT);
	mb_agent_stop(turn, MB_WHY_DIGIT);
}

/* Speech that is going on, from its beginning; 0 for none. */
static int32_t
speech_ms(const mb_turn *turn)
{
	return turn->suspected ? turn->last_active - turn->onset : 0;
}

/* With a pitch, of the time that stage 1 takes, up to now: what is scattered over a long noise is no voice. */
static int32_t
voiced_ms(const mb_turn *turn)
{
	int32_t window = mb_turn_setting(turn, MB_TURN_STAGE1);
	uint64_t frames = turn->voiced_frames;
	int32_t ms = 0;

	if (window < mb_turn_setting(turn, MB_TURN_STAGE1_VOICED))
		window = mb_turn_setting(turn, MB_TURN_STAGE1_VOICED);
	for (; window > 0 && frames != 0; window -= MB_TURN_FRAME_MS, frames >>= 1)
		ms += frames & 1 ? MB_TURN_FRAME_MS : 0;
	return ms;
}

static void
look_for_stage1(mb_turn *turn)
{
	int32_t need = mb_turn_setting(turn, MB_TURN_STAGE1);
	int32_t noisy = mb_turn_setting(turn, MB_TURN_STAGE1_NOISY);
	int32_t early = mb_turn_setting(turn, MB_TURN_STAGE1_EARLY);
	int32_t voiced = voiced_ms(turn);
	bool hard;

	/* a pitch that lasts is nobody's noise */
	if (turn->noisy && noisy > need && voiced < mb_turn_setting(turn, MB_TURN_STAGE1_SURE))
		need = noisy;
	if (turn->clock < mb_turn_setting(turn, MB_TURN_EARLY) && early > need)
		need = early;
	if (!turn->open || !turn->speaking || speech_ms(turn) < need ||
		voiced < mb_turn_setting(turn, MB_TURN_STAGE1_VOICED) || turn->clock != turn->last_active ||
		mb_agent_protected(turn, &hard))
		return;
	/* what is played to its end has nothing to be paused, and its last mark is on its way */
	mb_agent_pause(turn);
}

/* Whether there was a voice within the last second: a quarter of its frames had a pitch. */
static bool
talks_on(const mb_turn *turn)
{
	return __builtin_popcountll(turn->voiced_frames) >= 64 / 4;
}

static void
look_for_stage2(mb_turn *turn)
{
	int32_t paused = turn->clock - turn->paused_at;
	int32_t silence = mb_caller_silence(turn);
	int32_t patience = mb_turn_setting(turn, MB_TURN_RESUME);

	/* on a noisy line it is a text that confirms, which may come behind the last word only */
	if (turn->noisy && turn->speaking && talks_on(turn))
		patience *= 2;

	if (turn->resuming)
		return;
	if (turn->weight == MB_WEIGHT_EMPTY)
	{
		if (turn->speaking && !turn->noisy &&
			speech_ms(turn) >= mb_turn_setting(turn, MB_TURN_STAGE2))
		{
			if (!cut_off(turn) && turn->sent_reply)
				tell_interrupted(turn, MB_WHY_SPEECH);
			mb_agent_yield(turn);
		}
		else if (paused >= patience && (!turn->speaking || turn->noisy))
			let_pass(turn, true);
	}
	else if (silence >= mb_turn_setting(turn, MB_TURN_FINAL_WAIT))
	{
		/* no final text comes: what there is has to do */
		mb_probe_text(turn, true);
	}
}

void
mb_probe_time(mb_turn *turn)
{
	int32_t silence = mb_caller_silence(turn);
	bool hard;

	if (turn->open && turn->tentative && turn->agent == MB_AGENT_IDLE)
	{
		/* the agent was done before it was known what this is */
		if (turn->weight == MB_WEIGHT_NEVER ||
			(turn->weight == MB_WEIGHT_BACKCHANNEL && !mb_agent_asked(turn)))
			pass_backchannel(turn);
		else
			mb_caller_confirm(turn);
		return;
	}
	if (turn->kept && !mb_agent_protected(turn, &hard))
	{
		interrupt(turn, MB_WHY_WORDS);
		return;
	}
	switch (turn->agent)
	{
		case MB_AGENT_IDLE:
			break;
		case MB_AGENT_PENDING:
			if (!turn->open || !turn->tentative)
				break;
			if (turn->replies && !turn->held && turn->speaking)
				mb_agent_pause(turn);
			else if (turn->weight == MB_WEIGHT_EMPTY && !turn->speaking &&
					 silence >= mb_turn_setting(turn, MB_TURN_COMMIT_NONE))
				let_pass(turn, false);
			else if (turn->weight != MB_WEIGHT_EMPTY && !turn->kept &&
					 silence >= mb_turn_setting(turn, MB_TURN_FINAL_WAIT))
				mb_probe_text(turn, true);
			break;
		case MB_AGENT_PLAYING:
			if (!turn->open || !turn->tentative)
				break;
			look_for_stage1(turn);
			if (turn->agent == MB_AGENT_PLAYING && !turn->speaking && !turn->kept)
			{
				if (turn->weight == MB_WEIGHT_EMPTY &&
					silence >= mb_turn_setting(turn, MB_TURN_RESUME))
					mb_caller_forget(turn);
				else if (turn->weight != MB_WEIGHT_EMPTY &&
						 silence >= mb_turn_setting(turn, MB_TURN_FINAL_WAIT))
					mb_probe_text(turn, true);
			}
			break;
		case MB_AGENT_PAUSED:
			if (turn->open && turn->tentative)
				look_for_stage2(turn);
			break;
		case MB_AGENT_YIELDED:
			if (!turn->open || !turn->tentative || turn->speaking || turn->resuming)
				break;
			if (turn->weight != MB_WEIGHT_EMPTY)
			{
				if (silence >= mb_turn_setting(turn, MB_TURN_FINAL_WAIT))
					mb_probe_text(turn, true);
			}
			else if (silence >= mb_turn_setting(turn, MB_TURN_TEXT_WAIT))
			{
				/* a sound so long with a pitch is speech that the recogniser has not understood */
				if (turn->turn_voiced >= mb_turn_setting(turn, MB_TURN_STAGE2))
					interrupt(turn, MB_WHY_SPEECH);
				else
					let_pass(turn, true);
			}
			break;
	}
}
