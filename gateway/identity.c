/*
 * identity.c
 *	  For whom a request is: a bearer token, or the rule for clients that have none.
 */
#include "identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/crypto/digest.h"
#include "core/web/network.h"

#define BUCKETS 1024
#define MAX_TOKEN 255
#define TOKEN_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="
#define WORTHLESS_FOR (30 * HTTP_SECOND)

/* What each includes, the database says of tokens; of rules it is said here, and is the same. */
static const struct
{
	const char *name;
	int bit;
	int includes; /* beside itself */
} accesses[] = {
	{ "ingest", GW_ACCESS_INGEST, 0 },
	{ "supervisor", GW_ACCESS_SUPERVISOR, 0 },
	{ "operator", GW_ACCESS_OPERATOR, GW_ACCESS_SUPERVISOR },
	{ "auditor", GW_ACCESS_AUDITOR, 0 },
	{ "admin", GW_ACCESS_ADMIN,
	  GW_ACCESS_INGEST | GW_ACCESS_SUPERVISOR | GW_ACCESS_OPERATOR | GW_ACCESS_AUDITOR |
		  GW_ACCESS_MONITOR | GW_ACCESS_AGENT },
	{ "monitor", GW_ACCESS_MONITOR, 0 },
	{ "agent", GW_ACCESS_AGENT, 0 },
};

typedef struct rule
{
	mb_network network;
	gw_identity identity;
	struct rule *next;
} rule;

struct gw_identities
{
	size_t max;
	size_t n;
	gw_identity *buckets[BUCKETS];
	rule *rules;
};

/* The bits of names of accesses, wherever they stand in the text: '{supervisor,operator}'. */
static int
read_accesses(const char *text)
{
	int mask = 0;

	for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++)
	{
		if (strstr(text, accesses[i].name) != NULL)
			mask |= accesses[i].bit;
	}
	return mask;
}

/* The bits of one access and of those that it includes; 0 for what is none. */
static int
access_with_included(const char *name)
{
	for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++)
	{
		if (strcmp(name, accesses[i].name) == 0)
			return accesses[i].bit | accesses[i].includes;
	}
	return 0;
}

gw_identities *
gw_identities_new(size_t max)
{
	gw_identities *identities = calloc(1, sizeof(*identities));

	if (identities != NULL)
		identities->max = max;
	return identities;
}

static void
free_identity(gw_identity *identity)
{
	if (identity->token != NULL)
		mb_forget(identity->token, strlen(identity->token));
	free(identity->token);
	free(identity->waiting);
	free(identity);
}

/* Out of the cache; whoever holds it may go on to do so. */
static void
drop(gw_identities *identities, gw_identity **place)
{
	gw_identity *identity = *place;

	*place = identity->next;
	identity->next = NULL;
	identities->n--;
	gw_identity_release(identity);
}

void
gw_identities_free(gw_identities *identities)
{
	rule *next;

	for (int i = 0; i < BUCKETS; i++)
	{
		while (identities->buckets[i] != NULL)
			drop(identities, &identities->buckets[i]);
	}
	for (rule *r = identities->rules; r != NULL; r = next)
	{
		next = r->next;
		free(r->identity.rule_access);
		free(r->identity.rule_tenant);
		free(r);
	}
	free(identities);
}

gw_identity *
gw_identity_hold(gw_identity *identity)
{
	identity->users++;
	return identity;
}

void
gw_identity_release(gw_identity *identity)
{
	/* a rule stays as long as the program */
	if (--identity->users == 0 && identity->token != NULL)
		free_identity(identity);
}

/* ---------------------------------------------------------------------------
 * Rules
 * ---------------------------------------------------------------------------
 */

bool
gw_identities_add_rule(gw_identities *identities, const char *text, char *error, size_t error_size)
{
	char access[32];
	char tenant[64];
	char network[64];
	int used = 0;
	rule *r;

	if (sscanf(text, "%31[a-z]@%63[a-z0-9_.-]=%63[0-9a-fA-F.:/]%n", access, tenant, network,
			   &used) != 3 ||
		text[used] != '\0' || access_with_included(access) == 0)
	{
		snprintf(
			error, error_size,
			"\"%s\" is not of the form access@tenant=network, such as ingest@default=127.0.0.0/8",
			text);
		return false;
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL)
	{
		snprintf(error, error_size, "out of memory");
		return false;
	}
	if (!mb_network_parse(network, &r->network))
	{
		snprintf(error, error_size, "\"%s\" has no network such as 127.0.0.0/8 or ::1", text);
		free(r);
		return false;
	}
	r->identity.standing = GW_GOOD;
	r->identity.access = access_with_included(access);
	snprintf(r->identity.tenant, sizeof(r->identity.tenant), "%s", tenant);
	r->identity.rule_access = strdup(access);
	r->identity.rule_tenant = strdup(tenant);
	r->identity.users = 1;
	/* in the order in which they were given */
	rule **last = &identities->rules;

	while (*last != NULL)
		last = &(*last)->next;
	*last = r;
	return r->identity.rule_access != NULL && r->identity.rule_tenant != NULL;
}

/* ---------------------------------------------------------------------------
 * Tokens
 * ---------------------------------------------------------------------------
 */

