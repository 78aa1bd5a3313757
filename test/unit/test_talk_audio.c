/*
 * test_talk_audio.c
 *	  Audio that is kept to be said: it is what came, from any place on, and its memory goes back when nobody has a use for it.
 *
 * Link with: -I../http -I../gateway -I.. -I/usr/include/postgresql
 */
#define _GNU_SOURCE
#include <sys/uio.h>

#include "check.h"
#include "../../gateway/talk_audio.c"
#include "../../http/queue.c"

#define CALLS 200

/* What a playback was given. */
static struct
{
	http_blob *audio;
	size_t from;
	size_t end;
	size_t before;
} given[1000];
static int n_given;

void
gw_play_say_part(gw_media_play *play, http_blob *audio, size_t from, uint64_t tag, size_t before)
{
	(void) play;
	check_int(tag, 9);
	if (from >= http_blob_text(audio).length)
		return;
	given[n_given].audio = http_blob_share(audio);
	given[n_given].from = from;
	given[n_given].end = http_blob_text(audio).length;
	given[n_given++].before = before;
}

static uint8_t
byte_at(size_t i)
{
	return (uint8_t) (i * 7 + i / 256);
}

static void
add(talk_audio *audio, size_t n)
{
	static uint8_t bytes[10000];

	for (size_t i = 0; i < n; i++)
		bytes[i] = byte_at(audio->length + i);
	talk_audio_add(audio, bytes, n);
}

static void
it_is_what_came(void)
{
	static const size_t sizes[] = { 1, 2, PART - 1, PART, PART + 1, 160, 9999, 320 };
	talk_audio audio = { 0 };
	size_t length = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		add(&audio, sizes[i]);
		length += sizes[i];
		check_int(audio.length, length);
	}
	check(!audio.failed);
	for (size_t from = 0; from <= length; from += 77)
	{
		size_t at = from;
		http_text text;

		while ((text = talk_audio_look(&audio, at)).length > 0)
			for (size_t i = 0; i < text.length; i++, at++)
				REQUIRE((uint8_t) text.data[i] == byte_at(at));
		check_int(at, length);

		at = from;
		n_given = 0;
		talk_audio_say(&audio, from, NULL, 9);
		for (int i = 0; i < n_given; i++)
		{
			check_int(given[i].before + given[i].from, at);
			for (size_t k = given[i].from; k < given[i].end; k++, at++)
				REQUIRE((uint8_t) http_blob_text(given[i].audio).data[k] == byte_at(at));
			http_blob_release(given[i].audio);
		}
		check_int(at, length);
	}
	talk_audio_forget(&audio);
	check_int(audio.length, length);
	check_int(talk_audio_kept(), 0);
}

/* What is heard goes on and on, and only its end is kept. */
static void
its_end_is_kept(void)
{
	talk_audio audio = { 0 };
	size_t n = 0;

	for (int i = 0; i < 2000; i++)
	{
		size_t at = audio.length > 3200 ? audio.length - 3200 : 0;
		http_text text;

		talk_audio_forget_before(&audio, at);
		while ((text = talk_audio_look(&audio, at)).length > 0)
			for (size_t k = 0; k < text.length; k++, at++)
				REQUIRE((uint8_t) text.data[k] == byte_at(at));
		check_int(at, n);
		check(audio.gone == 0 || talk_audio_look(&audio, audio.gone - 1).length == 0);
		check((size_t) audio.n_parts <= 3200 / PART + 2);
		add(&audio, 160);
		n += 160;
	}
	check_int(talk_audio_kept(), BLOCK);
	n_given = 0;
	talk_audio_say(&audio, audio.length - 1, NULL, 9);
	check_int(n_given, 1);
	check_int(given[0].before + given[0].from, audio.length - 1);
	http_blob_release(given[0].audio);
	talk_audio_forget(&audio);
	check_int(talk_audio_kept(), 0);
}

/* Whoever still plays it has it. */
static void
who_shares_it_keeps_it(void)
{
	talk_audio audio = { 0 };

	add(&audio, 5000);
	n_given = 0;
	talk_audio_say(&audio, 0, NULL, 9);
	talk_audio_forget(&audio);
	check_int(talk_audio_kept(), BLOCK);
	for (int i = 0; i < n_given; i++)
	{
		for (size_t k = given[i].from; k < given[i].end; k++)
			REQUIRE((uint8_t) http_blob_text(given[i].audio).data[k] ==
					byte_at(given[i].before + k));
		http_blob_release(given[i].audio);
	}
	check_int(talk_audio_kept(), 0);
}

static void
memory_goes_back(void)
{
	static talk_audio calls[CALLS];
	check_random random = { .state = 3 };
	size_t bytes = 0;

	for (int i = 0; i < 20000; i++)
	{
		talk_audio *audio = &calls[check_random_below(&random, CALLS)];

		if (audio->length > 30000)
		{
			bytes -= audio->length;
			talk_audio_forget(audio);
			audio->length = 0;
		}
		else
		{
			size_t n = check_random_below(&random, 3000);

			add(audio, n);
			bytes += n;
		}
		check(talk_audio_kept() >= bytes);
		check(talk_audio_kept() < 2 * (bytes + CALLS * SIZE));
	}
	for (int i = 0; i < CALLS; i++)
		talk_audio_forget(&calls[i]);
	check_int(talk_audio_kept(), 0);
	check(blocks == NULL);
}

int
main(void)
{
	check_run("it is what came", it_is_what_came);
	check_run("its end is kept", its_end_is_kept);
	check_run("who shares it keeps it", who_shares_it_keeps_it);
	check_run("its memory goes back", memory_goes_back);
	return check_done();
}
