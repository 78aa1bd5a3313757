/*
 * search_pairs.c
 *	  What the index of words has for words that stand next to each other; see search.sql.
 *
 * A pair is one of 2^18 words of four characters, a blank and three digits of base 64.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "port/pg_bitutils.h"
#include "tsearch/ts_type.h"
#include "utils/builtins.h"

#define PAIRS (1 << 18)
#define PAIR_SIZE 4
#define FURTHEST 2 /* places apart */

/* Where a word is said. */
typedef struct mulberry_said
{
	int place;
	const WordEntry *word;
} mulberry_said;

/* FNV-1a, stored, and so to remain as it is. */
static uint64
hash_more(uint64 hash, const char *bytes, int n)
{
	for (int i = 0; i < n; i++)
		hash = (hash ^ (unsigned char) bytes[i]) * UINT64CONST(0x100000001b3);
	return hash;
}

static uint32
pair_of(const char *word, int length, const char *next, int next_length, int distance)
{
	char between[2] = { '\0', (char) distance };
	uint64 hash = hash_more(UINT64CONST(0xcbf29ce484222325), word, length);

	hash = hash_more(hash, between, sizeof(between));
	hash = hash_more(hash, next, next_length);
	hash ^= hash >> 36;
	return (uint32) (hash ^ (hash >> 18)) & (PAIRS - 1);
}

/* The word of a pair; those of greater pairs come later. */
static void
spell_pair(uint32 pair, char *word)
{
	static const char digits[] = "+/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	word[0] = ' ';
	word[1] = digits[pair >> 12];
	word[2] = digits[pair >> 6 & 63];
	word[3] = digits[pair & 63];
}

static int
by_place(const void *a, const void *b)
{
	return ((const mulberry_said *) a)->place - ((const mulberry_said *) b)->place;
}

/* Every place of every word, in their order. */
static mulberry_said *
places_of(TSVector search, int *n)
{
	const WordEntry *words = ARRPTR(search);
	mulberry_said *said;
	int found = 0;

	for (int i = 0; i < search->size; i++)
		found += POSDATALEN(search, &words[i]);
	said = palloc_extended((Size) Max(found, 1) * sizeof(mulberry_said), MCXT_ALLOC_HUGE);
	*n = found;
	found = 0;
	for (int i = 0; i < search->size; i++)
	{
		const WordEntryPos *at = POSDATAPTR(search, &words[i]);
		int many = POSDATALEN(search, &words[i]);

		for (int k = 0; k < many; k++)
			said[found++] = (mulberry_said){ WEP_GETPOS(at[k]), &words[i] };
	}
	qsort(said, found, sizeof(mulberry_said), by_place);
	return said;
}

/* Notes the pairs of a transcript and returns how many there are. */
static int
note_pairs(TSVector search, uint64 *noted)
{
	const char *text = STRPTR(search);
	int n;
	mulberry_said *said = places_of(search, &n);
	int pairs = 0;
	int next = 0;

	for (int i = 0; i < n; i++)
	{
		/* several words may stand at one place */
		while (next < n && said[next].place <= said[i].place)
			next++;
		for (int k = next; k < n && said[k].place - said[i].place <= FURTHEST; k++)
		{
			uint32 pair =
				pair_of(text + said[i].word->pos, said[i].word->len, text + said[k].word->pos,
						said[k].word->len, said[k].place - said[i].place);

			pairs += (noted[pair / 64] >> pair % 64 & 1) == 0;
			noted[pair / 64] |= UINT64CONST(1) << pair % 64;
		}
	}
	pfree(said);
	return pairs;
}

/* search_pairs(search): see search.sql. */
PG_FUNCTION_INFO_V1(mulberry_search_pairs);

Datum
mulberry_search_pairs(PG_FUNCTION_ARGS)
{
	uint64 *noted = palloc0(PAIRS / 8);
	int n = note_pairs(PG_GETARG_TSVECTOR(0), noted);
	Size size = CALCDATASIZE(n, n * PAIR_SIZE);
	TSVector pairs = palloc0(size);
	int place = 0;

	SET_VARSIZE(pairs, size);
	pairs->size = n;
	for (uint32 i = 0; i < PAIRS / 64; i++)
	{
		for (uint64 rest = noted[i]; rest != 0; rest &= rest - 1)
		{
			ARRPTR(pairs)[place] = (WordEntry){ .len = PAIR_SIZE, .pos = place * PAIR_SIZE };
			spell_pair(i * 64 + pg_rightmost_one_pos64(rest), STRPTR(pairs) + place++ * PAIR_SIZE);
		}
	}
	pfree(noted);
	PG_RETURN_TSVECTOR(pairs);
}

/* search_pair(word, next_word, distance): see search.sql. */
PG_FUNCTION_INFO_V1(mulberry_search_pair);

Datum
mulberry_search_pair(PG_FUNCTION_ARGS)
{
	text *word = PG_GETARG_TEXT_PP(0);
	text *next = PG_GETARG_TEXT_PP(1);
	char pair[PAIR_SIZE];

	spell_pair(pair_of(VARDATA_ANY(word), (int) VARSIZE_ANY_EXHDR(word), VARDATA_ANY(next),
					   (int) VARSIZE_ANY_EXHDR(next), PG_GETARG_INT32(2)),
			   pair);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(pair, sizeof(pair)));
}
