/*
 * speech.h
 *	  Sentences that are spoken by a program of the machine: it is given the text on its standard input and writes a WAV file to its
 *	  standard output, as "espeak-ng --stdin --stdout" does.
 *
 * A thread of its own runs it, for a program may take long, hang or fail; a line goes on meanwhile, and asks whether there is something
 * to be said yet.
 */
#ifndef EDGE_SPEECH_H
#define EDGE_SPEECH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"

#define EDGE_SPEECH_TEXT 512
#define EDGE_SPEECH_PROBLEM 256
#define EDGE_SPEECH_DEFAULT "espeak-ng --stdin --stdout"

typedef struct edge_speech edge_speech;

/*
 * What the command makes of a text, as samples of that rate, which are the caller's to free. "over" says when to give up, and may be
 * NULL. False: the sentence in problem says why not.
 */
extern bool
edge_speech_make(const char *command, const char *text, int rate, bool (*over)(void *arg),
				 void *arg, int16_t **samples, size_t *n, char problem[static EDGE_SPEECH_PROBLEM]);

/* Begins the thread; the command is words with blanks between. NULL: out of memory. */
extern edge_speech *edge_speech_start(const char *command);
extern void edge_speech_stop(edge_speech *speech);

/* Has a text spoken in a call, in place of what was asked for and has not been taken. */
extern void edge_speech_ask(edge_speech *speech, const char *call_id, const char *text, int rate);
extern void edge_speech_drop(edge_speech *speech);

/* What has been made for this call, which is the caller's to free; false: there is none now. */
extern bool
edge_speech_take(edge_speech *speech, const char *call_id, int16_t **samples, size_t *n);

#endif /* EDGE_SPEECH_H */
