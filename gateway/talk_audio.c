/*
 * talk_audio.c
 *	  See talk_audio.h.  It lies in parts of one size, so that nothing of it is moved when more comes, and what one call is done with
 *	  fits the next.  Parts come from blocks of their own, which go back to the system: among all else they would leave holes that
 *	  nothing fills when many have spoken at once.
 */
#include "talk_audio.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK 65536 /* where one begins is a multiple of it */
#define SIZE 2048	/* of a part with its head; the first of a block is the block's own */
#define PART (SIZE - HTTP_BLOB_HEAD) /* bytes, an even number */
#define PARTS (BLOCK / SIZE - 1)

_Static_assert(PART % 2 == 0, "no sample lies in two of them");

/* Those that have a part that is free are in a list. */
typedef struct block
{
	struct block *next;
	struct block *before;
	void *free; /* parts, each of which tells the next */
	int n_free;
} block;

static block *blocks;
static size_t kept; /* bytes of all blocks */

/* ---------------------------------------------------------------------------
 * Parts
 * ---------------------------------------------------------------------------
 */

static void
put_in(block *b)
{
	b->before = NULL;
	b->next = blocks;
	if (blocks != NULL)
		blocks->before = b;
	blocks = b;
}

static void
take_out(block *b)
{
	if (b->before == NULL)
		blocks = b->next;
	else
		b->before->next = b->next;
	if (b->next != NULL)
		b->next->before = b->before;
}

static void
add_free(block *b, void *part)
{
	*(void **) part = b->free;
	b->free = part;
	b->n_free++;
}

/* NULL without memory. */
static block *
new_block(void)
{
	char *memory =
		mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;
	block *b;

	if (memory == MAP_FAILED)
		return NULL;
	/* what is not in the block that begins within goes back */
	before = (BLOCK - (uintptr_t) memory % BLOCK) % BLOCK;
	if (before > 0)
		munmap(memory, before);
	if (before < BLOCK)
		munmap(memory + before + BLOCK, BLOCK - before);
	b = (block *) (memory + before);
	for (int i = PARTS; i > 0; i--)
		add_free(b, (char *) b + i * SIZE);
	kept += BLOCK;
	put_in(b);
	return b;
}

static void
free_part(void *part)
{
	block *b = (block *) ((uintptr_t) part / BLOCK * BLOCK);

	add_free(b, part);
	if (b->n_free == 1)
		put_in(b);
	if (b->n_free < PARTS)
		return;
	take_out(b);
	kept -= BLOCK;
	munmap(b, BLOCK);
}

/* NULL without memory. */
static http_blob *
new_part(void)
{
	block *b = blocks != NULL ? blocks : new_block();
	void *part;

	if (b == NULL)
		return NULL;
	part = b->free;
	b->free = *(void **) part;
	if (--b->n_free == 0)
		take_out(b);
	return http_blob_new_in(part, SIZE, free_part);
}

/* ---------------------------------------------------------------------------
 * Audio
 * ---------------------------------------------------------------------------
 */

static bool
add_part(talk_audio *audio)
{
	http_blob **parts = realloc(audio->parts, (size_t) (audio->n_parts + 1) * sizeof(http_blob *));
	http_blob *part = parts == NULL ? NULL : new_part();

	if (parts != NULL)
		audio->parts = parts;
	if (part == NULL)
		return false;
	audio->parts[audio->n_parts++] = part;
	return true;
}

void
talk_audio_add(talk_audio *audio, const void *bytes, size_t n)
{
	const char *next = bytes;

	while (n > 0 && !audio->failed)
	{
		size_t taken;

		if (audio->length - audio->gone >= (size_t) audio->n_parts * PART && !add_part(audio))
		{
			audio->failed = true;
			return;
		}
		taken = http_blob_add(audio->parts[audio->n_parts - 1], next, n);
		audio->length += taken;
		next += taken;
		n -= taken;
	}
}

http_text
talk_audio_look(const talk_audio *audio, size_t from)
{
	http_text text = { NULL, 0 };

	if (audio->n_parts > 0 && from >= audio->gone && from < audio->length)
	{
		text = http_blob_text(audio->parts[(from - audio->gone) / PART]);
		text.data += from % PART;
		text.length -= from % PART;
	}
	return text;
}

void
talk_audio_say(const talk_audio *audio, size_t from, gw_media_play *play, uint64_t tag)
{
	for (size_t i = (from - audio->gone) / PART; i < (size_t) audio->n_parts;
		 i++, from = audio->gone + i * PART)
		gw_play_say_part(play, audio->parts[i], from % PART, tag, audio->gone + i * PART);
}

void
talk_audio_forget_before(talk_audio *audio, size_t place)
{
	int n = (int) ((place - audio->gone) / PART);

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
		http_blob_release(audio->parts[i]);
	audio->n_parts -= n;
	audio->gone += (size_t) n * PART;
	memmove(audio->parts, audio->parts + n, (size_t) audio->n_parts * sizeof(http_blob *));
}

void
talk_audio_forget(talk_audio *audio)
{
	for (int i = 0; i < audio->n_parts; i++)
		http_blob_release(audio->parts[i]);
	free(audio->parts);
	audio->parts = NULL;
	audio->n_parts = 0;
}

size_t
talk_audio_kept(void)
{
	return kept;
}
