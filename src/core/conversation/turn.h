/*
 * turn.h
 *	  The turn engine: from what happens on a line and in the engines around it to who is to
 *	  speak.  Inputs with their times go in, decisions come out.
 *
 * The same inputs give the same decisions, bit for bit, on every machine: there are
 * no floating point numbers, no clock but that of the inputs, no memory but
 * mb_turn.  turn_log.h writes inputs down and reads them again.
 *
 * Replies have generations, whose numbers the engine gives.  Whoever runs it
 *	- on SPECULATE prepares a reply to the text and holds its audio; no tool is called and nothing is written
 *	- on COMMIT sends it, tools and all, and gives PIECE, SENT, MARK_SENT, REPLY_END for it
 *	- on PAUSE stops feeding and does what "how" says; on RESUME feeds again, from that place
 *	- on CLEAR sends the mark "mark" and behind it the clear, at once; what of it is in his own queue goes, too
 *	- on CANCEL forgets the generation: what still comes of it from engines is not given to the line
 *	- on SAY_… decides what to say, and gives it as pieces of that generation
 *
 * Generations that are not the current one are counted and dropped, so that nothing of them has to be
 * filtered by the caller.
 *
 * Times are ms of the session.  "at" of an input is the clock of whoever runs the engine; what is said of
 * speech is measured on the clock of the line (ledger.h).
 */
#ifndef MB_TURN_H
#define MB_TURN_H

#include "core/conversation/ledger.h"
#include "core/conversation/turn_settings.h"
#include "core/conversation/turn_text.h"

#define MB_TURN_FRAME_MS 20

/* Times go no further, eleven days; an input that claims to be later counts as one that comes now. */
#define MB_TURN_LONGEST_MS 1000000000

/* Bytes of a turn's text that are kept; of a longer one the end. */
#define MB_TURN_TEXT_ROOM 2048
#define MB_TURN_PARTIAL_ROOM 1024

/* Bytes of all that was said in a turn, at most. */
#define MB_TURN_SAID (MB_TURN_TEXT_ROOM + MB_TURN_PARTIAL_ROOM + 1)

/* A piece with a longer text, or more times, is refused and counted. */
#define MB_TURN_PIECE_ROOM 512
#define MB_TURN_PIECE_POINTS 64

/* What was heard in a frame; activity.h finds it out. */
#define MB_FRAME_ACTIVE 1
#define MB_FRAME_VOICED 2
#define MB_FRAME_ECHO 4	  /* it is our own voice */
#define MB_FRAME_TONE 8	  /* the DTMF receiver sees one */
#define MB_FRAME_NOISY 16 /* the floor is high */

typedef enum mb_turn_input_kind
{
	MB_IN_TICK,	   /* time passes; wanted every 20 ms while no frames come */
	MB_IN_FRAME,   /* media_ms, flags, level */
	MB_IN_PARTIAL, /* text: all of it since the last FINAL */
	MB_IN_FINAL, /* text, in place of the partial one; flag: the recogniser says that the turn is over */
	MB_IN_DIGIT,	 /* digit; flag: from its tone, not told by the peer */
	MB_IN_SAY,		 /* something is to be said that is no reply; item_kind */
	MB_IN_PIECE,	 /* generation, item (a number, ascending), item_kind, text, ms or -1, points */
	MB_IN_PIECE_END, /* generation, item, ms */
	MB_IN_REPLY_END, /* generation: there are no more pieces */
	MB_IN_REPLY_FAILED, /* generation */
	MB_IN_SENT,			/* generation, item, ms: the piece was sent up to there */
	MB_IN_MARK_SENT,	/* generation, mark; not that of a CLEAR */
	MB_IN_MARK,			/* generation, mark; flag: the peer says that it was cleared */
	MB_IN_QUEUE,		/* ms: the peer says that it has so much left */
	MB_IN_EXPECT,		/* flag: a closed question; ms: digits that are expected */
	MB_IN_HOLD, /* flag: nobody is expected to speak (hold, tools, entry of digits), or no longer */
	MB_IN_STOP, /* the peer ended the stream or is gone */
	MB_IN_NOTE, /* ms: an mb_turn_note; nothing is decided by it */
	MB_IN_WORD /* generation, item, ms, bytes: that much of the text of a piece has been said there */
} mb_turn_input_kind;

#define MB_INPUT_KINDS 19

/* What became of a service that was asked, for the record of a turn. */
typedef enum mb_turn_note
{
	MB_NOTE_FALLBACK, /* it failed, and another one, or another form of it, was asked */
	MB_NOTE_WHOLE,	  /* what was said was sent as a whole, for want of a stream */
	MB_NOTE_HEDGE,	  /* it had not begun to answer, so another one was asked as well */
	MB_NOTE_HEDGE_WON /* which answered first */
} mb_turn_note;

#define MB_NOTES 4

typedef struct mb_turn_input
{
	mb_turn_input_kind kind;
	int32_t at; /* never less than that of the one before; less is taken for the same */
	bool flag;
	uint8_t flags; /* MB_FRAME_… */
	int8_t level;  /* of a frame, dBFS, for who looks at it later */
	char digit;
	mb_item_kind item_kind;
	uint16_t item;
	uint32_t generation;
	uint32_t mark;
	uint32_t media_ms; /* time stamp of a frame */
	int32_t ms;
	const char *text; /* only within the call */
	uint32_t bytes;
	const mb_ledger_point *points;
	int n_points;
} mb_turn_input;

