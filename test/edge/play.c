/*
 * play.c
 *	  build/edge-play: a device that plays, under the hands of a test. It is told what to do on standard input, and answers each
 *	  line with one on standard output.
 *
 *		write BLOCKS	of 20 ms, sample i of all that is written being i modulo 32767, plus 1
 *		fill			writes as much as goes without waiting
 *		drain, drop
 *		read BLOCKS
 *		where
 *
 *	usage: edge-play DEVICE RATE [capture]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio.h"

#define PATIENCE 60000 /* milliseconds */

static edge_audio audio;
static uint64_t next_sample;

static const char *
name_of(edge_audio_status status)
{
	switch (status)
	{
		case EDGE_AUDIO_OK:
			return "OK";
		case EDGE_AUDIO_LATER:
			return "LATER";
		case EDGE_AUDIO_AWAY:
			return "AWAY";
		default:
			return audio.problem;
	}
}

/* So many blocks, each as a whole or not at all. */
static edge_audio_status
write_blocks(int n, int timeout, int *written)
{
	static int16_t block[EDGE_MAX_BLOCK];
	edge_audio_status status = EDGE_AUDIO_OK;

	for (*written = 0; *written < n && status == EDGE_AUDIO_OK;)
	{
		for (size_t i = 0; i < audio.traits.block; i++)
			block[i] = (int16_t) ((next_sample + i) % 32767 + 1);
		status = edge_audio_write(&audio, block, audio.traits.block, timeout);
		if (status != EDGE_AUDIO_OK)
			break;
		next_sample += audio.traits.block;
		++*written;
	}
	return status;
}

static edge_audio_status
read_blocks(int n, uint64_t *lost)
{
	static int16_t samples[EDGE_MAX_BLOCK];
	edge_audio_block block;
	edge_audio_status status = EDGE_AUDIO_OK;

	for (int i = 0; i < n && status == EDGE_AUDIO_OK; i++)
	{
		status = edge_audio_read(&audio, samples, &block, PATIENCE);
		*lost += block.lost;
	}
	return status;
}

static void
obey(const char *line)
{
	edge_audio_position position;
	uint64_t lost = 0;
	int n = 0;
	edge_audio_status status;

	if (sscanf(line, "write %d", &n) == 1)
	{
		int written;

		status = write_blocks(n, PATIENCE, &written);
		printf("wrote %d %s\n", written, name_of(status));
	}
	else if (strcmp(line, "fill\n") == 0)
	{
		int written;

		status = write_blocks(10000, 0, &written);
		printf("filled %d %s\n", written, name_of(status));
	}
	else if (strcmp(line, "drain\n") == 0)
		printf("drained %s\n", name_of(edge_audio_drain(&audio)));
	else if (strcmp(line, "drop\n") == 0)
	{
		edge_audio_drop(&audio);
		printf("dropped\n");
	}
	else if (sscanf(line, "read %d", &n) == 1)
	{
		status = read_blocks(n, &lost);
		printf("read %s lost %" PRIu64 "\n", name_of(status), lost);
	}
	else
	{
		edge_audio_where(&audio, &position);
		printf("played %" PRIu64 " of %" PRIu64 ", %u underruns\n", position.played,
			   position.written, position.underruns);
	}
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	edge_audio_request request = { .playback = true, .capture = argc > 3 };
	char line[80];

	if (argc < 3)
		return 2;
	request.sample_rate = atoi(argv[2]);
	if (edge_audio_open(&audio, argv[1], &request) != EDGE_AUDIO_OK)
	{
		printf("%s\n", audio.problem);
		return 1;
	}
	printf("%s\n", audio.traits.detail);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL)
		obey(line);
	edge_audio_close(&audio);
	return 0;
}
