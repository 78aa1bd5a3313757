/*
 * stdin.c
 *	  stdin: samples without a header, at the rate and in the encoding that are asked for.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/audio/container.h"
#include "core/audio/g711.h"
#include "drivers.h"

typedef struct stdin_state
{
	mb_encoding encoding;
	bool looked; /* whether what comes has a header after all */
	size_t n;	 /* bytes of the block that have come */
	uint8_t block[EDGE_MAX_BLOCK * 2];
} stdin_state;

static edge_audio_status
stdin_open(edge_audio *audio, const char *name, const edge_audio_request *request)
{
	stdin_state *state;
	mb_encoding encoding;

	if (*name != '\0')
		return edge_audio_say(audio, EDGE_AUDIO_NAME, "stdin: has no name behind it");
	if (request->playback)
		return edge_audio_say(audio, EDGE_AUDIO_UNABLE, "stdin: nothing can be played on it");
	if (mb_encoding_from_name(request->encoding == NULL ? "s16le" : request->encoding, &encoding) !=
		MB_OK)
		return edge_audio_say(audio, EDGE_AUDIO_NAME, "stdin: must be s16le, mulaw or alaw");
	if (request->sample_rate < 1000 || request->sample_rate > EDGE_MAX_RATE ||
		request->channels > EDGE_MAX_CHANNELS)
		return edge_audio_say(audio, EDGE_AUDIO_NAME,
							  "stdin: samples without a header need their rate");
	state = calloc(1, sizeof(*state));
	if (state == NULL)
		return edge_audio_say(audio, EDGE_AUDIO_UNABLE, "out of memory");
	state->encoding = encoding;
	audio->state = state;
	audio->traits = (edge_audio_traits){ .sample_rate = request->sample_rate,
										 .channels = request->channels == 0 ? 1 : request->channels,
										 .capture = true,
										 .detail = mb_encoding_name(encoding) };
	return EDGE_AUDIO_OK;
}

/* Files with a header are no samples, and are told by their first bytes. */
static edge_audio_status
look(edge_audio *audio, stdin_state *state)
{
	const char *container = state->looked ? NULL : mb_container_name(state->block, state->n);

	state->looked = true;
	return container == NULL
			   ? EDGE_AUDIO_OK
			   : edge_audio_say(audio, EDGE_AUDIO_FORMAT,
								"stdin: is a file, %s, and no samples: file:- reads it", container);
}

static edge_audio_status
stdin_read(edge_audio *audio, int16_t *samples, edge_audio_block *block, int timeout)
{
	stdin_state *state = audio->state;
	size_t frame = mb_encoding_sample_size(state->encoding) * (size_t) audio->traits.channels;
	size_t whole = audio->traits.block * frame;
	int64_t until = edge_clock() + (int64_t) timeout * 1000000;

	while (state->n < whole)
	{
		int64_t rest = (until - edge_clock()) / 1000000;
		struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
		int ready = poll(&input, 1, rest < 0 ? 0 : (int) rest);
		ssize_t got;

		if (ready == 0)
			return EDGE_AUDIO_LATER;
		if (ready < 0 && errno != EINTR)
			return edge_audio_say(audio, EDGE_AUDIO_AWAY, "stdin: %s", strerror(errno));
		got = ready < 0 ? -1 : read(STDIN_FILENO, state->block + state->n, whole - state->n);
		if (got < 0 && errno != EINTR && errno != EAGAIN)
			return edge_audio_say(audio, EDGE_AUDIO_AWAY, "stdin: %s", strerror(errno));
		if (got == 0)
			break;
		if (got > 0)
			state->n += (size_t) got;
	}
	if (look(audio, state) != EDGE_AUDIO_OK)
		return EDGE_AUDIO_FORMAT;
	if (state->n == 0)
		return EDGE_AUDIO_END;
	if (state->n % frame != 0)
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT,
							  "stdin: ends within a sample, so they are none of %s",
							  audio->traits.detail);
	block->frames = state->n / frame;
	mb_audio_decode(state->encoding, state->block, state->n, samples);
	state->n = 0;
	return EDGE_AUDIO_OK;
}

static void
stdin_close(edge_audio *audio)
{
	free(audio->state);
}

const edge_audio_driver edge_stdin_driver = { .kind = "stdin",
											  .naming = "nothing: samples without a header, see "
														"--rate and --encoding",
											  .open = stdin_open,
											  .read = stdin_read,
											  .close = stdin_close };
