/*
 * thread.h
 *	  Threads, what they wait for, and the signals of the program that has them.
 */
#ifndef EDGE_THREAD_H
#define EDGE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Begins a thread with so many bytes of stack, which no signal interrupts. False: out of memory. */
extern bool edge_thread_start(pthread_t *thread, size_t stack, void *(*run)(void *), void *arg);

/* A thread that waits for work, and is told to end. */
typedef struct edge_worker
{
	pthread_t thread;
	pthread_mutex_t mutex; /* of the work and of what follows */
	pthread_cond_t change; /* its times do not jump, either */
	bool stopping;
} edge_worker;

/* False: out of memory, and nothing is to be stopped. */
extern bool edge_worker_start(edge_worker *worker, size_t stack, void *(*run)(void *), void *arg);

/* Tells it to end, and waits until it has. */
extern void edge_worker_stop(edge_worker *worker);

/* A condition whose times do not jump: the clock of the machine may be set by years while somebody waits. */
extern void edge_condition_init(pthread_cond_t *condition);

/* For pthread_cond_timedwait() on such a condition: so many nanoseconds from now. */
extern struct timespec edge_condition_until(int64_t nanoseconds);

/*
 * SIGTERM, SIGINT and SIGUSR1 come by a descriptor from now on, which is returned; to be said before there are threads, which would
 * take them. -1: there are no descriptors left.
 */
extern int edge_signals_catch(void);

/* The next of these signals; 0: there is none now. */
extern int edge_signals_next(int descriptor);

#endif /* EDGE_THREAD_H */
