/*
 * talk_audio.c
 *	  See talk_audio.h.  It lies in parts of one size, so that nothing of it is moved when more comes, and what one call is done with
 *	  fits the next.
 */
#include "talk_audio.h"

#include <stdlib.h>

#define PART 2000 /* bytes, an even number of samples */

static size_t kept;

static bool
add_part(talk_audio *audio)
{
	http_blob **parts =
		realloc(audio->parts, (size_t) (audio->n_parts + 1) * sizeof(*audio->parts));
	http_blob *part = parts == NULL ? NULL : http_blob_new_room(PART);

	if (parts != NULL)
		audio->parts = parts;
	if (part == NULL)
		return false;
	audio->parts[audio->n_parts++] = part;
	kept += PART;
	return true;
}

void
talk_audio_add(talk_audio *audio, const void *bytes, size_t n)
{
	const char *next = bytes;

	while (n > 0 && !audio->failed)
	{
		size_t taken;

		if (audio->length == (size_t) audio->n_parts * PART && !add_part(audio))
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

	if (from < (size_t) audio->n_parts * PART && from < audio->length)
	{
		text = http_blob_text(audio->parts[from / PART]);
		text.data += from % PART;
		text.length -= from % PART;
	}
	return text;
}

void
talk_audio_say(const talk_audio *audio, size_t from, gw_media_play *play, uint64_t tag)
{
	for (size_t i = from / PART; i < (size_t) audio->n_parts; i++, from = i * PART)
		gw_play_say_part(play, audio->parts[i], from % PART, tag, i * PART);
}

void
talk_audio_forget(talk_audio *audio)
{
	for (int i = 0; i < audio->n_parts; i++)
		http_blob_release(audio->parts[i]);
	free(audio->parts);
	kept -= (size_t) audio->n_parts * PART;
	audio->parts = NULL;
	audio->n_parts = 0;
}

size_t
talk_audio_kept(void)
{
	return kept;
}
