/*
 * stream.c
 *	  Working processes that recognize while sound comes; see stream.h.
 */
#include "stream.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buffer.h"
#include "child.h"
#include "log.h"

/* Seconds of sound that may wait for the recognizer. */
#define MOST_WAITING 30

/* A message of the process is longer only when it is broken. */
#define MOST_MESSAGE ((uint32_t) 4 * 1024 * 1024)

#define READ_SIZE 65536

struct speech_stream
{
	speech_stream_owner owner;
	bool cancelled;
	bool telling; /* the owner is being told something */
	speech_stream *next;
	pid_t pid;
	bool exited;
	int exit_status;
	http_watch socket; /* fd is -1 once it has ended */
	speech_buffer out; /* frames that the process has not taken, from "sent" on */
	size_t sent;
	size_t most;
	speech_buffer in;
};

static speech_stream *streams;
static speech_stream_stats stats;
static http_loop *loop;
static const speech_options *settings;
static bool ending; /* all of them are */

void
speech_streams_init(http_loop *with_loop, const speech_options *options)
{
	loop = with_loop;
	settings = options;
	stats.limit = options->streams;
}

bool
speech_streams_admit(void)
{
	if (stats.running < stats.limit)
		return true;
	stats.refused++;
	return false;
}

static void
hang_up(speech_stream *stream)
{
	http_loop_remove(&stream->socket);
	if (stream->socket.fd >= 0)
		close(stream->socket.fd);
	stream->socket.fd = -1;
}

/* The process has exited and all that it said was read. */
static void
settle(speech_stream *stream)
{
	speech_stream **place = &streams;
	bool well = stream->exited && WIFEXITED(stream->exit_status) &&
				WEXITSTATUS(stream->exit_status) == 0 && stream->in.size == 0;

	if (!stream->exited || stream->socket.fd >= 0)
		return;
	while (*place != stream)
		place = &(*place)->next;
	*place = stream->next;
	stats.running--;
	if (stream->cancelled)
		stats.cancelled++;
	else if (well)
		stats.done++;
	else if (!ending)
	{
		stats.failed++;
		speech_log_error("a stream ended by %s %d",
						 WIFSIGNALED(stream->exit_status) ? "signal" : "status",
						 WIFSIGNALED(stream->exit_status) ? WTERMSIG(stream->exit_status)
														  : WEXITSTATUS(stream->exit_status));
	}
	if (!stream->cancelled)
		stream->owner.ended(stream->owner.arg, well);
	speech_buffer_free(&stream->out);
	speech_buffer_free(&stream->in);
	free(stream);
}

static void
give_up(speech_stream *stream)
{
	if (!stream->exited)
		kill(stream->pid, SIGKILL);
	hang_up(stream);
	settle(stream);
}

/* Hands the owner the whole messages; false when there is one that cannot be. */
static bool
tell_messages(speech_stream *stream)
{
	size_t at = 0;
	uint32_t length;

	while (stream->in.size - at >= sizeof(length))
	{
		memcpy(&length, stream->in.data + at, sizeof(length));
		if (length > MOST_MESSAGE)
			return false;
		if (stream->in.size - at - sizeof(length) < length)
			break;
		if (!stream->cancelled)
		{
			stream->telling = true;
			stream->owner.message(stream->owner.arg,
								  (const char *) stream->in.data + at + sizeof(length), length);
			stream->telling = false;
		}
		at += sizeof(length) + length;
	}
	if (at > 0)
	{
		stream->in.size -= at;
		memmove(stream->in.data, stream->in.data + at, stream->in.size);
	}
	return true;
}

