/*
 * child.c
 *	  A fork that works; see child.h.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * Libraries complain on standard error and may quote the text they were given.  The
 * sanitizers' reports come the same way and are let through.
 */
static void
silence_libraries(void)
{
#ifndef __SANITIZE_ADDRESS__
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	close(null);
#endif
}

void
speech_child_become(int fd, pid_t parent, int cpu_seconds, int nice)
{
	struct rlimit limit = { .rlim_cur = 0, .rlim_max = 0 };
	sigset_t none;
	int oom;

	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	prctl(PR_SET_NAME, "speech-job");

	setrlimit(RLIMIT_CORE, &limit); /* a core would hold what callers said */
	limit.rlim_cur = limit.rlim_max = (rlim_t) cpu_seconds;
	setrlimit(RLIMIT_CPU, &limit);
	setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + nice);
	oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (oom >= 0)
	{
		if (write(oom, "500", 3) < 0)
			errno = 0; /* only a preference */
		close(oom);
	}

	if (fd != SPEECH_CHILD_FD && dup2(fd, SPEECH_CHILD_FD) < 0)
		_exit(1);
	closefrom(SPEECH_CHILD_FD + 1);
	silence_libraries();
}

bool
speech_child_write(const void *data, size_t n)
{
	const char *bytes = data;

	while (n > 0)
	{
		ssize_t written = write(SPEECH_CHILD_FD, bytes, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		bytes += written;
		n -= (size_t) written;
	}
	return true;
}
