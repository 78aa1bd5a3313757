/*
 * speech.c
 *	  Sentences that are spoken by a program of the machine; see speech.h.
 */
#include "speech.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audio.h"
#include "core/audio/resample.h"
#include "core/audio/wav.h"
#include "exits.h"
#include "thread.h"

#define SECOND INT64_C(1000000000)
#define STACK (256 * 1024)
#define MOST_WORDS 16
/* Whoever calls hears a sentence soon, or none: it is not worth more. */
#define PATIENCE (5 * SECOND)
#define POLL_MS 50
#define MOST_BYTES ((size_t) 2 * 1024 * 1024)
#define MOST_SECONDS 10
#define MOST_VARIABLES 24

struct edge_speech
{
	const char *command;
	edge_worker worker; /* all below is under its mutex */
	unsigned asked;		/* how often; what was asked for before is not made any more */
	bool waiting;		/* to be made */
	char call_id[EDGE_CALL_ID + 1];
	char text[EDGE_SPEECH_TEXT];
	int rate;
	int16_t *samples; /* that have been made; NULL: none */
	size_t n;
};

/* One that the thread makes. */
typedef struct sentence
{
	edge_speech *speech;
	unsigned number;
} sentence;

extern char **environ;

/* ---------------------------------------------------------------------------
 * The program
 * ---------------------------------------------------------------------------
 */

typedef struct program
{
	pid_t pid;
	int output;
} program;

/* The words of a command, in place. False: there are none, or too many. */
static bool
part(char *command, char *words[static MOST_WORDS + 1])
{
	char *rest = command;
	int n = 0;

	for (char *word; (word = strtok_r(rest, " \t", &rest)) != NULL;)
	{
		if (n == MOST_WORDS)
			return false;
		words[n++] = word;
	}
	words[n] = NULL;
	return n > 0;
}

/* A file in memory with the text: who does not read it holds nobody up. -1: out of memory or of descriptors. */
static int
text_file(const char *text)
{
	int file = memfd_create("sentence", MFD_CLOEXEC);
	size_t n = strlen(text);

	if (file >= 0 && write(file, text, n) == (ssize_t) n && lseek(file, 0, SEEK_SET) == 0)
		return file;
	if (file >= 0)
		close(file);
	return -1;
}

/* What it may know of our environment: where things are, and in which language; not what leads to the database. */
static void
choose_environment(char *chosen[static MOST_VARIABLES + 1])
{
	static const char *const known[] = { "PATH=", "HOME=", "TMPDIR=", "LANG=", "LANGUAGE=", "LC_" };
	int n = 0;

	for (char **variable = environ; *variable != NULL && n < MOST_VARIABLES; variable++)
	{
		bool wanted = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			wanted = wanted || strncmp(*variable, known[i], strlen(known[i])) == 0;
		if (wanted)
			chosen[n++] = *variable;
	}
	chosen[n] = NULL;
}

/*
 * Nothing of ours is in it but its input and output, the standard error, and the little it may know; it is a group, so that what it
 * begins ends with it.
 */
static int
spawn(char *const words[], int input, int output, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char *variables[MOST_VARIABLES + 1];
	sigset_t signals;
	int problem;

	choose_environment(variables);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
											  POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attributes, 0);
	sigemptyset(&signals);
	posix_spawnattr_setsigmask(&attributes, &signals);
	sigaddset(&signals, SIGPIPE);
	posix_spawnattr_setsigdefault(&attributes, &signals);
	problem = posix_spawnp(pid, words[0], &actions, &attributes, words, variables);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return problem;
}

static bool
begin(program *p, const char *command, const char *text, char *problem)
{
	char *copy = strdup(command);
	char *words[MOST_WORDS + 1];
	int input = text_file(text);
	int ends[2] = { -1, -1 };
	int failed = 0;

	*p = (program){ .output = -1 };
	if (copy == NULL || input < 0 || pipe2(ends, O_CLOEXEC) != 0)
		failed = errno;
	else if (!part(copy, words))
		failed = EINVAL;
	else
		failed = spawn(words, input, ends[1], &p->pid);
	if (failed == EINVAL)
		snprintf(problem, EDGE_SPEECH_PROBLEM, "a command of 1 to %d words is needed", MOST_WORDS);
	else if (failed != 0)
		snprintf(problem, EDGE_SPEECH_PROBLEM, "%s: %s", copy == NULL ? command : copy,
				 strerror(failed));
	if (input >= 0)
		close(input);
	if (ends[1] >= 0)
		close(ends[1]);
	if (failed != 0 && ends[0] >= 0)
		close(ends[0]);
	p->output = ends[0];
	free(copy);
	return failed == 0;
}

