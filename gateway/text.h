/*
 * text.h
 *	  Text that grows, and JSON written into it.
 *
 * What does not fit into memory is left out and noted in "failed": whoever uses the text asks once, at
 * the end.
 */
#ifndef GATEWAY_TEXT_H
#define GATEWAY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is empty. */
typedef struct gw_text
{
	char *data;
	size_t length;
	size_t room;
	bool failed;
} gw_text;

extern void gw_text_free(gw_text *text);
extern void gw_text_add(gw_text *text, const void *bytes, size_t n);
extern void gw_text_puts(gw_text *text, const char *string);
extern void
gw_text_printf(gw_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A string of JSON with its quotes; bytes must be UTF-8. */
extern void gw_text_json(gw_text *text, const char *bytes, size_t n);

/* Integers of the network's order, as PostgreSQL's binary forms have them. */
extern void gw_text_int32(gw_text *text, int32_t value);
extern void gw_text_int64(gw_text *text, int64_t value);

#endif /* GATEWAY_TEXT_H */
