/*
 * test_gateway_identity.c
 *	  What a gateway remembers of tokens: a revocation that is told while the database is being asked is not
 *	  forgotten over the answer, whichever of the two came first, nor over what was committed before it.
 *
 * Link with: -I../http -I.. -I/usr/include/postgresql
 */
#define _GNU_SOURCE
#include "check.h"
#include "../../gateway/identity.c"

static int64_t now = HTTP_SECOND;
static const char *row[] = { "00000000-0000-0000-0000-000000000001", "desk", "{supervisor}",
							 "north", NULL };

int64_t
http_clock(void)
{
	return now;
}

char *
PQgetvalue(const PGresult *result, int tuple, int field)
{
	(void) result;
	(void) tuple;
	return (char *) (row[field] == NULL ? "" : row[field]);
}

int
PQgetisnull(const PGresult *result, int tuple, int field)
{
	(void) result;
	(void) tuple;
	return row[field] == NULL;
}

http_text
http_request_header(const http_request *request, const char *name)
{
	(void) request;
	(void) name;
	return (http_text){ NULL, 0 };
}

int
http_request_header_count(const http_request *request, const char *name)
{
	(void) request;
	(void) name;
	return 0;
}

void
program_text_puts(program_text *text, const char *string)
{
	(void) text;
	(void) string;
}

void
program_text_printf(program_text *text, const char *format, ...)
{
	(void) text;
	(void) format;
}

static gw_identity *
find(gw_identities *identities)
{
	return gw_identities_find_token(identities, "mulberry_x", 10);
}

static void
a_revocation_is_not_forgotten_over_an_answer(void)
{
	gw_identities *identities = gw_identities_new(10);
	gw_identity *identity = find(identities);

	check(identity->standing == GW_UNASKED);
	gw_identity_is_asked(identity);
	check(gw_identity_is_good(identity, NULL));
	check(identity->standing == GW_GOOD && identity->access == GW_ACCESS_SUPERVISOR);

	/* another's */
	gw_identities_forget(identities, "00000000-0000-0000-0000-000000000002");
	check(find(identities)->standing == GW_GOOD);

	/* what was committed before the revocation was told says nothing */
	gw_identities_forget(identities, row[0]);
	check(identity->standing == GW_UNASKED);
	gw_identity_is_used(identity);
	check(find(identities)->standing == GW_UNASKED);

	/* told while the database is asked: once by the id, once as "any may have been" */
	for (int i = 0; i < 2; i++)
	{
		gw_identity_is_asked(identity);
		gw_identities_forget(identities, i == 0 ? row[0] : NULL);
		check(!gw_identity_is_good(identity, NULL));
		check(identity->standing != GW_GOOD);
		gw_identity_is_asked(identity);
		check(gw_identity_is_good(identity, NULL));
		gw_identities_forget(identities, NULL);
	}

	/* a token that is asked about for the first time has no id yet */
	identity = gw_identities_find_token(identities, "mulberry_y", 10);
	gw_identity_is_asked(identity);
	gw_identities_forget(identities, row[0]);
	check(!gw_identity_is_good(identity, NULL));

	gw_identities_free(identities);
}

/* As the database has it of tokens, see access_names.c. */
static void
a_rule_gives_what_its_access_includes(void)
{
	static const uint8_t address[16] = { [10] = 0xFF, 0xFF, 10, 1, 2, 3 };
	static const uint8_t elsewhere[16] = { [10] = 0xFF, 0xFF, 11, 1, 2, 3 };
	static const struct
	{
		const char *rule;
		int may;
	} cases[] = {
		{ "ingest@default=10.0.0.0/8", GW_ACCESS_INGEST },
		{ "supervisor@default=10.0.0.0/8", GW_ACCESS_SUPERVISOR },
		{ "operator@default=10.0.0.0/8", GW_ACCESS_OPERATOR | GW_ACCESS_SUPERVISOR },
		{ "auditor@default=10.0.0.0/8", GW_ACCESS_AUDITOR },
		{ "admin@default=10.0.0.0/8", GW_ACCESS_ADMIN | GW_ACCESS_INGEST | GW_ACCESS_SUPERVISOR |
										  GW_ACCESS_OPERATOR | GW_ACCESS_AUDITOR |
										  GW_ACCESS_MONITOR | GW_ACCESS_AGENT },
		{ "sysadmin@default=10.0.0.0/8", 0 },
		{ "adminoperator@default=10.0.0.0/8", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		gw_identities *identities = gw_identities_new(10);
		char error[200];

		check_int(gw_identities_add_rule(identities, cases[i].rule, error, sizeof(error)),
				  cases[i].may != 0);
		for (int bit = 1; bit <= GW_ACCESS_AGENT; bit <<= 1)
			check_report((gw_identities_find(identities, NULL, bit, address) != NULL) ==
							 ((cases[i].may & bit) != 0),
						 __FILE__, __LINE__, "%s, bit %d", cases[i].rule, bit);
		check(gw_identities_find(identities, NULL, cases[i].may, elsewhere) == NULL);
		gw_identities_free(identities);
	}
}

int
main(void)
{
	check_run("a rule gives what its access includes", a_rule_gives_what_its_access_includes);
	check_run("a revocation is not forgotten over an answer",
			  a_revocation_is_not_forgotten_over_an_answer);
	return check_done();
}