/* Reads all that it writes; NULL: it is too much or too late, or nobody waits for it any more. */
static uint8_t *
read_all(const program *p, bool (*over)(void *arg), void *arg, size_t *n, char *problem)
{
	int64_t until = edge_clock() + PATIENCE;
	size_t room = 0;
	uint8_t *bytes = NULL;
	ssize_t got = 1;

	*n = 0;
	problem[0] = '\0';
	while (got != 0 && problem[0] == '\0')
	{
		struct pollfd poller = { .fd = p->output, .events = POLLIN };

		if (*n == room)
		{
			uint8_t *more = realloc(bytes, room + 65536);

			if (more == NULL)
			{
				snprintf(problem, EDGE_SPEECH_PROBLEM, "out of memory");
				break;
			}
			bytes = more;
			room += 65536;
		}
		if (poll(&poller, 1, POLL_MS) > 0)
			got = read(p->output, bytes + *n, room - *n);
		if (got > 0 && poller.revents != 0)
			*n += (size_t) got;
		if (got < 0 && poller.revents != 0 && errno != EINTR && errno != EAGAIN)
			snprintf(problem, EDGE_SPEECH_PROBLEM, "it cannot be read: %s", strerror(errno));
		else if (over != NULL && over(arg))
			snprintf(problem, EDGE_SPEECH_PROBLEM, "given up");
		else if (*n > MOST_BYTES)
			snprintf(problem, EDGE_SPEECH_PROBLEM, "it writes more than %zu bytes", MOST_BYTES);
		else if (got != 0 && edge_clock() >= until)
			snprintf(problem, EDGE_SPEECH_PROBLEM, "it takes longer than %d seconds",
					 (int) (PATIENCE / SECOND));
	}
	if (problem[0] == '\0')
		return bytes;
	free(bytes);
	return NULL;
}

/* It has closed its output, and is not needed any more; whether it ended well. */
static bool
end(program *p, bool well, char *problem)
{
	int64_t until = edge_clock() + SECOND;
	pid_t ended = 0;
	int status = 0;

	close(p->output);
	while (well && (ended = waitpid(p->pid, &status, WNOHANG)) == 0 && edge_clock() < until)
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	/* whatever it has begun */
	kill(-p->pid, SIGKILL);
	if (ended == 0)
		waitpid(p->pid, &status, 0);
	if (!well)
		return false;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (WIFEXITED(status))
		snprintf(problem, EDGE_SPEECH_PROBLEM, "it ended with status %d", WEXITSTATUS(status));
	else
		snprintf(problem, EDGE_SPEECH_PROBLEM, "it ended by signal %d", WTERMSIG(status));
	return false;
}

/* ---------------------------------------------------------------------------
 * What it has made
 * ---------------------------------------------------------------------------
 */

/* n samples at one rate to another one, in place of the array. */
static bool
convert(int16_t **samples, size_t *n, int from, int to)
{
	size_t size = mb_resampler_size(from, to);
	mb_resampler *resampler;
	void *memory = NULL;
	int16_t *out = NULL;

	if (from == to)
		return true;
	if (size > 0 && posix_memalign(&memory, 16, size) == 0 &&
		mb_resampler_init(&resampler, memory, size, from, to) == MB_OK)
		out = malloc(
			(mb_resampler_output_bound(resampler, *n) + mb_resampler_output_bound(resampler, 0)) *
			sizeof(*out));
	if (out != NULL)
	{
		size_t fed = mb_resampler_feed(resampler, *samples, *n, out);

		*n = fed + mb_resampler_flush(resampler, out + fed);
		free(*samples);
		*samples = out;
	}
	free(memory);
	return out != NULL;
}

/* Whether a WAV file has a sentence in it. */
static bool
fits(const uint8_t *bytes, size_t size, mb_wav_info *info, char *problem)
{
	mb_status status = mb_wav_read(bytes, size, info);

	if (status != MB_OK)
		snprintf(problem, EDGE_SPEECH_PROBLEM, "it writes no WAV file: %s",
				 mb_status_message(status));
	else if (info->frames == 0)
		snprintf(problem, EDGE_SPEECH_PROBLEM, "it writes a WAV file without samples");
	else if (!mb_resample_rate_known(info->sample_rate))
		snprintf(problem, EDGE_SPEECH_PROBLEM,
				 "it writes %d samples a second, which is no rate of speech", info->sample_rate);
	else if (info->frames > (size_t) info->sample_rate * MOST_SECONDS)
		snprintf(problem, EDGE_SPEECH_PROBLEM, "it speaks for longer than %d seconds",
				 MOST_SECONDS);
	else
		return true;
	return false;
}

static bool
decode(const uint8_t *bytes, size_t size, int rate, int16_t **samples, size_t *n, char *problem)
{
	mb_wav_info info = { 0 };
	int16_t *out;

	if (!fits(bytes, size, &info, problem))
		return false;
	out = malloc(info.frames * sizeof(*out));
	*n = info.frames;
	if (out != NULL && mb_wav_read_samples(&info, MB_WAV_MIX, 0, info.frames, out) == MB_OK &&
		convert(&out, n, info.sample_rate, rate))
	{
		*samples = out;
		return true;
	}
	snprintf(problem, EDGE_SPEECH_PROBLEM, "out of memory");
	free(out);
	return false;
}

