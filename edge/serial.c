/*
 * serial.c
 *	  Serial ports; see serial.h.
 */
#include "serial.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define PROBLEM 256
#define MILLISECOND INT64_C(1000000)

static const struct
{
	int baud;
	speed_t speed;
} speeds[] = {
	{ 9600, B9600 },	 { 19200, B19200 },	  { 38400, B38400 },   { 57600, B57600 },
	{ 115200, B115200 }, { 230400, B230400 }, { 460800, B460800 }, { 921600, B921600 },
};

static bool
speed_of(const char *text, speed_t *speed)
{
	char *end;
	long baud = strtol(text, &end, 10);

	for (size_t i = 0; *end == '\0' && i < sizeof(speeds) / sizeof(speeds[0]); i++)
	{
		if (speeds[i].baud != baud)
			continue;
		*speed = speeds[i].speed;
		return true;
	}
	return false;
}

/* Bytes as they are, and nothing that an earlier user left. */
static bool
make_raw(int fd, speed_t speed, bool flow)
{
	struct termios modes;

	if (tcgetattr(fd, &modes) < 0)
		return false;
	cfmakeraw(&modes);
	modes.c_cflag |= CLOCAL | CREAD;
	modes.c_cflag &= ~(tcflag_t) (HUPCL | CRTSCTS);
	if (flow)
		modes.c_cflag |= CRTSCTS;
	cfsetispeed(&modes, speed);
	cfsetospeed(&modes, speed);
	return tcsetattr(fd, TCSANOW, &modes) == 0 && tcflush(fd, TCIOFLUSH) == 0;
}

static edge_audio_status
refuse(const char *path, int error, char *problem)
{
	switch (error)
	{
		case ENOENT:
		case ENOTDIR:
			snprintf(problem, PROBLEM,
					 "there is no %.150s: is the modem plugged in, and its driver loaded?", path);
			return EDGE_AUDIO_MISSING;
		case ENODEV:
		case ENXIO:
		case EIO:
			snprintf(problem, PROBLEM, "%.150s is not there any more: %s", path, strerror(error));
			return EDGE_AUDIO_AWAY;
		case EACCES:
		case EPERM:
			snprintf(problem, PROBLEM,
					 "%.150s may not be opened: is the user in the group dialout?", path);
			return EDGE_AUDIO_DENIED;
		case EBUSY:
		case EWOULDBLOCK:
			snprintf(problem, PROBLEM,
					 "%.150s is taken by another program, perhaps ModemManager: fuser tells", path);
			return EDGE_AUDIO_BUSY;
		default:
			snprintf(problem, PROBLEM, "%.150s cannot be opened: %s", path, strerror(error));
			return EDGE_AUDIO_MISSING;
	}
}

edge_audio_status
edge_serial_open(const char *name, bool flow, int *fd, char *problem)
{
	const char *comma = strrchr(name, ',');
	size_t n = comma == NULL ? strlen(name) : (size_t) (comma - name);
	char path[PATH_MAX];
	speed_t speed = B115200;

	*fd = -1;
	if (n == 0 || n >= sizeof(path) || (comma != NULL && !speed_of(comma + 1, &speed)))
	{
		snprintf(problem, PROBLEM,
				 "\"%.100s\" is no serial port, such as /dev/ttyUSB4 or /dev/ttyUSB4,921600", name);
		return EDGE_AUDIO_NAME;
	}
	memcpy(path, name, n);
	path[n] = '\0';
	*fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (*fd < 0)
		return refuse(path, errno, problem);
	/* programs of the time of lock files ask TIOCEXCL, ours a lock */
	if (flock(*fd, LOCK_EX | LOCK_NB) == 0 && make_raw(*fd, speed, flow))
	{
		ioctl(*fd, TIOCEXCL);
		return EDGE_AUDIO_OK;
	}
	if (errno == ENOTTY)
	{
		snprintf(problem, PROBLEM, "%.200s is no serial port", path);
		close(*fd);
		*fd = -1;
		return EDGE_AUDIO_FORMAT;
	}
	n = (size_t) errno;
	close(*fd);
	*fd = -1;
	return refuse(path, (int) n, problem);
}

void
edge_serial_close(int fd)
{
	/* somebody else may have had it open before us, and then it would stay so */
	ioctl(fd, TIOCNXCL);
	close(fd);
}

bool
edge_serial_write(int fd, const void *bytes, size_t n, int timeout)
{
	const uint8_t *at = bytes;
	int64_t until = edge_clock() + timeout * MILLISECOND;

	while (n > 0)
	{
		struct pollfd port = { .fd = fd, .events = POLLOUT };
		ssize_t written = write(fd, at, n);
		int64_t left = until - edge_clock();

		if (written > 0)
		{
			at += written;
			n -= (size_t) written;
			continue;
		}
		if (written < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (left <= 0 || (poll(&port, 1, (int) (left / MILLISECOND) + 1) < 0 && errno != EINTR))
			return false;
	}
	return true;
}
