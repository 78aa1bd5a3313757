/*
 * statement_log.h
 *	  Keeps what is entered through certain views out of the server's log.
 */
#ifndef MULBERRY_STATEMENT_LOG_H
#define MULBERRY_STATEMENT_LOG_H

#include "postgres.h"

/* A view whose lines and values nobody may read again. */
typedef struct mulberry_entry_view
{
	const char *name;
	const char *columns; /* for hints */
} mulberry_entry_view;

/* The view of that name; NULL when it is none of them. */
extern const mulberry_entry_view *mulberry_find_entry_view(const char *name);

/* Called from mulberry_secrets_init(): installs the hooks. */
extern void mulberry_statement_log_init(void);

#endif /* MULBERRY_STATEMENT_LOG_H */
