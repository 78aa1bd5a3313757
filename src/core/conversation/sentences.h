/*
 * sentences.h
 *	  Cuts a text that is still being written into pieces that can be spoken: the first one soon, the others
 *	  at ends of sentences.  What cannot be spoken (marks of layout, brackets, pictures) is left out.
 *
 * The first piece has three words and ends with a clause, or has eight words; every other one has 60 bytes and ends with
 * a sentence, or has 200 and ends with a word.  Nothing is cut behind an abbreviation, in a number, a telephone number, or an
 * address of the web.
 */
#ifndef MB_SENTENCES_H
#define MB_SENTENCES_H

#include "core/mb.h"

#define MB_SENTENCE_ROOM 400 /* bytes of a piece, at most */

typedef void (*mb_sentence_callback)(void *arg, const char *text, size_t n);

typedef struct mb_sentences
{
	char text[MB_SENTENCE_ROOM + 8];
	size_t length;
	char partial[4]; /* a character of UTF-8 that has not come as a whole */
	uint8_t n_partial;
	uint8_t wanted; /* bytes of it */
	bool begun;		/* there was a piece */
	bool link;		/* within the address of a link that is left out */
} mb_sentences;

extern void mb_sentences_init(mb_sentences *sentences);
extern void mb_sentences_feed(mb_sentences *sentences, const char *text, size_t n,
							  mb_sentence_callback piece, void *arg);

/* There is no more text: what is left is a piece. */
extern void mb_sentences_end(mb_sentences *sentences, mb_sentence_callback piece, void *arg);

#endif /* MB_SENTENCES_H */
