/*
 * turn_agent.c
 *	  The agent's side of the turn engine: what it says from the first frame to the last mark, pausing and
 *	  going on, fillers, apologies and prompts.
 */
#include "core/conversation/turn_internal.h"

uint32_t
mb_agent_new_generation(mb_turn *turn)
{
	return ++turn->last_generation;
}

static mb_turn_decision
about(const mb_turn *turn, mb_turn_decision_kind kind)
{
	mb_turn_decision decision = mb_turn_new_decision(turn, kind);

	decision.generation = turn->generation;
	return decision;
}

void
mb_agent_cancel(mb_turn *turn, uint32_t generation, mb_turn_reason reason)
{
	mb_turn_decision decision = mb_turn_new_decision(turn, MB_DO_CANCEL);

	decision.generation = generation;
	decision.reason = reason;
	mb_ledger_drop(&turn->ledger, generation);
	mb_turn_decide(turn, &decision);
}

void
mb_agent_begin(mb_turn *turn, uint32_t generation, bool replies, mb_item_kind kind)
{
	turn->agent = MB_AGENT_PENDING;
	turn->generation = generation;
	turn->replies = replies;
	turn->say_kind = kind;
	turn->ended = false;
	turn->failed = false;
	turn->sent = false;
	turn->sent_reply = false;
	turn->held = false;
	turn->interrupted = false;
	turn->resuming = false;
	turn->filler = false;
	turn->apologising = false;
	turn->asked = false;
	turn->pending_at = turn->clock;
}

/* Whether something of it is still to be heard at the peer. */
static bool
queued(const mb_turn *turn)
{
	return mb_ledger_left(&turn->ledger, turn->clock) > 0;
}

static uint32_t
clear_line(mb_turn *turn)
{
	return mb_ledger_clear(&turn->ledger, turn->generation, turn->clock);
}

static void
clear(mb_turn *turn)
{
	mb_turn_decision decision = about(turn, MB_DO_CLEAR);

	if (!queued(turn))
		return;
	decision.mark = clear_line(turn);
	mb_turn_decide(turn, &decision);
}

void
mb_agent_stop(mb_turn *turn, mb_turn_reason reason)
{
	if (turn->agent == MB_AGENT_IDLE)
		return;
	clear(turn);
	turn->agent = MB_AGENT_IDLE;
	turn->quiet_since = turn->clock;
	mb_agent_cancel(turn, turn->generation, reason);
}

void
mb_agent_pause(mb_turn *turn)
{
	mb_turn_decision decision = about(turn, MB_DO_PAUSE);

	turn->paused_at = turn->clock;
	if (turn->agent == MB_AGENT_PENDING)
	{
		turn->held = true;
		turn->how = MB_PAUSE_HOLD;
	}
	else
	{
		turn->agent = MB_AGENT_PAUSED;
		turn->interrupted = false;
		turn->resuming = false;
		if (turn->ledger.line.pause)
		{
			turn->how = MB_PAUSE_PEER;
			mb_ledger_pause(&turn->ledger, turn->clock);
		}
		else if (turn->ledger.line.clear && mb_turn_setting(turn, MB_TURN_PAUSE_BY_CLEAR) != 0)
		{
			turn->how = MB_PAUSE_CLEAR;
			decision.mark = clear_line(turn);
		}
		else
			turn->how = MB_PAUSE_STARVE;
	}
	decision.how = turn->how;
	mb_turn_decide(turn, &decision);
}

void
mb_agent_yield(mb_turn *turn)
{
	turn->agent = MB_AGENT_YIELDED;
	/* a pause that has cleared has nothing left to clear */
	if (turn->how != MB_PAUSE_CLEAR)
		clear(turn);
}

