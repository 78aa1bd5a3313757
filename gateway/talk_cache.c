/*
 * talk_cache.c
 *	  Sentences that have been said before: the database keeps them, and those of the plan, which are said when something is amiss, are
 *	  kept here as well.
 *
 * Nothing that a caller waits for waits long for the database: a sentence that it has not given by then is made, or said as it was said
 * last.  What is kept here may have been given another sound since: the database is asked first, unless it has told lately.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/audio/g711.h"
#include "talk_internal.h"

#define LOOK_WITHIN (150 * HTTP_MILLISECOND)
#define FRESH (60 * HTTP_SECOND)
#define MAX_KEPT 960000				 /* samples */
#define SHORT_REPLY 24000			 /* samples */
#define MEMORY (16 * 1024 * 1024)	 /* bytes of all that are kept here */
#define MAX_REMEMBERED (MEMORY / 32) /* of one */

/* A sentence that is kept here, the one that was used last before all others. */
typedef struct remembered
{
	char *key; /* tenant, voice and text, each with its NUL */
	size_t key_size;
	uint64_t hash;
	uint8_t *audio;
	size_t n;
	mb_ledger_point *words;
	int n_words;
	int64_t at; /* when the database, or who has said it, gave it */
	struct remembered *next;
} remembered;

static remembered *memory;
static size_t memory_used;

/* A look into the cache, or what is to be kept in it; its piece may be gone when it ends. */
typedef struct look
{
	gw_unit unit;
	gw_talk *talk;
	uint32_t generation;
	uint64_t serial; /* of the reply */
	uint16_t id;	 /* of the piece */
	bool standing;
	char *text;
	char *voice_key;
	char *tenant;
	uint8_t *audio;		/* that is to be kept */
	program_text words; /* and those of it */
} look;

/* Times of the words of a sentence. */
typedef struct times
{
	mb_ledger_point of[MB_TURN_PIECE_POINTS];
	int n;
} times;

/* ---------------------------------------------------------------------------
 * Times of words
 * ---------------------------------------------------------------------------
 */

/* Adds one; false: it is none in a sentence of so many bytes and samples. */
static bool
add_time(times *words, int64_t bytes, int64_t ms, size_t length, size_t samples)
{
	const mb_ledger_point *last = words->n == 0 ? NULL : &words->of[words->n - 1];

	if (words->n == MB_TURN_PIECE_POINTS || bytes < (last == NULL ? 0 : last->bytes) ||
		bytes > (int64_t) length || ms < (last == NULL ? 0 : last->ms) ||
		ms > (int64_t) samples * 1000 / GW_MEDIA_RATE)
		return false;
	words->of[words->n++] = (mb_ledger_point){ .ms = (int32_t) ms, .bytes = (uint16_t) bytes };
	return true;
}

/* As the database has them, numbers with blanks between; of what cannot be none. */
static times
read_times(const char *text, size_t length, size_t samples)
{
	times words = { .n = 0 };

	while (*text != '\0')
	{
		char *middle;
		char *end;
		int64_t bytes = strtoll(text, &middle, 10);
		int64_t ms = strtoll(middle, &end, 10);

		if (end == middle || !add_time(&words, bytes, ms, length, samples))
			return (times){ .n = 0 };
		text = end;
	}
	return words;
}

/* Those of a piece that was made. */
static times
times_of(const talk_piece *piece, size_t samples)
{
	int64_t last = (int64_t) samples * 1000 / GW_MEDIA_RATE;
	times words = { .n = 0 };

	for (int i = 0; i < piece->n_words; i++)
	{
		const mb_ledger_point *word = &piece->words[i];

		/* a voice may fade before its last word is over */
		if (!add_time(&words, word->bytes, word->ms < last ? word->ms : last, piece->length,
					  samples))
			return (times){ .n = 0 };
	}
	return words;
}

/* An array for the database; empty: they are not known. */
static void
write_times(const times *words, program_text *array)
{
	for (int i = 0; i < words->n; i++)
		program_text_printf(array, "%s%d,%d", i == 0 ? "{" : ",", words->of[i].bytes,
							words->of[i].ms);
	if (words->n > 0)
		program_text_puts(array, "}");
}

/* ---------------------------------------------------------------------------
 * In memory
 * ---------------------------------------------------------------------------
 */

/* Whether it is a sentence of the plan, and not of this call alone. */
static bool
is_standing(const talk_piece *piece)
{
	const json_t *silence = json_object_get(piece->reply->talk->plan->texts, "silence");

	if (piece->kind != MB_ITEM_PROMPT)
		return piece->kind != MB_ITEM_REPLY;
	for (size_t i = 0; i < json_array_size(silence); i++)
	{
		const char *text = json_string_value(json_array_get(silence, i));

		if (text != NULL && strcmp(text, piece->text) == 0)
			return true;
	}
	return strcmp(talk_text(piece->reply->talk, "apology"), piece->text) == 0;
}

