/*
 * turn_whatif.h
 *	  What would have happened: a recorded session run through the turn engine with other settings.
 *
 * The caller is as he was: frames, transcripts, digits come at their times.  The agent is not, because with other
 * decisions he would have spoken at other times.  Each reply takes as long to make as the recorded one
 * did that answered at that time of the call, has its length and its text, and is played by a peer of the
 * recorded round trip.  It ends no later than the recorded one did, so that what the caller said next does not
 * become an interruption by being late.
 *
 * So what the caller would have done differently is not known; for when turns end, and what
 * stops the agent, his part of the record says enough.
 */
#ifndef MB_TURN_WHATIF_H
#define MB_TURN_WHATIF_H

#include "core/conversation/turn_record.h"

/* A reply of the recorded session. */
typedef struct mb_whatif_reply
{
	int32_t latency; /* from asking to its first frame */
	int32_t sent;	 /* the first frame */
	int32_t end;
	int32_t ms; /* that were sent of it */
	bool asks;	/* it ended with a question */
} mb_whatif_reply;

/* The recorded session, being read: caller-owned room for so many replies, further ones are not told apart. */
typedef struct mb_whatif_recorded
{
	mb_whatif_reply *replies;
	int room;
	int n;
	int32_t round_trip;
	uint32_t generation; /* that is being sent */
	uint16_t item;		 /* of it, up to ms */
	int32_t ms;
	uint32_t piece_generation; /* the last piece */
	bool piece_asks;
	int32_t asked;
	uint32_t asked_generation;
} mb_whatif_recorded;

extern void
mb_whatif_recorded_init(mb_whatif_recorded *recorded, mb_whatif_reply *replies, int room);
extern void mb_whatif_recorded_input(mb_whatif_recorded *recorded, const mb_turn_input *input,
									 const mb_turn *turn);
extern void
mb_whatif_recorded_decision(mb_whatif_recorded *recorded, const mb_turn_decision *decision);

/* Hears of each input that the engine is given, the made up ones too, and of its clock before. */
typedef void (*mb_whatif_callback)(void *arg, const mb_turn_input *input, int32_t clock);

/* An agent and a peer that are made up. */
typedef struct mb_whatif
{
	mb_turn turn;
	const mb_whatif_recorded *recorded;
	mb_turn_callback decide;
	mb_whatif_callback given;
	void *arg;

	/* what is to be said, prepared or decided */
	uint32_t prepared;
	int32_t prepared_at;
	uint32_t generation;
	int32_t ready_at; /* its first frame; -1: nothing is to be said */
	int32_t ms;
	int32_t from; /* where in it is to be begun */
	bool asks;
	bool told; /* its text and its length */
	bool held;
	int32_t played_at; /* its last mark is back; -1: it is not playing */
	int32_t barrier_at;
	uint32_t barrier;
	uint32_t barrier_generation;
	uint32_t mark;
	mb_item_kind kind;
} mb_whatif;

extern void mb_whatif_init(mb_whatif *whatif, const mb_turn_settings *settings,
						   const mb_whatif_recorded *recorded, mb_turn_callback decide,
						   mb_whatif_callback given, void *arg);

/* The recorded inputs in their order; those of the agent are left out. */
extern void mb_whatif_input(mb_whatif *whatif, const mb_turn_input *input);

#endif /* MB_TURN_WHATIF_H */
