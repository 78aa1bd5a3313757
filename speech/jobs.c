/*
 * jobs.c
 *	  Work in child processes; see jobs.h.
 *
 * A child writes its answer into a pipe: an answer_head, then the body.  It is whole
 * when the pipe ends after that and the child has exited with 0; whatever else
 * happens is an engine that failed.
 */
#include "jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "log.h"

/* Bytes read from a child at a time. */
#define READ_SIZE 65536

/* An answer that is longer is a broken child. */
#define MAX_ANSWER ((size_t) 1024 * 1024 * 1024)

/* Weight of the last job in the mean duration that Retry-After goes by. */
#define DURATION_WEIGHT 0.2
#define MAX_RETRY_AFTER 60

typedef struct answer_head
{
	uint32_t status;
	uint32_t reserved;
	uint64_t length;
	double audio_seconds;
	char content_type[SPEECH_CONTENT_TYPE_SIZE];
} answer_head;

struct speech_job
{
	speech_job_kind kind;
	speech_task task;
	speech_job *next; /* in its pool's list */
	bool running;
	bool cancelled;
	bool timed_out;

	/* while running */
	pid_t pid;
	bool exited;
	int exit_status;
	http_watch pipe; /* fd is -1 once it has ended */
	speech_buffer answer;
	double started;
};

/* All jobs of a kind: the running ones, and the waiting ones in the order they came. */
typedef struct job_pool
{
	speech_job *first;
	speech_job_stats stats;
	double mean_duration;
} job_pool;

static const char *const kind_names[SPEECH_JOB_KINDS] = { "transcription", "synthesis" };

static job_pool pools[SPEECH_JOB_KINDS];
static http_loop *loop;
static const speech_options *settings;
static bool draining;

void
speech_jobs_init(http_loop *with_loop, const speech_options *options)
{
	loop = with_loop;
	settings = options;
	pools[SPEECH_JOB_TRANSCRIPTION].stats.limit = options->transcribers;
	pools[SPEECH_JOB_SYNTHESIS].stats.limit = options->synthesizers;
}

static void
unlink_job(speech_job *job)
{
	speech_job **place = &pools[job->kind].first;

	while (*place != job)
		place = &(*place)->next;
	*place = job->next;
}

static void
release_input(speech_job *job)
{
	if (job->task.input != NULL)
		job->task.release(job->task.input);
	job->task.input = NULL;
}

/* Hands the answer to the owner, if there is one left, and forgets the job. */
static void
finish(speech_job *job, speech_reply *reply)
{
	unlink_job(job);
	release_input(job);
	if (!job->cancelled)
		job->task.done(job->task.owner, reply);
	speech_reply_free(reply);
	speech_buffer_free(&job->answer);
	free(job);
}

static void
run_child(const speech_job *job, int answer_fd, pid_t parent)
{
	speech_reply reply = { 0 };
	answer_head head = { 0 };

	speech_child_become(answer_fd, parent, settings->job_timeout + 1, settings->nice);
	job->task.work(job->task.input, &reply);
	head.status = reply.status;
	head.length = reply.body.size;
	head.audio_seconds = reply.audio_seconds;
	memcpy(head.content_type, reply.content_type, sizeof(head.content_type));
	_exit(speech_child_write(&head, sizeof(head)) &&
				  speech_child_write(reply.body.data, reply.body.size)
			  ? 0
			  : 1);
}

