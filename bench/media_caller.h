/*
 * media_caller.h
 *	  A caller of Twilio's Media Streams: sends a frame each 20 ms, plays what comes in real time, speaks, listens and interrupts.
 *
 * What he hears is looked at frame by frame: a pause in the midst of an answer is a gap, since whoever speaks makes none.
 */
#ifndef BENCH_MEDIA_CALLER_H
#define BENCH_MEDIA_CALLER_H

#include "http/client.h"

#define CALLER_FRAME_TIME (20 * HTTP_MILLISECOND)
#define MAX_QUEUE 1024 /* frames that wait to be played */
#define MAX_MARKS 128

typedef enum doing
{
	NOTHING,
	WAITING,   /* until it speaks */
	SPEAKING,  /* a question */
	EXPECTING, /* an answer */
	LISTENING, /* to it */
	CUTTING	   /* into it, by speech */
} doing;

typedef enum way
{
	TO_ITS_END,
	BY_A_KEY,
	BY_SPEECH,
	WAYS
} way;

typedef struct mark
{
	char name[16];
	unsigned place; /* frames that lie before it */
} mark;

typedef struct caller
{
	int number;
	char call_id[35];
	char sid[35];
	http_line *line;
	bool open;
	bool leaving;
	int left; /* frames until he leaves; 0: he stays */
	unsigned sequence;
	unsigned chunk;

	/* what is played: whether each frame sounds */
	bool queue[MAX_QUEUE];
	unsigned queued; /* frames that came */
	unsigned played;
	mark marks[MAX_MARKS];
	int n_marks;

	doing doing;
	way way;
	int wait;		   /* frames */
	int spoken;		   /* of the voice */
	int since;		   /* frames since the end of the question, or of what is waited for */
	int quiet;		   /* frames without a sound, of an answer */
	int64_t since_key; /* 0: none was pressed */
} caller;

/* What callers say: a file of mu-law. False: there is nothing in it. */
extern bool caller_read_voice(const char *path);

/* His stream begins, with the token that he was given. */
extern void caller_begin(caller *c, const char *account, const char *token, size_t n);

/* From now on he converses, after so many frames and some more. */
extern void caller_talk(caller *c, int after);

/* A message of his stream. */
extern void caller_take(caller *c, bool text, const char *bytes, size_t n);

/* 20 ms: what was to be played, and what is said. */
extern void caller_turn(caller *c);

/* The text of a member that a key ends before; NULL: there is none. */
extern const char *caller_value(const char *text, size_t n, const char *key, size_t *length);

#endif /* BENCH_MEDIA_CALLER_H */
