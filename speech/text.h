/*
 * text.h
 *	  Text on its way to a synthesizer: what can be spoken, what a purely English engine
 *	  can read, and where a long text may be cut.
 */
#ifndef SPEECH_TEXT_H
#define SPEECH_TEXT_H

#include <stdint.h>

#include "buffer.h"

/* Whether the bytes are UTF-8; false as well when memory is out. */
extern bool speech_text_is_utf8(const char *bytes);

/* Characters (code points) of a UTF-8 text. */
extern size_t speech_text_length(const char *text);

/* Whether there is a letter or digit of any script. */
extern bool speech_text_is_speakable(const char *text);

typedef enum speech_text_status
{
	SPEECH_TEXT_OK,
	SPEECH_TEXT_CHARACTER, /* a letter without a counterpart in ASCII */
	SPEECH_TEXT_NO_MEMORY
} speech_text_status;

/*
 * Rewrites a UTF-8 text in ASCII into an empty buffer, with a NUL that size does not
 * count: letters lose their accents, typographic marks become plain ones, symbols nobody
 * reads aloud (emoji) become spaces.  For CHARACTER *code_point is the one.
 */
extern speech_text_status
speech_text_to_ascii(const char *text, speech_buffer *ascii, uint32_t *code_point);

/*
 * Length in bytes of the first piece of an ASCII text: some sentences, about 300
 * bytes, at most 1,000.
 */
extern size_t speech_text_piece(const char *text);

#endif /* SPEECH_TEXT_H */