typedef enum mb_turn_decision_kind
{
	MB_DO_TURN_STARTED, /* turn; the caller speaks */
	MB_DO_FINALIZE,		/* the recogniser is to give its final text */
	MB_DO_SPECULATE,	/* generation, text */
	MB_DO_COMMIT,		/* turn, generation, text, text_class, onset, end, delay */
	MB_DO_REOPEN,		/* turn: it goes on; flag: its reply had begun, it was cut off */
	MB_DO_DISMISS,		/* turn: it was nothing; reason */
	MB_DO_AMEND, /* turn, text: that of a turn which was committed without it, or is not over at the end */
	MB_DO_PAUSE,	   /* generation, how, mark when it clears */
	MB_DO_RESUME,	   /* generation, item, ms; flag: an interruption proved to be none */
	MB_DO_INTERRUPTED, /* generation, reason; onset: of the speech; the agent gave way */
	MB_DO_CLEAR,	   /* generation, mark */
	MB_DO_CANCEL,	   /* generation, reason */
	MB_DO_HEARD, /* generation, item, item_kind, text: of a piece, ms, end of its sound; flag: it was cut; comes for every piece */
	MB_DO_DRAINED,	   /* generation: it was played to its end */
	MB_DO_BACKCHANNEL, /* text: not an interruption */
	MB_DO_KEPT,		   /* text: said while the agent may not be interrupted, answered afterwards */
	MB_DO_DIGIT,	   /* digit */
	MB_DO_EMERGENCY,   /* text */
	MB_DO_SAY_FILLER,  /* generation */
	MB_DO_SAY_APOLOGY, /* generation, reason */
	MB_DO_SAY_PROMPT,  /* generation, ms: how many times */
	MB_DO_SAY,		   /* generation: for what MB_IN_SAY announced */
	MB_DO_MEDIA_LOST,  /* the line is taken to be on hold */
	MB_DO_MEDIA_BACK,
	MB_DO_RESYNC, /* marks that did not come were given up */
	MB_DO_END	  /* reason; nothing follows but HEARD */
} mb_turn_decision_kind;

#define MB_DECISION_KINDS 26

typedef enum mb_turn_reason
{
	MB_WHY_NONE,
	MB_WHY_SPEECH, /* its length */
	MB_WHY_WORDS,  /* of a transcript */
	MB_WHY_ALWAYS, /* a word that always interrupts */
	MB_WHY_EMERGENCY,
	MB_WHY_DIGIT,
	MB_WHY_TURN,	/* another turn was committed */
	MB_WHY_TEXT,	/* what was said has changed */
	MB_WHY_SAY,		/* something else is said */
	MB_WHY_NO_TEXT, /* a sound without words */
	MB_WHY_BACKCHANNEL,
	MB_WHY_LATE, /* it took too long */
	MB_WHY_FAILED,
	MB_WHY_SILENCE,
	MB_WHY_NO_MEDIA,
	MB_WHY_DURATION,
	MB_WHY_STOPPED /* by the peer */
} mb_turn_reason;

#define MB_REASONS 17

typedef enum mb_turn_pause
{
	MB_PAUSE_HOLD,	 /* nothing was sent yet: send nothing */
	MB_PAUSE_STARVE, /* feed no more, let the queue run dry */
	MB_PAUSE_CLEAR,	 /* mark and clear */
	MB_PAUSE_PEER /* tell the peer to pause, and on RESUME to go on, and on CLEAR to drop and go on */
} mb_turn_pause;

typedef struct mb_turn_decision
{
	mb_turn_decision_kind kind;
	int32_t at; /* clock of the line */
	uint32_t turn;
	uint32_t generation;
	mb_turn_reason reason;
	mb_text_class text_class;
	mb_turn_pause how;
	mb_item_kind item_kind;
	uint16_t item;
	uint32_t mark;
	bool flag;
	char digit;
	int32_t ms;
	int32_t onset; /* of the caller's speech */
	int32_t end;
	int32_t delay;	  /* that was waited, from its end */
	const char *text; /* only within the call; not ended by a NUL */
	uint32_t bytes;
} mb_turn_decision;

/* May not call the engine. */
typedef void (*mb_turn_callback)(void *arg, const mb_turn_decision *decision);

/* What is known of a session for metrics. */
typedef struct mb_turn_counts
{
	uint32_t turns;
	uint32_t interruptions;
	uint32_t false_interruptions;
	uint32_t false_cutoffs; /* turns that went on after their reply had begun */
	uint32_t additions;		/* and before it had */
	uint32_t backchannels;
	uint32_t speculations;
	uint32_t speculations_dropped;
	uint32_t silence_prompts;
	uint32_t fillers;
	uint32_t apologies;
	uint32_t stale;	  /* inputs for a generation that is over */
	uint32_t refused; /* pieces for which there was no room */
} mb_turn_counts;

/* Private; declared here only so that its size is known. */
#include "core/conversation/turn_state.h"

/*
 * Starts a session.  settings are not copied and live as long as it; the numbers must be in their ranges.
 */
extern void mb_turn_init(mb_turn *turn, const mb_turn_settings *settings, const mb_line *line,
						 mb_turn_callback decide, void *arg);

/* Texts beyond their limits are cut at a character. */
extern void mb_turn_input_take(mb_turn *turn, const mb_turn_input *input);

/* True while the agent is heard, for the detector of echo; what plays at this moment of the line's clock. */
extern bool mb_turn_agent_heard(const mb_turn *turn);
extern int32_t mb_turn_clock(const mb_turn *turn);
extern const mb_turn_counts *mb_turn_counted(const mb_turn *turn);
extern int32_t mb_turn_round_trip(const mb_turn *turn);

extern const char *mb_turn_input_name(mb_turn_input_kind kind);
extern const char *mb_turn_decision_name(mb_turn_decision_kind kind);
extern const char *mb_turn_reason_name(mb_turn_reason reason);
extern const char *mb_text_class_name(mb_text_class text_class);

#endif /* MB_TURN_H */
