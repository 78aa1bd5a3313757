/*
 * test_sql_mask.c
 *	  Constants of statements that write into a relation whose values are not logged.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/text/sql_mask.h"

static const char *const relations[] = { "secret_entry", "voice_key_entry", NULL };
static const char *const functions[] = { "authenticate", NULL };

static const char *
prepared(const char *name, size_t length)
{
	if (length == 1 && name[0] == 'p')
		return "PREPARE p AS INSERT INTO mulberry.secret_entry VALUES ('x', $1)";
	if (length == 1 && name[0] == 'q')
		return "PREPARE q AS SELECT 'secret_entry', $1";
	if (length == 1 && name[0] == 'a')
		return "PREPARE a AS SELECT * FROM mulberry.authenticate($1)";
	return NULL;
}

/* The masked text, or NULL; in memory of exactly the size that is asked for. */
static char *
masked(const char *text, bool backslash_escapes)
{
	mb_sql_mask mask = { "mulberry", relations, functions, backslash_escapes, prepared };
	char *out = malloc(mb_sql_mask_size(strlen(text)));

	if (mb_sql_mask_text(&mask, text, strlen(text), out))
		return out;
	free(out);
	return NULL;
}

static void
becomes(const char *text, const char *expected)
{
	char *out = masked(text, false);

	if (expected == NULL)
		check_report(out == NULL, __FILE__, __LINE__, "\"%s\" became \"%s\"", text, out ? out : "");
	else
		check_report(out != NULL && strcmp(out, expected) == 0, __FILE__, __LINE__,
					 "\"%s\" became \"%s\"", text, out ? out : "(nothing)");
	free(out);
}

static void
constants_are_masked(void)
{
	becomes("INSERT INTO mulberry.secret_entry VALUES (NULL, 'x', 's3cret')",
			"INSERT INTO mulberry.secret_entry VALUES (NULL, '***', '***')");
	becomes(
		"insert /* a */ into -- b\n\"mulberry\" . \"secret_entry\"(value) select E'it''s \\' s' || "
		"17",
		"insert /* a */ into -- b\n\"mulberry\" . \"secret_entry\"(value) select '***' || '***'");
	becomes("WITH v AS (SELECT 's' AS x) INSERT INTO Secret_Entry SELECT x FROM v",
			"WITH v AS (SELECT '***' AS x) INSERT INTO Secret_Entry SELECT x FROM v");
	becomes("EXPLAIN ANALYZE UPDATE ONLY secret_entry SET value = $a$s$a$ WHERE name = U&'s' AND "
			"1.5e3 > $1",
			"EXPLAIN ANALYZE UPDATE ONLY secret_entry SET value = '***' WHERE name = '***' AND "
			"'***' > $1");
	becomes("COPY mulberry.voice_key_entry FROM PROGRAM 'echo s'",
			"COPY mulberry.voice_key_entry FROM PROGRAM '***'");
	becomes("COPY mulberry.secret_entry (name, value) FROM stdin",
			"COPY mulberry.secret_entry (name, value) FROM stdin");
	becomes("MERGE INTO secret_entry USING (VALUES ('s')) v ON false",
			"MERGE INTO secret_entry USING (VALUES ('***')) v ON false");
	becomes("INSERT INTO secret_entry VALUES ('it never ends",
			"INSERT INTO secret_entry VALUES ('***'");
	becomes("INSERT INTO secret_entry VALUES ($x$ neither",
			"INSERT INTO secret_entry VALUES ('***'");
}

static void
other_statements_stay(void)
{
	becomes("SELECT 'x' /* INSERT INTO secret_entry */", NULL);
	becomes("SELECT 'x' -- INSERT INTO secret_entry", NULL);
	becomes("SELECT 'INSERT INTO secret_entry'", NULL);
	becomes("SELECT 'x' AS \"INSERT INTO secret_entry\"", NULL);
	becomes("INSERT INTO other.secret_entry VALUES ('x')", NULL);
	becomes("INSERT INTO secret_entry.other VALUES ('x')", NULL);
	becomes("INSERT INTO \"Secret_Entry\" VALUES ('x')", NULL);
	becomes("SELECT * FROM mulberry.secret_entry WHERE name = 'x'", NULL);
	becomes("DROP TABLE t; -- secret_entry insert into", NULL);
	becomes(
		"SELECT 'hidden'; INSERT INTO secret_entry VALUES ('s'); DELETE FROM t WHERE a = 'seen'",
		"SELECT 'hidden'; INSERT INTO secret_entry VALUES ('***'); DELETE FROM t WHERE a = 'seen'");
	becomes("SELECT ';'; /* ; */ SELECT 2", NULL);
	becomes("", NULL);
}

