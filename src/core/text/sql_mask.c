/*
 * sql_mask.c
 *	  Takes the constants out of SQL statements that write into certain relations or
 *	  call certain functions.
 */
#include "core/text/sql_mask.h"

#include <string.h>
#include <strings.h>

#define MASK "'***'"
#define NESTING 4 /* dollar-quoted strings in dollar-quoted strings */

typedef enum token_kind
{
	TOKEN_END,
	TOKEN_WORD,		/* a keyword or a name, quoted or not */
	TOKEN_CONSTANT, /* a string, a bit string or a number */
	TOKEN_DOLLAR,	/* a dollar-quoted string */
	TOKEN_SYMBOL	/* one character */
} token_kind;

typedef struct token
{
	token_kind kind;
	size_t start;
	size_t end;		   /* behind it */
	size_t body_start; /* of a dollar-quoted string; of a name without its quotes */
	size_t body_end;
	bool quoted; /* a name */
} token;

typedef struct reader
{
	const mb_sql_mask *mask;
	const char *text;
	size_t length;
	int depth;
} reader;

static bool mask_body(const reader *in, char *out, size_t *written);

size_t
mb_sql_mask_size(size_t length)
{
	return length * sizeof(MASK) + 1;
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
		   (unsigned char) c >= 0x80;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Behind a string that began before "at" with a quote; to the end when it never closes. */
static size_t
string_end(const reader *in, size_t at, bool backslashes)
{
	while (at < in->length)
	{
		if (in->text[at] == '\\' && backslashes)
			at += 2;
		else if (in->text[at] != '\'')
			at++;
		else if (at + 1 < in->length && in->text[at + 1] == '\'')
			at += 2;
		else
			return at + 1;
	}
	return in->length;
}

/* Behind a comment that begins at "at", which nests; "at" itself where there is none. */
static size_t
comment_end(const reader *in, size_t at)
{
	const char *text = in->text;
	int depth = 0;

	if (at + 1 >= in->length)
		return at;
	if (text[at] == '-' && text[at + 1] == '-')
	{
		while (at < in->length && text[at] != '\n' && text[at] != '\r')
			at++;
		return at;
	}
	if (text[at] != '/' || text[at + 1] != '*')
		return at;
	do
	{
		if (at + 1 < in->length && text[at] == '/' && text[at + 1] == '*')
		{
			depth++;
			at += 2;
		}
		else if (at + 1 < in->length && text[at] == '*' && text[at + 1] == '/')
		{
			depth--;
			at += 2;
		}
		else
			at++;
	} while (depth > 0 && at < in->length);
	return at < in->length ? at : in->length;
}

/* The dollar-quoted string that begins at t->start, if one does. */
static bool
dollar_string(const reader *in, token *t)
{
	size_t at = t->start + 1;
	size_t tag;

	if (at < in->length && is_digit(in->text[at]))
		return false;
	while (at < in->length && (is_letter(in->text[at]) || is_digit(in->text[at])))
		at++;
	if (at >= in->length || in->text[at] != '$')
		return false;
	tag = at + 1 - t->start;
	t->kind = TOKEN_DOLLAR;
	t->body_start = at + 1;
	for (at = t->body_start; at + tag <= in->length; at++)
	{
		if (memcmp(in->text + at, in->text + t->start, tag) == 0)
		{
			t->body_end = at;
			t->end = at + tag;
			return true;
		}
	}
	t->body_end = t->end = in->length;
	return true;
}

static void
number(const reader *in, token *t)
{
	size_t at = t->start;

	while (at < in->length &&
		   (is_digit(in->text[at]) || is_letter(in->text[at]) || in->text[at] == '.'))
		at++;
	t->kind = TOKEN_CONSTANT;
	t->end = at;
}

static void
quoted_name(const reader *in, token *t)
{
	size_t at = t->start + 1;

	while (at < in->length &&
		   (in->text[at] != '"' || (at + 1 < in->length && in->text[at + 1] == '"')))
		at += in->text[at] == '"' ? 2 : 1;
	if (at > in->length)
		at = in->length;
	t->kind = TOKEN_WORD;
	t->quoted = true;
	t->body_start = t->start + 1;
	t->body_end = at;
	t->end = at < in->length ? at + 1 : at;
}

/* A word, or a string with a prefix: E'', B'', X'', N'', U&''. */
static void
word(const reader *in, token *t)
{
	size_t at = t->start;
	char first = in->text[at] | 0x20;

	if (first != '\0' && strchr("ebxn", first) != NULL && at + 1 < in->length &&
		in->text[at + 1] == '\'')
	{
		t->kind = TOKEN_CONSTANT;
		t->end = string_end(in, at + 2, first == 'e' || in->mask->backslash_escapes);
		return;
	}
	if (first == 'u' && at + 2 < in->length && in->text[at + 1] == '&' && in->text[at + 2] == '\'')
	{
		t->kind = TOKEN_CONSTANT;
		t->end = string_end(in, at + 3, in->mask->backslash_escapes);
		return;
	}
	while (at < in->length &&
		   (is_letter(in->text[at]) || is_digit(in->text[at]) || in->text[at] == '$'))
		at++;
	t->kind = TOKEN_WORD;
	t->body_start = t->start;
	t->body_end = t->end = at;
}

/* The token at or behind "at". */
static token
next_token(const reader *in, size_t at)
{
	token t = { TOKEN_END, 0, 0, 0, 0, false };
	size_t behind;
	char c;

	for (;;)
	{
		while (at < in->length && strchr(" \t\n\r\f\v", in->text[at]) != NULL)
			at++;
		behind = comment_end(in, at);
		if (behind == at)
			break;
		at = behind;
	}
	t.start = t.end = at;
	if (at >= in->length)
		return t;
	c = in->text[at];
	if (c == '\'')
	{
		t.kind = TOKEN_CONSTANT;
		t.end = string_end(in, at + 1, in->mask->backslash_escapes);
	}
	else if (c == '"')
		quoted_name(in, &t);
	else if (is_letter(c))
		word(in, &t);
	else if (is_digit(c) || (c == '.' && at + 1 < in->length && is_digit(in->text[at + 1])))
		number(in, &t);
	else if (c != '$' || !dollar_string(in, &t))
	{
		t.kind = TOKEN_SYMBOL;
		t.end = at + 1;
		/* $1 */
		while (c == '$' && t.end < in->length && is_digit(in->text[t.end]))
			t.end++;
	}
	return t;
}

static bool
is_word(const reader *in, const token *t, const char *word)
{
	size_t length = t->body_end - t->body_start;

	if (t->kind != TOKEN_WORD || strlen(word) != length)
		return false;
	return t->quoted ? memcmp(in->text + t->body_start, word, length) == 0
					 : strncasecmp(in->text + t->body_start, word, length) == 0;
}

static bool
is_keyword(const reader *in, const token *t, const char *word)
{
	return !t->quoted && is_word(in, t, word);
}

/* Whether one of the relations is named at the token. */
static bool
names_relation(const reader *in, token t)
{
	if (is_word(in, &t, in->mask->schema))
	{
		token dot = next_token(in, t.end);

		if (dot.kind == TOKEN_SYMBOL && in->text[dot.start] == '.')
			t = next_token(in, dot.end);
	}
	for (const char *const *name = in->mask->relations; *name != NULL; name++)
	{
		if (is_word(in, &t, *name))
		{
			token behind = next_token(in, t.end);

			/* secret_entry.x is something in a schema of that name */
			return behind.kind != TOKEN_SYMBOL || in->text[behind.start] != '.';
		}
	}
	return false;
}

/* Whether the token begins a clause that writes into one of the relations. */
static bool
writes(const reader *in, const token *verb)
{
	token next = next_token(in, verb->end);

	if (is_keyword(in, verb, "insert") || is_keyword(in, verb, "merge"))
		return is_keyword(in, &next, "into") && names_relation(in, next_token(in, next.end));
	if (is_keyword(in, verb, "delete"))
	{
		if (!is_keyword(in, &next, "from"))
			return false;
		next = next_token(in, next.end);
	}
	else if (!is_keyword(in, verb, "update") && !is_keyword(in, verb, "copy"))
		return false;
	if (is_keyword(in, &next, "only"))
		next = next_token(in, next.end);
	return names_relation(in, next);
}

/* Whether the token begins a call of one of the functions; what lies behind a dot is of another schema. */
static bool
calls(const reader *in, token t, bool behind_dot)
{
	if (behind_dot || in->mask->functions == NULL)
		return false;
	if (is_word(in, &t, in->mask->schema))
	{
		token dot = next_token(in, t.end);

		if (dot.kind == TOKEN_SYMBOL && in->text[dot.start] == '.')
			t = next_token(in, dot.end);
	}
	for (const char *const *name = in->mask->functions; *name != NULL; name++)
	{
		if (is_word(in, &t, *name))
		{
			token behind = next_token(in, t.end);

			return behind.kind == TOKEN_SYMBOL && in->text[behind.start] == '(';
		}
	}
	return false;
}

static bool
is_dot(const reader *in, const token *t)
{
	return t->kind == TOKEN_SYMBOL && in->text[t->start] == '.';
}

/* Whether the token begins EXECUTE of a prepared statement that does. */
static bool
executes(const reader *in, const token *verb)
{
	token name = next_token(in, verb->end);
	const char *text;
	reader prepared = *in;
	bool behind_dot = false;

	if (in->mask->prepared == NULL || !is_keyword(in, verb, "execute") || name.kind != TOKEN_WORD)
		return false;
	text = in->mask->prepared(in->text + name.body_start, name.body_end - name.body_start);
	if (text == NULL)
		return false;
	prepared.text = text;
	prepared.length = strlen(text);
	for (token t = next_token(&prepared, 0); t.kind != TOKEN_END; t = next_token(&prepared, t.end))
	{
		if (writes(&prepared, &t) || calls(&prepared, t, behind_dot))
			return true;
		behind_dot = is_dot(&prepared, &t);
	}
	return false;
}

static void
put(char *out, size_t *written, const char *text, size_t length)
{
	memcpy(out + *written, text, length);
	*written += length;
}

/* Writes what lies from "from" to the token's end, with the token masked or looked into. */
static bool
put_token(const reader *in, const token *t, size_t from, bool masked, char *out, size_t *written)
{
	if (masked && (t->kind == TOKEN_CONSTANT || t->kind == TOKEN_DOLLAR))
	{
		put(out, written, in->text + from, t->start - from);
		/* two quotes in a row would be one in a string */
		if (*written > 0 && out[*written - 1] == '\'')
			put(out, written, " ", 1);
		put(out, written, MASK, sizeof(MASK) - 1);
		return true;
	}
	if (t->kind == TOKEN_DOLLAR && in->depth < NESTING)
	{
		reader body = *in;
		bool found;

		put(out, written, in->text + from, t->body_start - from);
		body.text = in->text + t->body_start;
		body.length = t->body_end - t->body_start;
		body.depth++;
		found = mask_body(&body, out, written);
		put(out, written, in->text + t->body_end, t->end - t->body_end);
		return found;
	}
	put(out, written, in->text + from, t->end - from);
	return false;
}

static bool
begins(const reader *in, const token *t)
{
	static const char *const words[] = { "with",   "explain", "prepare", "insert", "update",
										 "delete", "merge",	  "copy",	 "execute" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
	{
		if (is_keyword(in, t, words[i]))
			return true;
	}
	return false;
}

/* Where a statement that calls a function may begin as well. */
static bool
begins_query(const reader *in, const token *t)
{
	static const char *const words[] = { "select", "values", "table",	"call",
										 "do",	   "set",	 "perform", "declare" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
	{
		if (is_keyword(in, t, words[i]))
			return true;
	}
	return false;
}

/*
 * Goes over the statements one by one: the first look says whether the statement
 * is to be masked and from where, the second writes it.
 */
static bool
mask_body(const reader *in, char *out, size_t *written)
{
	size_t done = 0;
	bool found = false;

	while (done < in->length)
	{
		size_t end = in->length;
		size_t mask_from = in->length;
		bool ours = false;
		size_t call_from = in->length;
		bool called = false;
		bool behind_dot = false;

		for (token t = next_token(in, done); t.kind != TOKEN_END; t = next_token(in, t.end))
		{
			if (t.kind == TOKEN_SYMBOL && in->text[t.start] == ';')
			{
				end = t.end;
				break;
			}
			if (mask_from == in->length && begins(in, &t))
				mask_from = t.start;
			ours = ours || writes(in, &t) || executes(in, &t);
			if (call_from == in->length && (begins(in, &t) || begins_query(in, &t)))
				call_from = t.start;
			if (!called && calls(in, t, behind_dot))
			{
				called = true;
				/* an expression by itself */
				if (call_from == in->length)
					call_from = done;
			}
			behind_dot = is_dot(in, &t);
		}
		if (called)
		{
			ours = true;
			mask_from = call_from;
		}
		found = found || ours;
		for (token t = next_token(in, done); t.kind != TOKEN_END && t.end <= end;
			 t = next_token(in, done))
		{
			found = put_token(in, &t, done, ours && t.start >= mask_from, out, written) || found;
			done = t.end;
			if (done == end)
				break;
		}
		/* white space and comments at the end */
		put(out, written, in->text + done, end - done);
		done = end;
	}
	return found;
}

bool
mb_sql_mask_text(const mb_sql_mask *mask, const char *text, size_t length, char *out)
{
	reader in = { mask, text, length, 0 };
	size_t written = 0;
	bool found = mask_body(&in, out, &written);

	out[written] = '\0';
	return found;
}
