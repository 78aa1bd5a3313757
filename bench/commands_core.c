/*
 * commands_core.c
 *	  Times mb_command_parse() and mb_command_judge() over genuine frames, with the key at hand: what an edge pays for a
 *	  frame besides looking the key up.  For bench/commands.
 *
 * usage: commands_core calls		prints the microseconds that one call took
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/command/command_judge.h"

#define FRAMES 600

int
main(int argc, char **argv)
{
	static char frames[FRAMES][MB_COMMAND_FRAME_LENGTH + 1];
	uint8_t key[MB_COMMAND_KEY_SIZE] = { 1, 2, 3 };
	mb_key_state state = { .known = true };
	mb_command command = { .key_id = 7, .code = MB_COMMAND_REVOKE, .mandate = "12345678" };
	mb_command_frame frame;
	mb_judgement judgement;
	struct timespec began, ended;
	long calls = argc > 1 ? atol(argv[1]) : 0;

	if (calls < 1 || mb_command_derive_keys(key, &state.keys) != MB_OK)
		return 2;
	memset(&state.party, 42, sizeof(state.party));
	for (int i = 0; i < FRAMES; i++)
		if (mb_command_build(&state.keys, &state.party, &command, i + 1, NULL, frames[i], NULL) !=
			MB_OK)
			return 1;

	clock_gettime(CLOCK_MONOTONIC, &began);
	for (long i = 0; i < calls; i++)
	{
		if (mb_command_parse(frames[i % FRAMES], MB_COMMAND_FRAME_LENGTH, &frame) != MB_FRAME_OK)
			return 1;
		mb_command_judge(&frame, frames[i % FRAMES], &state, &judgement);
		if (judgement.verdict != MB_VERDICT_ACCEPTED)
			return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	printf("%.3f\n",
		   ((ended.tv_sec - began.tv_sec) * 1e9 + (ended.tv_nsec - began.tv_nsec)) / calls / 1e3);
	return 0;
}
