/*
 * fuzz_talk_text.c
 *	  Any bytes as a stream of events, whose data is a text that is cut into pieces: the same however they come, and
 *	  no piece is too long or broken.
 *
 * Fuzz with: -max_len=8192
 */
#include <string.h>

#include "fuzz.h"
#include "core/conversation/sentences.h"
#include "core/text/utf8.h"
#include "core/web/event_stream.h"

typedef struct run
{
	mb_sentences sentences;
	uint64_t digest;
	size_t step;
} run;

static void
take_piece(void *arg, const char *text, size_t n)
{
	run *r = arg;

	require(n > 0 && n <= MB_SENTENCE_ROOM);
	for (size_t i = 0; i < n; i++)
		r->digest = (r->digest ^ (uint8_t) text[i]) * UINT64_C(1099511628211);
	r->digest = (r->digest ^ 256) * UINT64_C(1099511628211);
}

static void
take_event(void *arg, const char *data, size_t n)
{
	run *r = arg;

	for (size_t at = 0; at < n; at += r->step)
		mb_sentences_feed(&r->sentences, data + at, n - at < r->step ? n - at : r->step, take_piece,
						  r);
}

static uint64_t
digest_of(const uint8_t *data, size_t size, size_t step)
{
	char room[512];
	mb_event_stream stream;
	run r = { .step = step };

	mb_sentences_init(&r.sentences);
	mb_event_stream_init(&stream, room, sizeof(room));
	for (size_t at = 0; at < size; at += step)
		mb_event_stream_feed(&stream, (const char *) data + at, size - at < step ? size - at : step,
							 take_event, &r);
	mb_sentences_end(&r.sentences, take_piece, &r);
	return r.digest;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t whole = digest_of(data, size, size + 1);

	require(digest_of(data, size, 1) == whole);
	require(digest_of(data, size, 7) == whole);
	return 0;
}
