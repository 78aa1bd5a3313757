/*
 * identity.h
 *	  For whom a request is: a bearer token, or the rule for clients that have none.
 *
 * The database decides what a token is worth, in each transaction anew.  Here is only remembered
 * what it said, so that what is known to be worthless costs it nothing, limits can be kept per
 * token, and nothing is read from a client that may not say it.
 */
#ifndef GATEWAY_IDENTITY_H
#define GATEWAY_IDENTITY_H

#include "database.h"
#include "http.h"
#include "program/text.h"

/* What an identity may do, a set; as the accesses of the database are called. */
#define GW_MAX_TENANT 63 /* bytes of its name */

typedef enum gw_access
{
	GW_ACCESS_INGEST = 1 << 0,
	GW_ACCESS_SUPERVISOR = 1 << 1,
	GW_ACCESS_OPERATOR = 1 << 2,
	GW_ACCESS_AUDITOR = 1 << 3,
	GW_ACCESS_ADMIN = 1 << 4,
	GW_ACCESS_MONITOR = 1 << 5,
	GW_ACCESS_AGENT = 1 << 6
} gw_access;

typedef enum gw_standing
{
	GW_UNASKED,	 /* the database has to be asked */
	GW_ASKED,	 /* it is being asked */
	GW_GOOD,	 /* it is good, as far as is known */
	GW_WORTHLESS /* the database does not know it, or not any more */
} gw_standing;

typedef struct gw_identity
{
	gw_standing standing;
	int access;		 /* of gw_access; set when it is good */
	char name[64];	 /* of the token, for the log; "" for nobody's */
	char tenant[64]; /* "" for all of them */
	char id[37];	 /* of the token, by which its revocation is told */
	bool used;		 /* since the database was told of uses */
	bool doubted;	 /* a revocation was told while the database was being asked */

	/* for units */
	char *token; /* NULL for a rule */
	char *rule_access;
	char *rule_tenant;

	int64_t expires;  /* of the monotonic clock; 0: never */
	int64_t known_at; /* when it was said to be worthless */
	int users;		  /* who holds a pointer */
	http_id *waiting; /* requests, for the database's answer */
	int n_waiting;
	int64_t last_used; /* the rest is the cache's */
	uint8_t digest[32];
	struct gw_identity *next;
} gw_identity;

typedef struct gw_identities gw_identities;

/* NULL without memory. */
extern gw_identities *gw_identities_new(size_t max);
extern void gw_identities_free(gw_identities *identities);

/*
 * A rule such as "ingest@default=127.0.0.0/8": who comes from these addresses without a token may do this.
 * False, with a sentence in error, when it is none.
 */
extern bool
gw_identities_add_rule(gw_identities *identities, const char *rule, char *error, size_t error_size);

/*
 * Whose request it is; NULL for nobody: without a token from an address without a rule, or with an
 * Authorization that is no bearer's.  Of rules the first one that gives one of the accesses counts; none does
 * without an address.
 * Hold it with gw_identity_hold() to keep it.
 */
extern gw_identity *gw_identities_find(gw_identities *identities, const http_request *request,
									   int access, const uint8_t *address);

/* The same for a token that came by another way than that header. */
extern gw_identity *
gw_identities_find_token(gw_identities *identities, const char *token, size_t n);
extern gw_identity *gw_identity_hold(gw_identity *identity);
extern void gw_identity_release(gw_identity *identity);

/* The database is being asked what it is worth. */
extern void gw_identity_is_asked(gw_identity *identity);

/*
 * What it said.  False when it was told of a revocation since it was asked: which of the two came first is not
 * known, and it is asked again.
 */
extern bool gw_identity_is_good(gw_identity *identity, const PGresult *row);
extern void gw_identity_is_worthless(gw_identity *identity);

/* Something that was done for it has been committed, which says nothing of what it is worth by now. */
extern void gw_identity_is_used(gw_identity *identity);

/* A token was revoked (NULL: any may have been): it has to be asked for again. */
extern void gw_identities_forget(gw_identities *identities, const char *id);

/*
 * The ids of tokens that were used since the last time, at most "max" of them, as an array of PostgreSQL in its
 * text form; returns their number.
 */
extern int gw_identities_take_used(gw_identities *identities, int max, program_text *ids);

#endif /* GATEWAY_IDENTITY_H */
