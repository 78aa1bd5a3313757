/*
 * turn_record.h
 *	  One record a turn, made of what went into the turn engine and what it decided: when it was
 *	  spoken, decided, answered and heard, and what became of it.
 *
 * Times are of the line's clock, in ms; -1: it did not happen.
 */
#ifndef MB_TURN_RECORD_H
#define MB_TURN_RECORD_H

#include "core/conversation/turn.h"

#define MB_RECORD_HEARD 2048

typedef struct mb_turn_record
{
	uint32_t turn;
	uint32_t generation; /* of its reply; 0: none yet */
	int32_t onset;		 /* of the caller's speech */
	int32_t speech_end;	 /* its last frame, as committed */
	int32_t final_text;	 /* the recogniser's last word on it */
	int32_t asked;		 /* when the reply that was said was asked for: it may have been prepared */
	int32_t committed;	 /* the turn was taken to be over */
	int32_t first_piece; /* of the reply had its text and first audio */
	int32_t first_sent;	 /* frame of it */
	int32_t interrupted; /* by the caller, confirmed */
	int32_t interrupt_onset; /* of the speech that did it */
	int32_t
		reply_end; /* it was over: its sound ended, or nothing of it was heard and it was given up */
	mb_text_class text_class;
	mb_turn_reason interrupt_reason;
	uint32_t speculations;
	uint32_t reopened;	   /* it went on after it had been taken to be over */
	uint32_t cut_offs;	   /* and after the reply had begun */
	uint32_t pauses;	   /* of the agent */
	uint32_t false_pauses; /* that proved to be for nothing */
	uint32_t backchannels;
	uint32_t notes[MB_NOTES]; /* how often, of each */
	bool filler;
	bool apology;
	char said[MB_TURN_SAID];
	uint32_t n_said;
	char heard[MB_RECORD_HEARD]; /* of the reply; of a longer one the beginning */
	uint32_t n_heard;
	bool heard_cut; /* not to its end */
} mb_turn_record;

/* Takes a record that is complete; only within the call. */
typedef void (*mb_turn_record_callback)(void *arg, const mb_turn_record *record);

/* Of a reply that was interrupted it is known only in the next turn what was heard, so there are two. */
typedef struct mb_turn_recorder
{
	mb_turn_record_callback take;
	void *arg;
	mb_turn_record records[2];
	int now;		   /* the one of the current turn */
	bool open[2];	   /* there is one */
	uint32_t prepared; /* the last reply that was */
	int32_t prepared_at;
	int32_t prepared_piece;
} mb_turn_recorder;

extern void
mb_turn_recorder_init(mb_turn_recorder *recorder, mb_turn_record_callback take, void *arg);

/* Before the engine takes an input: its clock is what mb_turn_clock() says. */
extern void
mb_turn_recorder_input(mb_turn_recorder *recorder, const mb_turn_input *input, int32_t clock);
extern void mb_turn_recorder_decision(mb_turn_recorder *recorder, const mb_turn_decision *decision);

/* Hands over what is left. */
extern void mb_turn_recorder_end(mb_turn_recorder *recorder);

#endif /* MB_TURN_RECORD_H */
