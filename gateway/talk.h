/*
 * talk.h
 *	  A conversation in a session: the turn engine (core/conversation/turn.h) with ears, a voice and something to say.
 *
 * media_conduct.c asks the database whether a session talks; if so it is told here what happens, and nothing else decides what is said.
 */
#ifndef GATEWAY_TALK_H
#define GATEWAY_TALK_H

#include <jansson.h>

#include "media_session.h"

typedef struct gw_talk gw_talk;

/*
 * Begins by what begin_conversation() has given: numbers and lists as arrays of PostgreSQL, and the plan.  NULL when there is nobody to
 * talk, or no memory: then the session is one of prompts and keys.
 */
extern gw_talk *
gw_talk_begin(gw_media_session *session, const char *numbers, const char *lists, const char *plan);

/* What the peer tells.  at: of the first sample, on the stream's clock, in microseconds. */
extern void gw_talk_heard(gw_talk *talk, const int16_t *samples, size_t n, int64_t at);
extern void gw_talk_digit(gw_talk *talk, char digit, bool from_tone);
extern void gw_talk_marked(gw_talk *talk, unsigned number);
extern void gw_talk_cleared(gw_talk *talk, uint64_t unheard);

/* True when the DTMF receiver sees a tone. */
extern void gw_talk_tone(gw_talk *talk, bool tone);

/* A supervisor wants this said, behind what is being said. */
extern void gw_talk_say(gw_talk *talk, const char *text);

/* The gateway ends: says goodbye, and calls gw_media_end() when that was heard, or soon. */
extern void gw_talk_stop(gw_talk *talk);

/* The link is over, for a reason.  The rest goes to the database by itself. */
extern void gw_talk_over(gw_talk *talk);

/* What services are asked for. */
typedef enum gw_talk_kind
{
	GW_TALK_LISTEN,
	GW_TALK_REPLY,
	GW_TALK_SPEAK,
	GW_TALK_KINDS
} gw_talk_kind;

/* What all conversations of this process had. */
typedef struct gw_talk_counts
{
	int now;
	uint64_t conversations;
	uint64_t turns;
	uint64_t interruptions;
	uint64_t false_interruptions;
	uint64_t false_cutoffs;
	uint64_t backchannels;
	uint64_t speculations;
	uint64_t speculations_dropped;
	uint64_t silence_prompts;
	uint64_t fillers;
	uint64_t apologies;
	uint64_t stale;
	uint64_t fallbacks[GW_TALK_KINDS]; /* a service failed, another was asked */
	uint64_t whole_utterances;		   /* that were sent for want of a stream */
	uint64_t hedges[GW_TALK_KINDS];	   /* a service was slow, another was asked as well */
	uint64_t hedges_won[GW_TALK_KINDS];
	uint64_t underruns;
	uint64_t records_dropped; /* of logs */
} gw_talk_counts;

extern const gw_talk_counts *gw_talk_counted(void);

#endif /* GATEWAY_TALK_H */
