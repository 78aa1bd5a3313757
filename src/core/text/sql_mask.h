/*
 * sql_mask.h
 *	  Takes the constants out of SQL statements that write into certain relations or
 *	  call certain functions, so that the text can be logged.
 *
 * The text is read as tokens, not parsed: it need not be correct SQL, and names
 * in comments or strings mean nothing.  A statement writes into a relation when
 * INSERT INTO, UPDATE, DELETE FROM, MERGE INTO or COPY is followed by its name,
 * with or without the schema.  Then every constant of that statement, from its WITH,
 * EXPLAIN, PREPARE or the verb itself to the next semicolon, becomes '***'; nothing else changes.
 * A statement calls a function when its name is followed by a parenthesis; then that holds for all of it.
 * The bodies of dollar-quoted strings are looked at in the same way.
 */
#ifndef MB_SQL_MASK_H
#define MB_SQL_MASK_H

#include <stdbool.h>
#include <stddef.h>

typedef struct mb_sql_mask
{
	const char *schema;			  /* of both, in lower case */
	const char *const *relations; /* their names, in lower case, NULL at the end */
	const char *const *functions; /* likewise; NULL for none */
	bool backslash_escapes;		  /* in plain strings: standard_conforming_strings = off */
	/*
	 * The text of the prepared statement of that name, NULL when there is none: EXECUTE of
	 * one that writes into such a relation is masked as well.  May be NULL.
	 */
	const char *(*prepared)(const char *name, size_t length);
} mb_sql_mask;

/* Bytes that "out" of mb_sql_mask_text() must have for a text of that length. */
extern size_t mb_sql_mask_size(size_t length);

/*
 * Writes the masked text with a NUL to "out" and returns true, or returns false when
 * no statement in it does such a thing; then "out" is undefined.
 */
extern bool mb_sql_mask_text(const mb_sql_mask *mask, const char *text, size_t length, char *out);

#endif /* MB_SQL_MASK_H */
