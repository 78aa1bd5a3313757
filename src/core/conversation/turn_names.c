/*
 * turn_names.c
 *	  Names of what turn.h enumerates, for records of conversations.
 */
#include "core/conversation/turn.h"

static const char *const inputs[MB_INPUT_KINDS] = {
	[MB_IN_TICK] = "tick",			 [MB_IN_FRAME] = "frame",
	[MB_IN_PARTIAL] = "partial",	 [MB_IN_FINAL] = "final",
	[MB_IN_DIGIT] = "digit",		 [MB_IN_SAY] = "say",
	[MB_IN_PIECE] = "piece",		 [MB_IN_PIECE_END] = "piece_end",
	[MB_IN_REPLY_END] = "reply_end", [MB_IN_REPLY_FAILED] = "reply_failed",
	[MB_IN_SENT] = "sent",			 [MB_IN_MARK_SENT] = "mark_sent",
	[MB_IN_MARK] = "mark",			 [MB_IN_QUEUE] = "queue",
	[MB_IN_EXPECT] = "expect",		 [MB_IN_HOLD] = "hold",
	[MB_IN_STOP] = "stop",			 [MB_IN_NOTE] = "note",
	[MB_IN_WORD] = "word",
};

static const char *const decisions[MB_DECISION_KINDS] = {
	[MB_DO_TURN_STARTED] = "turn_started",
	[MB_DO_FINALIZE] = "finalize",
	[MB_DO_SPECULATE] = "speculate",
	[MB_DO_COMMIT] = "commit",
	[MB_DO_REOPEN] = "reopen",
	[MB_DO_DISMISS] = "dismiss",
	[MB_DO_AMEND] = "amend",
	[MB_DO_PAUSE] = "pause",
	[MB_DO_RESUME] = "resume",
	[MB_DO_INTERRUPTED] = "interrupted",
	[MB_DO_CLEAR] = "clear",
	[MB_DO_CANCEL] = "cancel",
	[MB_DO_HEARD] = "heard",
	[MB_DO_DRAINED] = "drained",
	[MB_DO_BACKCHANNEL] = "backchannel",
	[MB_DO_KEPT] = "kept",
	[MB_DO_DIGIT] = "digit",
	[MB_DO_EMERGENCY] = "emergency",
	[MB_DO_SAY_FILLER] = "say_filler",
	[MB_DO_SAY_APOLOGY] = "say_apology",
	[MB_DO_SAY_PROMPT] = "say_prompt",
	[MB_DO_SAY] = "say",
	[MB_DO_MEDIA_LOST] = "media_lost",
	[MB_DO_MEDIA_BACK] = "media_back",
	[MB_DO_RESYNC] = "resync",
	[MB_DO_END] = "end",
};

static const char *const reasons[MB_REASONS] = {
	[MB_WHY_NONE] = "",
	[MB_WHY_SPEECH] = "speech",
	[MB_WHY_WORDS] = "words",
	[MB_WHY_ALWAYS] = "always",
	[MB_WHY_EMERGENCY] = "emergency",
	[MB_WHY_DIGIT] = "digit",
	[MB_WHY_TURN] = "turn",
	[MB_WHY_TEXT] = "text",
	[MB_WHY_SAY] = "say",
	[MB_WHY_NO_TEXT] = "no_text",
	[MB_WHY_BACKCHANNEL] = "backchannel",
	[MB_WHY_LATE] = "late",
	[MB_WHY_FAILED] = "failed",
	[MB_WHY_SILENCE] = "silence",
	[MB_WHY_NO_MEDIA] = "no_media",
	[MB_WHY_DURATION] = "duration",
	[MB_WHY_STOPPED] = "stopped",
};

static const char *const classes[MB_TEXT_CLASSES] = {
	[MB_TEXT_ANSWER] = "answer", [MB_TEXT_TERMINAL] = "terminal", [MB_TEXT_NEUTRAL] = "neutral",
	[MB_TEXT_OPEN] = "open",	 [MB_TEXT_DIGITS] = "digits",	  [MB_TEXT_NONE] = "none",
};

const char *
mb_turn_input_name(mb_turn_input_kind kind)
{
	return inputs[kind];
}

const char *
mb_turn_decision_name(mb_turn_decision_kind kind)
{
	return decisions[kind];
}

const char *
mb_turn_reason_name(mb_turn_reason reason)
{
	return reasons[reason];
}

const char *
mb_text_class_name(mb_text_class text_class)
{
	return classes[text_class];
}
