/*
 * addresses.c
 *	  How many connections each address has: a hash table with chains.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/web/network.h"
#include "internal.h"

typedef struct address_entry
{
	unsigned char address[16];
	int n;
	struct address_entry *next;
} address_entry;

struct http_addresses
{
	address_entry **buckets;
	size_t n_buckets; /* a power of two */
	size_t n_entries;
	uint64_t seed[2]; /* so that nobody can choose addresses that meet in one bucket */
};

http_addresses *
http_addresses_new(void)
{
	http_addresses *addresses = calloc(1, sizeof(*addresses));

	if (addresses == NULL)
		return NULL;
	addresses->n_buckets = 256;
	addresses->buckets = calloc(addresses->n_buckets, sizeof(address_entry *));
	if (addresses->buckets == NULL)
	{
		free(addresses);
		return NULL;
	}
	if (getrandom(addresses->seed, sizeof(addresses->seed), 0) != (ssize_t) sizeof(addresses->seed))
		addresses->seed[0] = (uint64_t) http_clock();
	return addresses;
}

void
http_addresses_free(http_addresses *addresses)
{
	if (addresses == NULL)
		return;
	for (size_t i = 0; i < addresses->n_buckets; i++)
		for (address_entry *entry = addresses->buckets[i], *next; entry != NULL; entry = next)
		{
			next = entry->next;
			free(entry);
		}
	free(addresses->buckets);
	free(addresses);
}

/* Multiplications of 128 bits mix the seeds in (the idea of wyhash). */
static size_t
bucket_of(const http_addresses *addresses, const unsigned char address[16])
{
	uint64_t words[2];
	unsigned __int128 product;

	memcpy(words, address, sizeof(words));
	product =
		(unsigned __int128) (words[0] ^ addresses->seed[0]) * ((words[1] ^ addresses->seed[1]) | 1);
	product =
		(unsigned __int128) ((uint64_t) product ^ (uint64_t) (product >> 64)) * 0x9E3779B97F4A7C15u;
	return (size_t) ((uint64_t) product ^ (uint64_t) (product >> 64)) & (addresses->n_buckets - 1);
}

/* Twice as many buckets; without memory the chains just get longer. */
static void
grow(http_addresses *addresses)
{
	size_t n = addresses->n_buckets;
	address_entry **old = addresses->buckets;
	address_entry **buckets = calloc(2 * n, sizeof(address_entry *));

	if (buckets == NULL)
		return;
	addresses->buckets = buckets;
	addresses->n_buckets = 2 * n;
	for (size_t i = 0; i < n; i++)
		for (address_entry *entry = old[i], *next; entry != NULL; entry = next)
		{
			address_entry **place = &buckets[bucket_of(addresses, entry->address)];

			next = entry->next;
			entry->next = *place;
			*place = entry;
		}
	free(old);
}

bool
http_addresses_add(http_addresses *addresses, const unsigned char from[16], int limit)
{
	unsigned char address[16];
	address_entry *entry;
	size_t bucket;

	mb_address_fold(from, address);
	bucket = bucket_of(addresses, address);
	entry = addresses->buckets[bucket];
	while (entry != NULL && memcmp(entry->address, address, 16) != 0)
		entry = entry->next;
	if (entry != NULL)
	{
		if (entry->n >= limit)
			return false;
		entry->n++;
		return true;
	}
	entry = malloc(sizeof(*entry));
	if (entry == NULL)
		return false;
	memcpy(entry->address, address, 16);
	entry->n = 1;
	entry->next = addresses->buckets[bucket];
	addresses->buckets[bucket] = entry;
	if (++addresses->n_entries > addresses->n_buckets)
		grow(addresses);
	return true;
}

void
http_addresses_remove(http_addresses *addresses, const unsigned char from[16])
{
	unsigned char address[16];
	address_entry **place;
	address_entry *entry;

	mb_address_fold(from, address);
	place = &addresses->buckets[bucket_of(addresses, address)];
	while (*place != NULL && memcmp((*place)->address, address, 16) != 0)
		place = &(*place)->next;
	entry = *place;
	if (entry == NULL || --entry->n > 0)
		return;
	*place = entry->next;
	free(entry);
	addresses->n_entries--;
}