/* Goes on as soon as it is known where. */
static void
go_on(mb_turn *turn)
{
	mb_turn_decision decision = about(turn, MB_DO_RESUME);

	if (mb_ledger_clearing(&turn->ledger))
		return;
	turn->resuming = false;
	if (turn->agent == MB_AGENT_PAUSED && turn->how == MB_PAUSE_PEER)
		mb_ledger_continue(&turn->ledger, turn->clock);
	else if (turn->agent == MB_AGENT_YIELDED || turn->how == MB_PAUSE_CLEAR)
		mb_ledger_rewind(&turn->ledger, turn->generation, &decision.item, &decision.ms);
	/* where feeding goes on: what was fed last may have been the end of what there is by now */
	if (!mb_ledger_unsent(&turn->ledger, turn->generation, &decision.item, &decision.ms))
		decision.item = UINT16_MAX;
	turn->agent = MB_AGENT_PLAYING;
	decision.flag = turn->resume_false;
	decision.how = turn->how;
	mb_turn_decide(turn, &decision);
}

void
mb_agent_resume(mb_turn *turn, bool was_false)
{
	if (turn->agent == MB_AGENT_PENDING)
	{
		mb_turn_decision decision = about(turn, MB_DO_RESUME);

		turn->held = false;
		/* what was waited for the caller is no delay of engines */
		turn->pending_at += turn->clock - turn->paused_at;
		decision.how = MB_PAUSE_HOLD;
		mb_turn_decide(turn, &decision);
		return;
	}
	if (turn->agent != MB_AGENT_PAUSED && turn->agent != MB_AGENT_YIELDED)
		return;
	if (was_false)
		turn->counts.false_interruptions++;
	turn->resume_false = was_false;
	turn->resuming = true;
	go_on(turn);
}

void
mb_agent_say(mb_turn *turn, mb_item_kind kind, mb_turn_decision_kind what, mb_turn_reason reason)
{
	mb_turn_decision decision;

	mb_agent_stop(turn, reason == MB_WHY_NONE ? MB_WHY_SAY : reason);
	mb_agent_begin(turn, mb_agent_new_generation(turn), false, kind);
	decision = about(turn, what);
	decision.reason = reason;
	decision.item_kind = kind;
	decision.ms = turn->prompts;
	mb_turn_decide(turn, &decision);
}

void
mb_agent_sent(mb_turn *turn, const mb_turn_input *input)
{
	const mb_ledger_item *now;

	if (!mb_ledger_sent(&turn->ledger, input->generation, input->item, input->ms, turn->clock))
	{
		turn->counts.stale++;
		return;
	}
	turn->sent = true;
	now = mb_ledger_item_of(&turn->ledger, input->generation, input->item);
	if (!turn->sent_reply && now->kind != MB_ITEM_FILLER)
	{
		turn->sent_reply = true;
		turn->play_at = turn->clock;
	}
	if (turn->agent == MB_AGENT_PENDING)
	{
		turn->agent = MB_AGENT_PLAYING;
		turn->held = false;
	}
}

bool
mb_agent_protected(const mb_turn *turn, bool *hard)
{
	const mb_ledger_item *now;
	mb_item_kind kind = turn->say_kind;

	*hard = false;
	if (turn->agent == MB_AGENT_IDLE)
		return false;
	now = mb_ledger_now(&turn->ledger, turn->clock);
	if (now != NULL)
		kind = (mb_item_kind) now->kind;
	*hard = kind == MB_ITEM_LEGAL || kind == MB_ITEM_EMERGENCY;
	if (*hard)
		return true;
	if (kind != MB_ITEM_GREETING)
		return false;
	return !turn->sent_reply || turn->clock - turn->play_at - turn->ledger.round_trip <
									mb_turn_setting(turn, MB_TURN_GREETING_PROTECTED);
}

bool
mb_agent_asked(const mb_turn *turn)
{
	int32_t left;

	if (turn->agent == MB_AGENT_IDLE)
		return turn->asked;
	if (!turn->ended || !mb_ledger_asks(&turn->ledger, turn->generation, turn->clock, &left))
		return false;
	return left < mb_turn_setting(turn, MB_TURN_QUESTION_LEFT);
}

static void
drained(mb_turn *turn)
{
	mb_turn_decision decision = about(turn, MB_DO_DRAINED);

	turn->agent = MB_AGENT_IDLE;
	turn->quiet_since = turn->clock;
	mb_turn_decide(turn, &decision);
}

