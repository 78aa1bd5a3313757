/*
 * buffer.h
 *	  A growable run of bytes.  It knows nothing of what it holds.
 */
#ifndef SPEECH_BUFFER_H
#define SPEECH_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* All zero is an empty buffer. */
typedef struct speech_buffer
{
	unsigned char *data;
	size_t size;
	size_t capacity;
} speech_buffer;

/* Makes room for n more bytes; false when there is no memory, then nothing changed. */
extern bool speech_buffer_reserve(speech_buffer *buffer, size_t n);

/* Appends n bytes; false as above. */
extern bool speech_buffer_append(speech_buffer *buffer, const void *data, size_t n);

/* Appends formatted text, without its NUL; false as above. */
extern bool speech_buffer_printf(speech_buffer *buffer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Frees the bytes and leaves an empty buffer. */
extern void speech_buffer_free(speech_buffer *buffer);

#endif /* SPEECH_BUFFER_H */
