/*
 * thread.c
 *	  Threads, what they wait for, and signals; see thread.h.
 */
#include "thread.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

bool
edge_thread_start(pthread_t *thread, size_t stack, void *(*run)(void *), void *arg)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;
	bool fine;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, stack);
	fine = pthread_create(thread, &attributes, run, arg) == 0;
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return fine;
}

void
edge_condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
}

struct timespec
edge_condition_until(int64_t nanoseconds)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += nanoseconds % SECOND;
	at.tv_sec += nanoseconds / SECOND + at.tv_nsec / SECOND;
	at.tv_nsec %= SECOND;
	return at;
}

bool
edge_worker_start(edge_worker *worker, size_t stack, void *(*run)(void *), void *arg)
{
	pthread_mutex_init(&worker->mutex, NULL);
	edge_condition_init(&worker->change);
	worker->stopping = false;
	if (edge_thread_start(&worker->thread, stack, run, arg))
		return true;
	pthread_mutex_destroy(&worker->mutex);
	pthread_cond_destroy(&worker->change);
	return false;
}

void
edge_worker_stop(edge_worker *worker)
{
	pthread_mutex_lock(&worker->mutex);
	worker->stopping = true;
	pthread_cond_signal(&worker->change);
	pthread_mutex_unlock(&worker->mutex);
	pthread_join(worker->thread, NULL);
}

int
edge_signals_catch(void)
{
	sigset_t handled;

	sigemptyset(&handled);
	sigaddset(&handled, SIGTERM);
	sigaddset(&handled, SIGINT);
	sigaddset(&handled, SIGUSR1);
	sigprocmask(SIG_BLOCK, &handled, NULL);
	return signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC);
}

int
edge_signals_next(int descriptor)
{
	struct signalfd_siginfo info;

	return read(descriptor, &info, sizeof(info)) == sizeof(info) ? (int) info.ssi_signo : 0;
}
