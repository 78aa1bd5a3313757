/*
 * command_setup.h
 *	  The key and the parties of the published vectors, for the tests of command frames.
 */
#ifndef COMMAND_SETUP_H
#define COMMAND_SETUP_H

#include "check.h"
#include "core/command/command.h"

/* K = 000102…1f, tenant = 0011…ff, edge = ffee…00. */
CHECK_UNUSED static void
vector_keys(mb_command_keys *keys, mb_command_party *party)
{
	uint8_t key[MB_COMMAND_KEY_SIZE];

	for (int i = 0; i < MB_COMMAND_KEY_SIZE; i++)
		key[i] = (uint8_t) i;
	for (int i = 0; i < MB_PARTY_ID_SIZE; i++)
	{
		party->tenant[i] = (uint8_t) (0x11 * i);
		party->edge[i] = (uint8_t) (0xff - 0x11 * i);
	}
	if (mb_command_derive_keys(key, keys) != MB_OK)
		abort();
}

CHECK_UNUSED static mb_command
make_command(int key_id, int code, const char *mandate, int argument)
{
	mb_command command = { .key_id = key_id, .code = code, .argument = argument };

	memcpy(command.mandate, mandate, MB_MANDATE_ID_LENGTH);
	return command;
}

/* A random command that means something. */
CHECK_UNUSED static mb_command
random_command(check_random *random)
{
	static const int codes[] = { MB_COMMAND_REVOKE, MB_COMMAND_SUSPEND, MB_COMMAND_EXTEND,
								 MB_COMMAND_QUERY,	MB_COMMAND_RESUME,	MB_COMMAND_PING };
	mb_command command = { .key_id = (int) check_random_below(random, 100),
						   .code = codes[check_random_below(random, 6)] };

	snprintf(command.mandate, sizeof(command.mandate), "%08u",
			 command.code == MB_COMMAND_PING ? 0
											 : (unsigned) check_random_below(random, 100000000));
	if (command.code == MB_COMMAND_EXTEND)
		command.argument = 1 + (int) check_random_below(random, 99);
	return command;
}

/* Puts the check that fits over the last two digits of a frame of n symbols. */
CHECK_UNUSED static void
fix_check(char *frame, size_t n)
{
	int check = mb_check_digits(frame + 1, n - 4);

	frame[n - 3] = (char) ('0' + check / 10);
	frame[n - 2] = (char) ('0' + check % 10);
}

#endif /* COMMAND_SETUP_H */
