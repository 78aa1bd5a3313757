/*
 * dtmf_multimon.h
 *	  The DTMF receiver of multimon-ng as a peer: a program that reads 22,050 samples a
 *	  second from standard input and prints a line for each digit.
 */
#ifndef DTMF_MULTIMON_H
#define DTMF_MULTIMON_H

#include <errno.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dtmf_signals.h"

#define MULTIMON_RATE 22050

CHECK_UNUSED static bool
multimon_installed(void)
{
	return system("command -v multimon-ng > /dev/null 2>&1") == 0;
}

/*
 * The digits that multimon-ng hears in samples at 8 kHz, up to room - 1; false when it
 * cannot be run.  One child writes the signal, the program is the other, we read.
 */
CHECK_UNUSED static bool
multimon_receive(const int16_t *samples, size_t n, char *digits, size_t room)
{
	int to[2], from[2];
	size_t m;
	int16_t *line = signal_resample(samples, n, SIGNAL_RATE, MULTIMON_RATE, &m);
	pid_t writer, program;
	FILE *output;
	char text[256];
	size_t got = 0;
	int status = -1;

	fflush(NULL);
	if (pipe(to) != 0 || pipe(from) != 0)
		abort();
	if ((program = fork()) == 0)
	{
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[0]);
		close(to[1]);
		close(from[0]);
		close(from[1]);
		execlp("multimon-ng", "multimon-ng", "-q", "-a", "DTMF", "-t", "raw", "-", (char *) NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	if ((writer = fork()) == 0)
	{
		size_t at = 0;
		ssize_t part;

		close(from[0]);
		signal(SIGPIPE, SIG_IGN);
		while (at < m * 2 && (part = write(to[1], (char *) line + at, m * 2 - at)) > 0)
			at += (size_t) part;
		_exit(0);
	}
	close(to[1]);
	output = fdopen(from[0], "r");
	while (output != NULL && fgets(text, sizeof(text), output) != NULL)
	{
		char symbol;

		if (sscanf(text, "DTMF: %c", &symbol) == 1 && got + 1 < room)
			digits[got++] = symbol;
	}
	digits[got] = '\0';
	if (output != NULL)
		fclose(output);
	waitpid(writer, NULL, 0);
	waitpid(program, &status, 0);
	free(line);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#endif /* DTMF_MULTIMON_H */
