/*
 * judge.h
 *	  A thread that has the database judge the frames that are heard, over a session that is up and prepared before the first one
 *	  comes: a caller waits for the answer. The database alone decides; when it is away, the caller is asked to play it again.
 */
#ifndef EDGE_JUDGE_H
#define EDGE_JUDGE_H

#include <stdbool.h>

#include "call.h"
#include "speech.h"

#define EDGE_JUDGE_TEXT 512

typedef struct edge_judge edge_judge;

/* What becomes of a frame. */
typedef struct edge_verdict
{
	char call_id[EDGE_CALL_ID + 1];
	char verdict[32]; /* "accepted", "forgery" …; "not judged" when the database was not there */
	char tones[64];	  /* to be played: digits and pauses */
	char said[EDGE_JUDGE_TEXT];	   /* in words, for who reads the log */
	char speech[EDGE_SPEECH_TEXT]; /* the sentence for who calls; empty: there is none */
	bool hang_up;
} edge_verdict;

/* Begins the thread, over a session that may be up, and is the judge's from now on. NULL: out of memory. */
extern edge_judge *edge_judge_start(edge_server *server, const char *tenant);
extern void edge_judge_stop(edge_judge *judge);

/* Tells of a call, which is begun in the database with who calls; its texts are copied. "encoding" and rate are what its tracks have. */
extern void
edge_judge_begin(edge_judge *judge, const edge_call *call, const char *const *tracks, int n_tracks);

/* Has a frame judged; caller may be NULL. False: too many wait. */
extern bool
edge_judge_ask(edge_judge *judge, const char *call_id, const char *caller, const char *symbols);

/* The next verdict; false: there is none yet. */
extern bool edge_judge_take(edge_judge *judge, edge_verdict *verdict);

/* Why frames cannot be judged, in words; empty: they can. */
extern void edge_judge_problem(edge_judge *judge, char problem[static EDGE_JUDGE_TEXT]);

/* Whether the database was there when it was asked last. */
extern bool edge_judge_connected(edge_judge *judge);

#endif /* EDGE_JUDGE_H */