/* The oldest that nobody else holds makes room, of one bucket after another: near enough. */
static void
make_room(gw_identities *identities)
{
	gw_identity **oldest = NULL;

	for (int i = 0; i < BUCKETS; i++)
	{
		for (gw_identity **place = &identities->buckets[i]; *place != NULL; place = &(*place)->next)
		{
			if ((*place)->users == 1 &&
				(oldest == NULL || (*place)->last_used < (*oldest)->last_used))
				oldest = place;
		}
	}
	if (oldest != NULL)
		drop(identities, oldest);
}

gw_identity *
gw_identities_find_token(gw_identities *identities, const char *token, size_t n)
{
	uint8_t digest[MB_SHA256_SIZE];
	gw_identity **bucket;
	gw_identity *identity;
	int64_t now = http_clock();

	/* the database need not be asked about what is no token (RFC 6750, section 2.1) */
	for (size_t i = 0; i < n; i++)
	{
		if (token[i] == '\0' || strchr(TOKEN_CHARACTERS, token[i]) == NULL)
			return NULL;
	}
	if (n == 0 || n > MAX_TOKEN || mb_sha256(token, n, digest) != MB_OK)
		return NULL;
	bucket = &identities->buckets[(digest[0] << 8 | digest[1]) % BUCKETS];
	for (identity = *bucket; identity != NULL; identity = identity->next)
	{
		if (mb_equal(identity->digest, digest, sizeof(digest)))
		{
			identity->last_used = now;
			if ((identity->standing == GW_WORTHLESS && now - identity->known_at > WORTHLESS_FOR) ||
				(identity->standing == GW_GOOD && identity->expires != 0 &&
				 now >= identity->expires))
				identity->standing = GW_UNASKED;
			return identity;
		}
	}
	if (identities->n >= identities->max)
		make_room(identities);
	if (identities->n >= identities->max)
		return NULL;
	identity = calloc(1, sizeof(*identity));
	if (identity != NULL)
		identity->token = strndup(token, n);
	if (identity == NULL || identity->token == NULL)
	{
		free(identity);
		return NULL;
	}
	identity->users = 1;
	identity->last_used = now;
	memcpy(identity->digest, digest, sizeof(digest));
	identity->next = *bucket;
	*bucket = identity;
	identities->n++;
	return identity;
}

gw_identity *
gw_identities_find(gw_identities *identities, const http_request *request, int access,
				   const uint8_t *address)
{
	http_text header = http_request_header(request, "Authorization");

	if (header.data != NULL)
	{
		if (http_request_header_count(request, "Authorization") != 1 || header.length < 8 ||
			strncasecmp(header.data, "Bearer ", 7) != 0)
			return NULL;
		return gw_identities_find_token(identities, header.data + 7, header.length - 7);
	}
	for (rule *r = identities->rules; r != NULL && address != NULL; r = r->next)
	{
		if (mb_network_contains(&r->network, address) && (r->identity.access & access) != 0)
			return &r->identity;
	}
	return NULL;
}

void
gw_identity_is_asked(gw_identity *identity)
{
	identity->standing = GW_ASKED;
	identity->doubted = false;
}

bool
gw_identity_is_good(gw_identity *identity, const PGresult *row)
{
	if (identity->doubted)
		return false;
	snprintf(identity->id, sizeof(identity->id), "%s", PQgetvalue(row, 0, 0));
	snprintf(identity->name, sizeof(identity->name), "%s", PQgetvalue(row, 0, 1));
	identity->access = read_accesses(PQgetvalue(row, 0, 2));
	snprintf(identity->tenant, sizeof(identity->tenant), "%s", PQgetvalue(row, 0, 3));
	identity->expires =
		PQgetisnull(row, 0, 4)
			? 0
			: http_clock() + (int64_t) (strtod(PQgetvalue(row, 0, 4), NULL) * (double) HTTP_SECOND);
	identity->standing = GW_GOOD;
	identity->used = true;
	return true;
}

void
gw_identity_is_used(gw_identity *identity)
{
	identity->used = identity->token != NULL;
}

void
gw_identity_is_worthless(gw_identity *identity)
{
	if (identity->token == NULL)
		return;
	identity->standing = GW_WORTHLESS;
	identity->known_at = http_clock();
}

void
gw_identities_forget(gw_identities *identities, const char *id)
{
	for (int i = 0; i < BUCKETS; i++)
	{
		for (gw_identity *identity = identities->buckets[i]; identity != NULL;
			 identity = identity->next)
		{
			/* whose token it is that is being asked about is not known the first time */
			if (identity->standing == GW_ASKED)
				identity->doubted = true;
			if (identity->standing == GW_GOOD && (id == NULL || strcmp(identity->id, id) == 0))
				identity->standing = GW_UNASKED;
		}
	}
}

int
gw_identities_take_used(gw_identities *identities, int max, program_text *ids)
{
	int n = 0;

	program_text_puts(ids, "{");
	for (int i = 0; i < BUCKETS; i++)
	{
		for (gw_identity *identity = identities->buckets[i]; identity != NULL && n < max;
			 identity = identity->next)
		{
			if (!identity->used || identity->id[0] == '\0')
				continue;
			identity->used = false;
			program_text_printf(ids, "%s%s", n++ == 0 ? "" : ",", identity->id);
		}
	}
	program_text_puts(ids, "}");
	return n;
}