/* Writes what the process takes; false when it takes nothing any more. */
static bool
flush(speech_stream *stream)
{
	while (stream->sent < stream->out.size)
	{
		ssize_t n = send(stream->socket.fd, stream->out.data + stream->sent,
						 stream->out.size - stream->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return false;
		stream->sent += (size_t) n;
	}
	if (stream->sent == stream->out.size)
		stream->sent = stream->out.size = 0;
	return http_loop_change(&stream->socket, stream->out.size > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void
ready(void *arg, uint32_t events)
{
	speech_stream *stream = arg;
	ssize_t n = -1;

	/* that the process takes no more is seen by reading to its end */
	if ((events & EPOLLOUT) != 0 && !flush(stream))
		stream->sent = stream->out.size = 0;
	if ((events & ~(uint32_t) EPOLLOUT) == 0)
		return;
	if (speech_buffer_reserve(&stream->in, READ_SIZE))
	{
		n = recv(stream->socket.fd, stream->in.data + stream->in.size, READ_SIZE, MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return;
	}
	if (n > 0)
	{
		stream->in.size += (size_t) n;
		if (tell_messages(stream) && !stream->cancelled)
			return;
	}
	if (n != 0)
	{
		give_up(stream);
		return;
	}
	hang_up(stream);
	settle(stream);
}

speech_stream *
speech_stream_start(const speech_live_options *options, const speech_stream_owner *owner)
{
	speech_stream *stream = calloc(1, sizeof(*stream));
	pid_t parent = getpid();
	int ends[2] = { -1, -1 };

	if (stream == NULL)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		goto failed;
	stream->socket = (http_watch){ .fd = ends[0], .ready = ready, .arg = stream };
	if (!http_loop_add(loop, &stream->socket, EPOLLIN))
		goto failed;
	stream->pid = fork();
	if (stream->pid == 0)
	{
		/* what is said now is not to wait for recordings: no niceness */
		speech_child_become(ends[1], parent, settings->max_audio_seconds + 1, 0);
		_exit(speech_live_run(options) ? 0 : 1);
	}
	if (stream->pid < 0)
		goto failed;
	close(ends[1]);
	stream->owner = *owner;
	stream->most =
		MOST_WAITING * (size_t) options->sample_rate * mb_encoding_sample_size(options->encoding);
	stream->next = streams;
	streams = stream;
	stats.running++;
	return stream;

failed:
	speech_log_error("could not start a stream: %s", strerror(errno));
	http_loop_remove(&stream->socket);
	if (ends[0] >= 0)
	{
		close(ends[0]);
		close(ends[1]);
	}
	free(stream);
	stats.failed++;
	return NULL;
}

static bool
put(speech_stream *stream, speech_live_kind kind, const void *bytes, size_t n)
{
	speech_live_head head = { .kind = (uint32_t) kind, .length = (uint32_t) n };

	if (stream->socket.fd < 0)
		return true; /* its end is about to be told */
	if (stream->sent > 0 && stream->sent * 2 > stream->out.size)
	{
		stream->out.size -= stream->sent;
		memmove(stream->out.data, stream->out.data + stream->sent, stream->out.size);
		stream->sent = 0;
	}
	if (!speech_buffer_append(&stream->out, &head, sizeof(head)) ||
		!speech_buffer_append(&stream->out, bytes, n))
		return false;
	(void) flush(stream);
	return true;
}

bool
speech_stream_audio(speech_stream *stream, const void *bytes, size_t n)
{
	const char *from = bytes;

	if (stream->out.size - stream->sent + n > stream->most)
		return false;
	while (n > 0)
	{
		size_t part = n < SPEECH_LIVE_FRAME ? n : SPEECH_LIVE_FRAME;

		if (!put(stream, SPEECH_LIVE_AUDIO, from, part))
			return false;
		from += part;
		n -= part;
	}
	return true;
}

void
speech_stream_finalize(speech_stream *stream)
{
	(void) put(stream, SPEECH_LIVE_FINALIZE, "", 0);
}

void
speech_stream_close(speech_stream *stream)
{
	(void) put(stream, SPEECH_LIVE_CLOSE, "", 0);
}

void
speech_stream_cancel(speech_stream *stream)
{
	stream->cancelled = true;
	if (!stream->telling)
		give_up(stream);
}

void
speech_streams_reap(void)
{
	speech_stream *next;

	for (speech_stream *stream = streams; stream != NULL; stream = next)
	{
		next = stream->next;
		if (stream->exited || waitpid(stream->pid, &stream->exit_status, WNOHANG) != stream->pid)
			continue;
		stream->exited = true;
		settle(stream);
	}
}

void
speech_streams_kill(void)
{
	ending = true;
	while (streams != NULL)
	{
		speech_stream *stream = streams;

		if (!stream->exited)
		{
			kill(stream->pid, SIGKILL);
			while (waitpid(stream->pid, &stream->exit_status, 0) < 0 && errno == EINTR)
				continue;
			stream->exited = true;
		}
		hang_up(stream);
		settle(stream);
	}
}

speech_stream_stats
speech_streams_stats(void)
{
	return stats;
}