/* For free(); NULL without memory. */
static char *
key_of(const char *tenant, const char *voice_key, const char *text, size_t *size, uint64_t *hash)
{
	const char *parts[] = { tenant, voice_key, text };
	char *key;
	size_t n = 0;

	*size = strlen(tenant) + strlen(voice_key) + strlen(text) + 3;
	key = malloc(*size);
	for (int i = 0; i < 3 && key != NULL; i++)
	{
		memcpy(key + n, parts[i], strlen(parts[i]) + 1);
		n += strlen(parts[i]) + 1;
	}
	*hash = 14695981039346656037ULL;
	for (size_t i = 0; i < n; i++)
		*hash = (*hash ^ (uint8_t) key[i]) * 1099511628211ULL;
	return key;
}

/* Takes it out of the list; NULL: it is not there. */
static remembered *
take_out(const char *key, size_t size, uint64_t hash)
{
	for (remembered **place = &memory; *place != NULL; place = &(*place)->next)
	{
		remembered *r = *place;

		if (r->hash == hash && r->key_size == size && memcmp(r->key, key, size) == 0)
		{
			*place = r->next;
			return r;
		}
	}
	return NULL;
}

static void
put_in(remembered *r)
{
	r->next = memory;
	memory = r;
}

static void
free_remembered(remembered *r)
{
	memory_used -= r->n;
	free(r->key);
	free(r->audio);
	free(r->words);
	free(r);
}

/* The one that was not used for longest goes. */
static void
forget_one(void)
{
	remembered **last = &memory;
	remembered *r = memory;

	if (r == NULL)
		return;
	for (; r->next != NULL; r = r->next)
		last = &r->next;
	*last = NULL;
	free_remembered(r);
}

static void
remember(const look *l, const uint8_t *mulaw, size_t n, const times *words)
{
	remembered *r = n == 0 || n > MAX_REMEMBERED ? NULL : calloc(1, sizeof(*r));
	remembered *old;

	if (r == NULL)
		return;
	r->key = key_of(l->tenant, l->voice_key, l->text, &r->key_size, &r->hash);
	r->audio = malloc(n);
	if (words->n > 0)
		r->words = malloc((size_t) words->n * sizeof(*r->words));
	if (r->key == NULL || r->audio == NULL)
	{
		free_remembered(r);
		return;
	}
	memcpy(r->audio, mulaw, n);
	if (r->words != NULL)
	{
		memcpy(r->words, words->of, (size_t) words->n * sizeof(*r->words));
		r->n_words = words->n;
	}
	old = take_out(r->key, r->key_size, r->hash);
	if (old != NULL)
		free_remembered(old);
	while (memory_used + n > MEMORY)
		forget_one();
	r->n = n;
	memory_used += n;
	r->at = http_clock();
	put_in(r);
}

/* NULL: it is not known. */
static const remembered *
recall(const talk_piece *piece)
{
	const gw_talk *talk = piece->reply->talk;
	size_t size;
	uint64_t hash;
	char *key = is_standing(piece)
					? key_of(talk->tenant, talk->plan->voice_keys[piece->race.service], piece->text,
							 &size, &hash)
					: NULL;
	remembered *r = key == NULL ? NULL : take_out(key, size, hash);

	free(key);
	if (r != NULL)
		put_in(r);
	return r;
}

size_t
talk_cache_kept(void)
{
	return memory_used;
}

/* ---------------------------------------------------------------------------
 * In the database
 * ---------------------------------------------------------------------------
 */

static void
free_look(look *l)
{
	gw_talk *talk = l->talk;

	free(l->text);
	free(l->voice_key);
	free(l->tenant);
	free(l->audio);
	program_text_free(&l->words);
	free(l);
	talk_release(talk);
}

static look *
new_look(const talk_piece *piece, const gw_statement *statement)
{
	gw_talk *talk = piece->reply->talk;
	look *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	talk->users++;
	l->talk = talk;
	l->generation = piece->reply->generation;
	l->serial = piece->reply->serial;
	l->id = piece->id;
	l->standing = is_standing(piece);
	l->text = strdup(piece->text);
	l->voice_key = strdup(talk->plan->voice_keys[piece->race.service]);
	l->tenant = strdup(talk->tenant);
	l->unit.statement = statement;
	l->unit.values[0] = l->text;
	l->unit.values[1] = l->voice_key;
	if (l->text != NULL && l->voice_key != NULL && l->tenant != NULL)
		return l;
	free_look(l);
	return NULL;
}

