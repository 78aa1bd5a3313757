/*
 * turn_internal.h
 *	  What the files of the turn engine say to each other: turn.c takes inputs and lets time pass,
 *	  turn_caller.c hears the caller's speech and ends turns, turn_agent.c conducts what the agent says,
 *	  turn_probe.c judges whether speech over it is an interruption.
 */
#ifndef MB_TURN_INTERNAL_H
#define MB_TURN_INTERNAL_H

#include "core/conversation/turn.h"

static inline int32_t
mb_turn_setting(const mb_turn *turn, mb_turn_number number)
{
	return turn->settings->number[number];
}

/* A decision of that kind, about the current turn, at the clock of the line. */
static inline mb_turn_decision
mb_turn_new_decision(const mb_turn *turn, mb_turn_decision_kind kind)
{
	return (mb_turn_decision){ .kind = kind, .at = turn->clock, .turn = turn->number };
}

static inline void
mb_turn_decide(mb_turn *turn, const mb_turn_decision *decision)
{
	turn->decide(turn->arg, decision);
}

extern void mb_turn_end(mb_turn *turn, mb_turn_reason reason);

/* The caller: turn_caller.c. */
extern void mb_caller_frame(mb_turn *turn, uint8_t flags);
extern void mb_caller_text(mb_turn *turn, const char *text, uint32_t n, bool final, bool over);
extern void mb_caller_time(mb_turn *turn);

/* Its speech is over, because nothing more is heard. */
extern void mb_caller_lost(mb_turn *turn);

/* The turn that is open is one, whatever it has interrupted. */
extern void mb_caller_confirm(mb_turn *turn);

/* The turn that was committed goes on with what was said since. */
extern void mb_caller_reopen(mb_turn *turn, bool cut_off);

/* What is open is nothing. */
extern void mb_caller_forget(mb_turn *turn);

/* The conversation ends: what was said in a turn that is not over is told. */
extern void mb_caller_end(mb_turn *turn);

/* All that was said since the last commit, the unfinished part with it: into out, which has MB_TURN_SAID. */
extern uint32_t mb_caller_said(const mb_turn *turn, char *out);

/* Since the last frame of speech. */
static inline int32_t
mb_caller_silence(const mb_turn *turn)
{
	return turn->clock - turn->speech_end;
}

/* The agent: turn_agent.c. */
extern uint32_t mb_agent_new_generation(mb_turn *turn);

/* What it says or is about to say is over; what is queued is cleared. */
extern void mb_agent_stop(mb_turn *turn, mb_turn_reason reason);

/* A generation's turn to be said: nothing of it was sent. */
extern void mb_agent_begin(mb_turn *turn, uint32_t generation, bool replies, mb_item_kind kind);
extern void mb_agent_cancel(mb_turn *turn, uint32_t generation, mb_turn_reason reason);
extern void mb_agent_pause(mb_turn *turn);
extern void mb_agent_resume(mb_turn *turn, bool was_false);

/* It clears, and could still go on. */
extern void mb_agent_yield(mb_turn *turn);
extern void mb_agent_say(mb_turn *turn, mb_item_kind kind, mb_turn_decision_kind decision,
						 mb_turn_reason reason);
extern void mb_agent_sent(mb_turn *turn, const mb_turn_input *input);
extern void mb_agent_time(mb_turn *turn);

/* Tells what of its pieces is known to be heard. */
extern void mb_agent_tell_heard(mb_turn *turn);

/* It is saying what must be heard; hard: and not only a greeting. */
extern bool mb_agent_protected(const mb_turn *turn, bool *hard);

/* It has asked, and is about to be done with that. */
extern bool mb_agent_asked(const mb_turn *turn);

/* Interruptions: turn_probe.c. */
extern void mb_probe_text(mb_turn *turn, bool final);
extern void mb_probe_time(mb_turn *turn);
extern void mb_probe_digit(mb_turn *turn);

#endif /* MB_TURN_INTERNAL_H */
