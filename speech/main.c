/*
 * main.c
 *	  mulberry-speech: loads the models, listens, serves until SIGTERM.
 *
 * One thread serves; the work is done by its forks (jobs.h).  Everything that a child
 * needs is loaded before the first request.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "auth.h"
#include "clock.h"
#include "endpoints.h"
#include "jobs.h"
#include "log.h"
#include "options.h"
#include "recognizer.h"
#include "request.h"
#include "server.h"
#include "stream.h"
#include "synthesize.h"
#include "voices.h"

/* Longest wait of a turn while there are deadlines to look at. */
#define TURN_MS 250

static const speech_endpoint *const endpoints[] = {
	&speech_endpoint_transcriptions, &speech_endpoint_listen,
	&speech_endpoint_speech,		 &speech_endpoint_voices,
	&speech_endpoint_models,		 &speech_endpoint_model,
	&speech_endpoint_health,		 NULL,
};

static http_loop *loop;
static http_watch signal_watch;
static int stop_signals;

/* SIGCHLD: a job has ended.  Anything else: the server shall end. */
static void
take_signal(void *arg, uint32_t events)
{
	struct signalfd_siginfo info;

	(void) arg;
	(void) events;
	if (read(signal_watch.fd, &info, sizeof(info)) != (ssize_t) sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
	{
		speech_jobs_reap();
		speech_streams_reap();
	}
	else
		stop_signals++;
}

static bool
watch_signals(void)
{
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0)
		return false;
	signal_watch.fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	signal_watch.ready = take_signal;
	return signal_watch.fd >= 0 && http_loop_add(loop, &signal_watch, EPOLLIN);
}

/* Writes the port beside its file and renames, so that a reader finds all of it or nothing. */
static bool
write_port_file(const char *path, int port)
{
	size_t size = strlen(path) + sizeof(".new");
	char *temporary = malloc(size);
	FILE *file = NULL;
	bool ok = false;

	if (temporary != NULL)
	{
		snprintf(temporary, size, "%s.new", path);
		file = fopen(temporary, "we");
	}
	if (file != NULL)
	{
		ok = fprintf(file, "%d\n", port) > 0;
		ok = fclose(file) == 0 && ok;
		ok = ok && rename(temporary, path) == 0;
	}
	if (!ok)
		speech_log_error("could not write port file \"%s\": %s", path, strerror(errno));
	free(temporary);
	return ok;
}

/* One turn: what has come, then the jobs that it brought or that others make room for. */
static void
turn(int timeout_ms)
{
	http_loop_turn(loop, timeout_ms);
	speech_jobs_tick(speech_now());
}

/* Serves until a signal, then until the work is done or the grace period over. */
static void
serve(const speech_options *options)
{
	while (stop_signals == 0)
		turn(TURN_MS);
	speech_log_info("shutting down, %d requests at work", speech_requests_pending());
	speech_server_quiesce();
	speech_jobs_drain();
	for (double end = speech_now() + options->grace;
		 stop_signals == 1 && speech_requests_pending() > 0 && speech_now() < end;)
		turn(TURN_MS);
	speech_jobs_kill();
	speech_streams_kill();
	/* what was killed gets its answer, and a WebSocket its close */
	for (double end = speech_now() + 1;
		 (speech_requests_pending() > 0 || http_server_counters(speech_server())->sockets > 0) &&
		 speech_now() < end;)
		turn(10);
	speech_server_stop();
}

static bool
start(const speech_options *options, int *port)
{
	if (options->api_key_file != NULL && !speech_auth_load(options->api_key_file))
		return false;
	loop = http_loop_new();
	if (loop == NULL || !watch_signals())
	{
		speech_log_error("could not prepare the event loop: %s", strerror(errno));
		return false;
	}
	if (!speech_recognizer_load(options) || !speech_voices_load())
		return false;
	speech_flite_load();
	speech_jobs_init(loop, options);
	speech_streams_init(loop, options);
	speech_requests_init(options, endpoints);
	*port = speech_server_start(loop, options);
	return *port > 0 && (options->port_file == NULL || write_port_file(options->port_file, *port));
}

int
main(int argc, char **argv)
{
	static speech_options options; /* its texts live as long as the program */
	int port = -1;
	int status = speech_options_read(&options, argc, argv);
	bool ok;

	if (status != 0)
		return status - 1;
	speech_log_set_quiet(options.quiet);
	ok = start(&options, &port);
	if (ok)
	{
		bool ipv6 = strchr(options.listen, ':') != NULL;

		printf("listening on http://%s%s%s:%d\n", ipv6 ? "[" : "", options.listen, ipv6 ? "]" : "",
			   port);
		fflush(stdout);
		serve(&options);
		if (options.port_file != NULL)
			unlink(options.port_file);
	}
	else
		speech_server_stop();
	speech_recognizer_unload();
	speech_voices_unload();
	speech_auth_free();
	http_loop_remove(&signal_watch);
	http_loop_free(loop);
	if (ok)
		speech_log_info("ended");
	return ok ? 0 : 1;
}