static talk_piece *
piece_of(const look *l)
{
	talk_reply *reply = talk_reply_still(l->talk, l->generation, l->serial);

	for (int i = 0; reply != NULL && i < reply->n_pieces; i++)
	{
		if (reply->pieces[i]->id == l->id)
			return reply->pieces[i];
	}
	return NULL;
}

/* The database has not given it. */
static void
do_without(talk_piece *piece)
{
	const remembered *r = recall(piece);

	if (r != NULL)
		talk_speech_found(piece, r->audio, r->n, r->words, r->n_words);
	else
		talk_speech_make(piece);
}

static void
is_late(void *arg)
{
	do_without(arg);
}

static void
looked(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	look *l = (look *) unit;
	talk_piece *piece = piece_of(l);
	bool found = outcome == GW_COMMITTED && !PQgetisnull(result, 0, 0);
	const uint8_t *mulaw = found ? (const uint8_t *) PQgetvalue(result, 0, 0) : NULL;
	size_t n = found ? (size_t) PQgetlength(result, 0, 0) : 0;
	times words = read_times(found ? PQgetvalue(result, 0, 1) : "", strlen(l->text), n);

	(void) identity;
	if (found && l->standing)
		remember(l, mulaw, n, &words);
	if (piece != NULL && piece->state == TALK_PIECE_LOOKING)
	{
		talk_cache_forget(piece);
		if (found)
			talk_speech_found(piece, mulaw, n, words.of, words.n);
		else if (outcome == GW_COMMITTED)
			talk_speech_make(piece);
		else
			do_without(piece);
	}
	free_look(l);
}

void
talk_cache_look(talk_piece *piece)
{
	static const gw_statement find_speech = {
		"find_speech",
		"SELECT sound, array_to_string(words, ' ') FROM mulberry.find_speech($1, $2, $3)", true
	};
	gw_talk *talk = piece->reply->talk;
	const remembered *r = recall(piece);
	look *l;

	if (r != NULL && http_clock() - r->at < FRESH)
	{
		talk_speech_found(piece, r->audio, r->n, r->words, r->n_words);
		return;
	}
	l = new_look(piece, &find_speech);
	if (l == NULL)
	{
		do_without(piece);
		return;
	}
	piece->state = TALK_PIECE_LOOKING;
	piece->patience = (http_timer){ .due = is_late, .arg = piece };
	http_loop_set_timer(talk->loop, &piece->patience, http_clock() + LOOK_WITHIN);
	l->unit.values[2] = l->tenant;
	l->unit.n_parameters = 3;
	l->unit.binary = true;
	l->unit.done = looked;
	gw_media_ask(talk->media, &l->unit);
}

void
talk_cache_forget(talk_piece *piece)
{
	http_loop_clear_timer(piece->reply->talk->loop, &piece->patience);
}

static void
kept(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	(void) outcome;
	(void) identity;
	(void) result;
	/* one that was not kept is made anew */
	free_look((look *) unit);
}

/* Replies are as many as there are callers: what is said again and again is short, or not a reply. */
void
talk_cache_keep(const talk_piece *piece)
{
	static const gw_statement keep_speech = {
		"keep_speech", "SELECT mulberry.keep_speech($1, $2, $3::bytea, $4, $5::integer[])", true
	};
	const gw_talk *talk = piece->reply->talk;
	size_t width = mb_encoding_sample_size(talk->encoding);
	size_t n = piece->audio.length / width;
	size_t most = piece->kind == MB_ITEM_REPLY ? SHORT_REPLY : MAX_KEPT;
	look *l = n > 0 && n <= most && !piece->audio.failed ? new_look(piece, &keep_speech) : NULL;
	int16_t sample;
	http_text part;
	size_t kept_samples = 0;
	times words;

	if (l == NULL)
		return;
	l->audio = malloc(n);
	if (l->audio == NULL)
	{
		free_look(l);
		return;
	}
	while ((part = talk_audio_look(&piece->audio, kept_samples * width)).length >= width)
	{
		for (size_t at = 0; at < part.length; at += width)
		{
			(void) mb_audio_decode(talk->encoding, (const uint8_t *) part.data + at, width,
								   &sample);
			l->audio[kept_samples++] = mb_mulaw_encode(sample);
		}
	}
	words = times_of(piece, n);
	write_times(&words, &l->words);
	if (l->standing)
		remember(l, l->audio, n, &words);
	l->unit.values[2] = (const char *) l->audio;
	l->unit.lengths[2] = (int) n;
	l->unit.formats[2] = 1;
	l->unit.values[3] = l->tenant;
	l->unit.values[4] = l->words.failed ? NULL : l->words.data;
	l->unit.n_parameters = 5;
	l->unit.behind = true;
	l->unit.done = kept;
	gw_media_ask(talk->media, &l->unit);
}
