/*
 * child.h
 *	  What every working process of the server is: a fork that cannot outlive or disturb it.
 */
#ifndef SPEECH_CHILD_H
#define SPEECH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The only descriptor of a child beside the standard ones: what it answers by. */
#define SPEECH_CHILD_FD 3

/*
 * In the fork: it holds no connection, dies with its parent, gives way to others for processor and memory,
 * and leaves SIGTERM to the server, which decides how long it may go on.
 */
extern void speech_child_become(int fd, pid_t parent, int cpu_seconds, int nice);

/* Writes everything; false when nobody reads any more. */
extern bool speech_child_write(const void *data, size_t n);

#endif /* SPEECH_CHILD_H */