/* Makes the reply of what a child that has ended left behind. */
static void
judge_answer(speech_job *job, speech_reply *reply)
{
	answer_head head;
	job_pool *pool = &pools[job->kind];

	if (job->exit_status == 0 && job->answer.size >= sizeof(head))
	{
		memcpy(&head, job->answer.data, sizeof(head));
		if (head.status >= 200 && head.status <= 599 &&
			head.length == job->answer.size - sizeof(head))
		{
			reply->status = head.status;
			reply->audio_seconds = head.audio_seconds;
			memcpy(reply->content_type, head.content_type, sizeof(reply->content_type) - 1);
			job->answer.size -= sizeof(head);
			memmove(job->answer.data, job->answer.data + sizeof(head), job->answer.size);
			reply->body = job->answer;
			job->answer = (speech_buffer){ 0 };
			pool->stats.done++;
			return;
		}
	}
	if (job->cancelled)
		return;
	pool->stats.failed++;
	if (job->timed_out)
	{
		speech_log_error("a %s did not end within %d s", kind_names[job->kind],
						 settings->job_timeout);
		speech_reply_error(reply, 504, NULL, "engine_timeout",
						   "the %s did not end within %d s, the limit of this server",
						   kind_names[job->kind], settings->job_timeout);
		return;
	}
	if (WIFSIGNALED(job->exit_status))
		speech_log_error("a %s was ended by signal %d", kind_names[job->kind],
						 WTERMSIG(job->exit_status));
	else
		speech_log_error("a %s exited with status %d and %zu bytes of an answer",
						 kind_names[job->kind], WEXITSTATUS(job->exit_status), job->answer.size);
	if (draining)
		speech_reply_error(reply, 503, NULL, "shutting_down", "the server is shutting down");
	else
		speech_reply_error(reply, 500, NULL, "engine_failed", "the %s failed inside the engine",
						   kind_names[job->kind]);
}

/* Ends a job whose child has exited and whose pipe has ended. */
static void
settle(speech_job *job)
{
	job_pool *pool = &pools[job->kind];
	speech_reply reply = { 0 };
	double duration;

	if (!job->exited || job->pipe.fd >= 0)
		return;
	duration = speech_now() - job->started;
	pool->mean_duration += DURATION_WEIGHT * (duration - pool->mean_duration);
	pool->stats.running--;
	judge_answer(job, &reply);
	finish(job, &reply);
}

/* The pipe of a child has bytes, or has ended. */
static void
read_answer(void *arg, uint32_t events)
{
	speech_job *job = arg;
	ssize_t n = -1;

	(void) events;
	if (job->answer.size <= MAX_ANSWER && speech_buffer_reserve(&job->answer, READ_SIZE))
	{
		n = read(job->pipe.fd, job->answer.data + job->answer.size, READ_SIZE);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return;
	}
	if (n > 0)
	{
		job->answer.size += (size_t) n;
		return;
	}
	if (n < 0)
	{
		if (!job->exited)
			kill(job->pid, SIGKILL);
		job->answer.size = 0;
	}
	http_loop_remove(&job->pipe);
	close(job->pipe.fd);
	job->pipe.fd = -1;
	settle(job);
}

/* Forks the child of a waiting job; false, with the job ended, when the system refuses. */
static bool
start(speech_job *job)
{
	job_pool *pool = &pools[job->kind];
	pid_t parent = getpid();
	speech_reply reply = { 0 };
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		goto refused;
	job->pipe = (http_watch){ .fd = ends[0], .ready = read_answer, .arg = job };
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0 || !http_loop_add(loop, &job->pipe, EPOLLIN))
		goto close_pipe;
	job->pid = fork();
	if (job->pid == 0)
		run_child(job, ends[1], parent);
	if (job->pid < 0)
		goto close_pipe;
	close(ends[1]);
	job->running = true;
	job->started = speech_now();
	pool->stats.queued--;
	pool->stats.running++;
	release_input(job);
	return true;

close_pipe:
	http_loop_remove(&job->pipe);
	close(ends[0]);
	close(ends[1]);
refused:
	speech_log_error("could not start a %s: %s", kind_names[job->kind], strerror(errno));
	pool->stats.queued--;
	pool->stats.failed++;
	speech_reply_error(&reply, 503, NULL, "engine_unavailable",
					   "the system has no room for another process");
	reply.retry_after = speech_jobs_retry_after(job->kind);
	finish(job, &reply);
	return false;
}

