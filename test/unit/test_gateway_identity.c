/*
 * test_gateway_identity.c
 *	  What a gateway remembers of tokens: a revocation that is told while the database is being asked is not
 *	  forgotten over the answer, whichever of the two came first, nor over what was committed before it.
 *
 * Link with: -I../http -I/usr/include/postgresql
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
gw_text_puts(gw_text *text, const char *string)
{
	(void) text;
	(void) string;
}

void
gw_text_printf(gw_text *text, const char *format, ...)
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

int
main(void)
{
	check_run("a revocation is not forgotten over an answer",
			  a_revocation_is_not_forgotten_over_an_answer);
	return check_done();
}
