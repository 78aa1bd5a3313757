/*
 * buffer.c
 *	  A growable run of bytes; see buffer.h.
 */
#include "buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024

bool
speech_buffer_reserve(speech_buffer *buffer, size_t n)
{
	size_t capacity = buffer->capacity > 0 ? buffer->capacity : FIRST_CAPACITY;
	unsigned char *data;

	if (n > SIZE_MAX / 2 - buffer->size)
		return false;
	if (buffer->capacity - buffer->size >= n && buffer->data != NULL)
		return true;
	while (capacity - buffer->size < n)
		capacity *= 2;
	data = realloc(buffer->data, capacity);
	if (data == NULL)
		return false;
	buffer->data = data;
	buffer->capacity = capacity;
	return true;
}

bool
speech_buffer_append(speech_buffer *buffer, const void *data, size_t n)
{
	if (n == 0)
		return true;
	if (!speech_buffer_reserve(buffer, n))
		return false;
	memcpy(buffer->data + buffer->size, data, n);
	buffer->size += n;
	return true;
}

bool
speech_buffer_printf(speech_buffer *buffer, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0 || !speech_buffer_reserve(buffer, (size_t) n + 1))
		return false;
	va_start(args, format);
	vsnprintf((char *) buffer->data + buffer->size, (size_t) n + 1, format, args);
	va_end(args);
	buffer->size += (size_t) n;
	return true;
}

void
speech_buffer_free(speech_buffer *buffer)
{
	free(buffer->data);
	*buffer = (speech_buffer){ 0 };
}