bool
edge_speech_make(const char *command, const char *text, int rate, bool (*over)(void *arg),
				 void *arg, int16_t **samples, size_t *n, char problem[static EDGE_SPEECH_PROBLEM])
{
	program p;
	uint8_t *bytes;
	size_t size;
	bool fine;

	*samples = NULL;
	*n = 0;
	problem[0] = '\0';
	if (!begin(&p, command, text, problem))
		return false;
	bytes = read_all(&p, over, arg, &size, problem);
	fine = end(&p, bytes != NULL, problem) && decode(bytes, size, rate, samples, n, problem);
	free(bytes);
	return fine;
}

/* ---------------------------------------------------------------------------
 * The thread
 * ---------------------------------------------------------------------------
 */

/* Whether nobody waits for the sentence that is being made. */
static bool
is_over(void *arg)
{
	sentence *s = arg;
	bool answer;

	pthread_mutex_lock(&s->speech->worker.mutex);
	answer = s->speech->worker.stopping || s->number != s->speech->asked;
	pthread_mutex_unlock(&s->speech->worker.mutex);
	return answer;
}

static void
speak(edge_speech *speech, const sentence *s, const char *text, int rate, bool *complained)
{
	char problem[EDGE_SPEECH_PROBLEM];
	sentence wanted = *s;
	int16_t *samples;
	size_t n;

	if (!edge_speech_make(speech->command, text, rate, is_over, &wanted, &samples, &n, problem))
	{
		/* once, and not for each of them */
		if (!*complained && !is_over(&wanted))
		{
			edge_complain("answers are not spoken: %s: %s", speech->command, problem);
			*complained = true;
		}
		return;
	}
	*complained = false;
	pthread_mutex_lock(&speech->worker.mutex);
	if (s->number == speech->asked)
	{
		speech->samples = samples;
		speech->n = n;
		samples = NULL;
	}
	pthread_mutex_unlock(&speech->worker.mutex);
	free(samples);
}

static void *
speak_sentences(void *arg)
{
	edge_speech *speech = arg;
	sentence s = { .speech = speech };
	char text[EDGE_SPEECH_TEXT];
	bool complained = false;
	int rate;

	pthread_mutex_lock(&speech->worker.mutex);
	while (!speech->worker.stopping)
	{
		if (!speech->waiting)
		{
			pthread_cond_wait(&speech->worker.change, &speech->worker.mutex);
			continue;
		}
		speech->waiting = false;
		s.number = speech->asked;
		memcpy(text, speech->text, sizeof(text));
		rate = speech->rate;
		pthread_mutex_unlock(&speech->worker.mutex);
		speak(speech, &s, text, rate, &complained);
		pthread_mutex_lock(&speech->worker.mutex);
	}
	pthread_mutex_unlock(&speech->worker.mutex);
	return NULL;
}

edge_speech *
edge_speech_start(const char *command)
{
	edge_speech *speech = calloc(1, sizeof(*speech));

	if (speech == NULL)
		return NULL;
	speech->command = command;
	if (edge_worker_start(&speech->worker, STACK, speak_sentences, speech))
		return speech;
	free(speech);
	return NULL;
}

void
edge_speech_stop(edge_speech *speech)
{
	if (speech == NULL)
		return;
	edge_worker_stop(&speech->worker);
	free(speech->samples);
	free(speech);
}

/* Under the mutex: what was asked for is not waited for any more. */
static void
forget(edge_speech *speech)
{
	speech->asked++;
	speech->waiting = false;
	free(speech->samples);
	speech->samples = NULL;
	speech->n = 0;
}

void
edge_speech_ask(edge_speech *speech, const char *call_id, const char *text, int rate)
{
	pthread_mutex_lock(&speech->worker.mutex);
	forget(speech);
	snprintf(speech->call_id, sizeof(speech->call_id), "%s", call_id);
	snprintf(speech->text, sizeof(speech->text), "%s", text);
	speech->rate = rate;
	speech->waiting = true;
	pthread_cond_signal(&speech->worker.change);
	pthread_mutex_unlock(&speech->worker.mutex);
}

void
edge_speech_drop(edge_speech *speech)
{
	pthread_mutex_lock(&speech->worker.mutex);
	forget(speech);
	pthread_mutex_unlock(&speech->worker.mutex);
}

bool
edge_speech_take(edge_speech *speech, const char *call_id, int16_t **samples, size_t *n)
{
	bool there;

	pthread_mutex_lock(&speech->worker.mutex);
	there = speech->samples != NULL && strcmp(speech->call_id, call_id) == 0;
	if (there)
	{
		*samples = speech->samples;
		*n = speech->n;
		speech->samples = NULL;
	}
	pthread_mutex_unlock(&speech->worker.mutex);
	return there;
}