bool
speech_jobs_admit(speech_job_kind kind)
{
	job_pool *pool = &pools[kind];

	if (!draining && pool->stats.running + pool->stats.queued < pool->stats.limit + settings->queue)
		return true;
	pool->stats.refused++;
	return false;
}

speech_job *
speech_job_submit(speech_job_kind kind, const speech_task *task)
{
	job_pool *pool = &pools[kind];
	speech_job **place = &pool->first;
	speech_job *job;

	if (!speech_jobs_admit(kind))
		return NULL;
	job = calloc(1, sizeof(*job));
	if (job == NULL)
		return NULL;
	job->kind = kind;
	job->task = *task;
	job->pipe.fd = -1;
	while (*place != NULL)
		place = &(*place)->next;
	*place = job;
	pool->stats.queued++;
	return job;
}

void
speech_job_cancel(speech_job *job)
{
	speech_reply none = { 0 };

	pools[job->kind].stats.cancelled++;
	job->cancelled = true;
	if (job->running)
	{
		if (!job->exited)
			kill(job->pid, SIGKILL);
		return;
	}
	pools[job->kind].stats.queued--;
	finish(job, &none);
}

void
speech_jobs_reap(void)
{
	for (int kind = 0; kind < SPEECH_JOB_KINDS; kind++)
	{
		speech_job *next;

		for (speech_job *job = pools[kind].first; job != NULL; job = next)
		{
			next = job->next;
			if (!job->running || job->exited)
				continue;
			if (waitpid(job->pid, &job->exit_status, WNOHANG) != job->pid)
				continue;
			job->exited = true;
			settle(job);
		}
	}
}

void
speech_jobs_tick(double now)
{
	for (int kind = 0; kind < SPEECH_JOB_KINDS; kind++)
	{
		job_pool *pool = &pools[kind];
		speech_job *next;

		for (speech_job *job = pool->first; job != NULL; job = next)
		{
			next = job->next;
			if (!job->running)
			{
				if (pool->stats.running < pool->stats.limit)
					start(job);
			}
			else if (!job->exited && !job->timed_out && now - job->started > settings->job_timeout)
			{
				job->timed_out = true;
				kill(job->pid, SIGKILL);
			}
		}
	}
}

void
speech_jobs_drain(void)
{
	draining = true;
	for (int kind = 0; kind < SPEECH_JOB_KINDS; kind++)
	{
		speech_job *next;

		for (speech_job *job = pools[kind].first; job != NULL; job = next)
		{
			speech_reply reply = { 0 };

			next = job->next;
			if (job->running)
				continue;
			pools[kind].stats.queued--;
			speech_reply_error(&reply, 503, NULL, "shutting_down", "the server is shutting down");
			finish(job, &reply);
		}
	}
}

void
speech_jobs_kill(void)
{
	speech_jobs_drain(); /* what is left runs and has a process */
	for (int kind = 0; kind < SPEECH_JOB_KINDS; kind++)
	{
		while (pools[kind].first != NULL)
		{
			speech_job *job = pools[kind].first;

			if (!job->exited)
			{
				kill(job->pid, SIGKILL);
				while (waitpid(job->pid, &job->exit_status, 0) < 0 && errno == EINTR)
					continue;
				job->exited = true;
			}
			http_loop_remove(&job->pipe);
			if (job->pipe.fd >= 0)
				close(job->pipe.fd);
			job->pipe.fd = -1;
			settle(job);
		}
	}
}

int
speech_jobs_retry_after(speech_job_kind kind)
{
	const job_pool *pool = &pools[kind];
	double wait = pool->mean_duration * (pool->stats.queued + 1) / pool->stats.limit;

	return (int) fmin(fmax(ceil(wait), 1), MAX_RETRY_AFTER);
}

speech_job_stats
speech_jobs_stats(speech_job_kind kind)
{
	return pools[kind].stats;
}