void
mb_agent_tell_heard(mb_turn *turn)
{
	const mb_ledger_item *item;

	while ((item = mb_ledger_settled(&turn->ledger)) != NULL)
	{
		mb_turn_decision decision = mb_turn_new_decision(turn, MB_DO_HEARD);

		decision.generation = item->generation;
		decision.item = item->number;
		decision.item_kind = (mb_item_kind) item->kind;
		decision.ms = item->heard;
		decision.end = item->over;
		decision.flag = item->cut;
		decision.text = mb_ledger_text(&turn->ledger, item);
		decision.bytes = (uint32_t) mb_ledger_bytes_at(&turn->ledger, item, item->heard);
		if (item->generation == turn->generation && item->kind != MB_ITEM_FILLER)
			turn->asked = item->asks && !item->cut;
		mb_turn_decide(turn, &decision);
		mb_ledger_take(&turn->ledger);
	}
}

/* A filler, then an apology, when nothing comes. */
static void
wait_for_reply(mb_turn *turn)
{
	int32_t waited = turn->clock - turn->pending_at;
	int32_t filler = mb_turn_setting(turn, MB_TURN_FILLER);
	bool late = waited >= mb_turn_setting(turn, MB_TURN_APOLOGY);

	if (turn->sent_reply || turn->held || (!late && !turn->failed))
	{
		if (turn->agent == MB_AGENT_PENDING && turn->replies && !turn->held && !turn->filler &&
			!turn->ended && filler > 0 && waited >= filler)
		{
			mb_turn_decision decision = about(turn, MB_DO_SAY_FILLER);

			turn->filler = true;
			turn->counts.fillers++;
			mb_turn_decide(turn, &decision);
		}
		return;
	}
	if (turn->replies)
	{
		turn->counts.apologies++;
		mb_agent_say(turn, MB_ITEM_PROMPT, MB_DO_SAY_APOLOGY,
					 turn->failed ? MB_WHY_FAILED : MB_WHY_LATE);
		turn->apologising = true;
	}
	else if (turn->apologising)
		mb_turn_end(turn, turn->failed ? MB_WHY_FAILED : MB_WHY_LATE);
	else
		mb_agent_stop(turn, turn->failed ? MB_WHY_FAILED : MB_WHY_LATE);
}

static void
prompt_silence(mb_turn *turn)
{
	int32_t after = mb_turn_setting(turn, MB_TURN_SILENCE_PROMPT);

	if (turn->open || turn->hold || turn->media_lost || turn->suspected || after == 0 ||
		turn->clock - turn->quiet_since < after)
		return;
	if (turn->prompts >= mb_turn_setting(turn, MB_TURN_SILENCE_PROMPTS))
	{
		mb_turn_end(turn, MB_WHY_SILENCE);
		return;
	}
	turn->prompts++;
	turn->counts.silence_prompts++;
	mb_agent_say(turn, MB_ITEM_PROMPT, MB_DO_SAY_PROMPT, MB_WHY_NONE);
}

void
mb_agent_time(mb_turn *turn)
{
	if (mb_ledger_tick(&turn->ledger, mb_turn_setting(turn, MB_TURN_BURST_WAIT),
					   mb_turn_setting(turn, MB_TURN_MARK_OVERDUE), turn->clock))
	{
		mb_turn_decision decision = about(turn, MB_DO_RESYNC);

		mb_turn_decide(turn, &decision);
	}
	mb_agent_tell_heard(turn);
	if (turn->resuming)
		go_on(turn);
	if (turn->agent == MB_AGENT_PLAYING && turn->ended &&
		!mb_ledger_has(&turn->ledger, turn->generation))
		drained(turn);
	else if (turn->agent == MB_AGENT_PENDING && turn->ended && !turn->held &&
			 !mb_ledger_has(&turn->ledger, turn->generation))
		drained(turn);
	else if (turn->agent == MB_AGENT_PENDING ||
			 (turn->agent == MB_AGENT_PLAYING && !turn->sent_reply))
		wait_for_reply(turn);
	else if (turn->agent == MB_AGENT_IDLE)
		prompt_silence(turn);
}
