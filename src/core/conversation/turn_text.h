/*
 * turn_text.h
 *	  What a transcript means for a turn: how it ends, and whether it is more than a backchannel.
 */
#ifndef MB_TURN_TEXT_H
#define MB_TURN_TEXT_H

#include "core/conversation/turn_settings.h"

/* What the agent has asked for, in so far as it says how long to wait. */
typedef struct mb_turn_expectation
{
	bool closed; /* yes or no, one of a few */
	int digits;	 /* so many; 0: none */
} mb_turn_expectation;

/* How n bytes of UTF-8 end; looked at is the last MB_TURN_TAIL of them. */
#define MB_TURN_TAIL 512

extern mb_text_class mb_text_class_of(const mb_turn_settings *settings, const char *text, size_t n,
									  mb_turn_expectation expectation);

/* What a text says to an agent that is speaking; the first that holds. */
typedef enum mb_text_weight
{
	MB_WEIGHT_EMERGENCY, /* one of the emergency words is in it */
	MB_WEIGHT_ALWAYS,	 /* one that always interrupts */
	MB_WEIGHT_EMPTY,
	MB_WEIGHT_NEVER,	   /* nothing but what never does */
	MB_WEIGHT_BACKCHANNEL, /* nothing but a few backchannels */
	MB_WEIGHT_WORDS		   /* anything else */
} mb_text_weight;

/* *words is how many it has. */
extern mb_text_weight
mb_text_weight_of(const mb_turn_settings *settings, const char *text, size_t n, int *words);

/* True when the words of a text, of which there are two at least, are said in another in that order. */
extern bool mb_text_repeats(const char *text, size_t n, const char *spoken, size_t spoken_n);

/* A number that is the same for texts with the same words, whatever is between them. */
extern uint32_t mb_text_words_hash(const char *text, size_t n);

/*
 * A list of settings from n bytes with a phrase on each line, as people write them: folded, between line
 * feeds, with a NUL.  out has room for MB_TURN_LIST_ROOM(n).
 */
#define MB_TURN_LIST_ROOM(n) (3 * (n) + 8)
extern void mb_turn_fold_list(const char *lines, size_t n, char *out);

/* As many of n bytes as have room, whole characters. */
extern uint32_t mb_text_fitting(const char *text, uint32_t n, uint32_t room);

/* True when a text, without spaces and quotes behind it, ends with a question mark. */
extern bool mb_text_asks(const char *text, size_t n);

#endif /* MB_TURN_TEXT_H */