static void
bodies_are_looked_into(void)
{
	becomes("DO $$BEGIN RAISE 'seen'; INSERT INTO mulberry.secret_entry VALUES ('s'); PERFORM "
			"'too'; END$$",
			"DO $$BEGIN RAISE 'seen'; INSERT INTO mulberry.secret_entry VALUES ('***'); PERFORM "
			"'too'; END$$");
	becomes("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $a$ SELECT $b$INSERT INTO "
			"secret_entry VALUES (1)$b$ $a$",
			"CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $a$ SELECT $b$INSERT INTO "
			"secret_entry VALUES ('***')$b$ $a$");
	becomes("DO $$ -- secret_entry\n SELECT 'x' $$", NULL);
}

static void
prepared_statements_are_known(void)
{
	becomes("EXECUTE p('s')", "EXECUTE p('***')");
	becomes("EXPLAIN EXECUTE p ('s', 2)", "EXPLAIN EXECUTE p ('***', '***')");
	becomes("EXECUTE q('x')", NULL);
	becomes("EXECUTE r('x')", NULL);
	becomes("PREPARE p AS INSERT INTO secret_entry VALUES ('s', $1)",
			"PREPARE p AS INSERT INTO secret_entry VALUES ('***', $1)");
}

static void
messages_of_the_log(void)
{
	becomes("duration: 12.5 ms  statement: INSERT INTO secret_entry VALUES ('s')",
			"duration: 12.5 ms  statement: INSERT INTO secret_entry VALUES ('***')");
	becomes("execute <unnamed>: INSERT INTO secret_entry VALUES ('s')",
			"execute <unnamed>: INSERT INTO secret_entry VALUES ('***')");
}

/* With standard_conforming_strings off, \' does not end a string. */
static void
backslashes_may_escape(void)
{
	char *off = masked("INSERT INTO secret_entry VALUES ('a\\'; SELECT s')", true);

	check_report(off != NULL && strcmp(off, "INSERT INTO secret_entry VALUES ('***')") == 0,
				 __FILE__, __LINE__, "became \"%s\"", off ? off : "(nothing)");
	free(off);
	becomes("INSERT INTO secret_entry VALUES ('a\\'); SELECT 's'",
			"INSERT INTO secret_entry VALUES ('***'); SELECT 's'");
}

static void
calls_are_masked(void)
{
	becomes("SELECT * FROM mulberry.authenticate('s')",
			"SELECT * FROM mulberry.authenticate('***')");
	becomes("select 'a', \"mulberry\".\"authenticate\" /* ( */ ($$s$$), 17",
			"select '***', \"mulberry\".\"authenticate\" /* ( */ ('***'), '***'");
	becomes(
		"execute <unnamed>: WITH v AS (SELECT 's') SELECT Authenticate(v) FROM v; SELECT 's'",
		"execute <unnamed>: WITH v AS (SELECT '***') SELECT Authenticate(v) FROM v; SELECT 's'");
	becomes("duration: 0.5 ms  statement: SELECT authenticate('s')",
			"duration: 0.5 ms  statement: SELECT authenticate('***')");
	becomes("x := authenticate('s')", "x := authenticate('***')");
	becomes("DO $$BEGIN PERFORM authenticate('s'); END$$",
			"DO $$BEGIN PERFORM authenticate('***'); END$$");
	becomes("SELECT 'authenticate('", NULL);
	becomes("SELECT authenticate, 's' FROM t", NULL);
	becomes("SELECT other.authenticate('s')", NULL);
	becomes("SELECT authenticates('s')", NULL);
	becomes("EXECUTE a('s')", "EXECUTE a('***')");
}

int
main(void)
{
	check_run("constants are masked", constants_are_masked);
	check_run("calls are masked", calls_are_masked);
	check_run("other statements stay as they are", other_statements_stay);
	check_run("dollar-quoted bodies are looked into", bodies_are_looked_into);
	check_run("EXECUTE is known by what was prepared", prepared_statements_are_known);
	check_run("messages of the log", messages_of_the_log);
	check_run("backslashes may escape", backslashes_may_escape);
	return check_done();
}
