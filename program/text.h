/*
 * text.h
 *	  Text that grows, and JSON written into it.
 *
 * What does not fit into memory is left out and noted in "failed": whoever uses the text asks once, at
 * the end.
 */
#ifndef PROGRAM_TEXT_H
#define PROGRAM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is empty. */
typedef struct program_text
{
	char *data;
	size_t length;
	size_t room;
	bool failed;
} program_text;

extern void program_text_free(program_text *text);
extern void program_text_add(program_text *text, const void *bytes, size_t n);
extern void program_text_puts(program_text *text, const char *string);
extern void program_text_printf(program_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A string of JSON with its quotes; bytes must be UTF-8. */
extern void program_text_json(program_text *text, const char *bytes, size_t n);

/* Integers of the network's order, as PostgreSQL's binary forms have them. */
extern void program_text_int32(program_text *text, int32_t value);
extern void program_text_int64(program_text *text, int64_t value);

#endif /* PROGRAM_TEXT_H */
