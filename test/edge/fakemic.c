/*
 * fakemic.c
 *	  A sound card for tests: an ALSA plugin that records and plays at the pace of a clock, and fails on command.
 *
 *	pcm.mic { type fakemic dir "/tmp/x" rate 8000 channels 1 format S16_LE }
 *	pcm_type.fakemic { lib "/…/libfakemic.so" }
 *
 * Sample i since the card was first opened is i * 7919 modulo 2^16, in the second channel all its bits turned, so that each
 * sample tells when it was recorded. When that was is kept in the file "begun" of the directory, over closing and opening.
 * With "line 1" it is what the file "line" has as its sample i (s16le, one channel), and silence where that file has a hole
 * or ends. With "echo N" what was played N samples before, at -20 dB, is mixed into it.
 * A reader who is a buffer late gets -EPIPE, and the file "late" says that one was.
 *
 * What is played is recorded in the file "played", the first channel of it, as s16le: sample i is what was heard while sample i of the
 * other direction was recorded. What was given to the card and dropped is not in it. A writer who lets it run dry gets -EPIPE, and the
 * file "dry" says that one did.
 *
 * Files in the directory make it fail:
 *
 *	overrun		-EPIPE, once: it is deleted then
 *	underrun	the same of what is played
 *	suspended	-ESTRPIPE, and it cannot be prepared while the file is there
 *	unplugged	-ENODEV, and -ENODEV when it is opened, while the file is there
 *	busy		-EBUSY when it is opened
 */
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define MOST 960 /* samples that are recorded at once */

typedef struct fakemic
{
	snd_pcm_ioplug_t io;
	char dir[200];
	unsigned rate;
	long long begun;
	unsigned long long first; /* sample of this run */
	unsigned long long produced;
	unsigned long long taken;
	bool line;
	long echo; /* samples; 0: none */
	int line_file;
	int played_file;

	/* what was given to be played, and is not heard yet, in a ring of the buffer's size */
	short *ring;
	unsigned long long heard;
} fakemic;

static long long
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static int
there(const fakemic *mic, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", mic->dir, name);
	return access(path, F_OK) == 0;
}

static int
open_file(const fakemic *mic, const char *name, int flags)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", mic->dir, name);
	return open(path, flags | O_CLOEXEC, 0666);
}

static void
leave_mark(const fakemic *mic, const char *name)
{
	close(open_file(mic, name, O_CREAT | O_WRONLY));
}

/* Whether it is to fail in this way; it will not again. */
static bool
told_to(const fakemic *mic, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", mic->dir, name);
	return unlink(path) == 0;
}

static unsigned long long
samples_until(const fakemic *mic, long long time)
{
	long long passed = time - mic->begun;

	return (unsigned long long) (passed / SECOND * mic->rate +
								 passed % SECOND * mic->rate / SECOND);
}

static int
mic_start(snd_pcm_ioplug_t *io)
{
	fakemic *mic = io->private_data;
	struct itimerspec every = { { 0, 20000000 }, { 0, 20000000 } };

	mic->first = samples_until(mic, now());
	mic->produced = mic->taken = mic->heard = 0;
	return timerfd_settime(io->poll_fd, 0, &every, NULL);
}

static int
mic_stop(snd_pcm_ioplug_t *io)
{
	return timerfd_settime(io->poll_fd, 0, &(struct itimerspec){ 0 }, NULL);
}

static snd_pcm_sframes_t
mic_pointer(snd_pcm_ioplug_t *io)
{
	fakemic *mic = io->private_data;
	char expirations[8];

	if (read(io->poll_fd, expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
		return -EIO;
	if (told_to(mic, "overrun"))
		return -EPIPE;
	mic->produced = samples_until(mic, now()) - mic->first;
	/* the library itself is as strict as that */
	if (mic->produced - mic->taken >= io->buffer_size)
		leave_mark(mic, "late");
	if (mic->produced - mic->taken > io->buffer_size)
		return -EPIPE;
	return (snd_pcm_sframes_t) (mic->produced % io->buffer_size);
}

/* Samples of what comes over the line, or of the echo of what was played; silence where there are none. */
static void
samples_at(int file, long long index, short *samples, size_t n)
{
	long long missing = index < 0 ? -index : 0;
	ssize_t got;

	memset(samples, 0, n * sizeof(*samples));
	if (missing >= (long long) n)
		return;
	got = pread(file, samples + missing, (n - (size_t) missing) * sizeof(*samples),
				(off_t) (index + missing) * 2);
	/* half a sample is none */
	if (got > 0 && got % 2 != 0)
		samples[missing + got / 2] = 0;
}

/* At most a period. */
static void
record(const fakemic *mic, unsigned long long index, short *samples, size_t n)
{
	short echo[MOST];

	if (mic->line)
		samples_at(mic->line_file, (long long) index, samples, n);
	for (size_t i = 0; !mic->line && i < n; i++)
		samples[i] = (short) ((index + i) * 7919);
	if (mic->echo <= 0)
		return;
	samples_at(mic->played_file, (long long) index - mic->echo, echo, n);
	for (size_t i = 0; i < n; i++)
	{
		int value = samples[i] + echo[i] / 10;

		samples[i] = (short) (value > 32767 ? 32767 : value < -32768 ? -32768 : value);
	}
}

static void
put(snd_pcm_format_t format, unsigned char *p, short value)
{
	unsigned bits = (unsigned short) value;

	switch (format)
	{
		case SND_PCM_FORMAT_S32_LE:
			*p++ = 0;
			/* fall through */
		case SND_PCM_FORMAT_S24_3LE:
			*p++ = 0;
			/* fall through */
		case SND_PCM_FORMAT_S16_LE:
			*p++ = (unsigned char) bits;
			*p = (unsigned char) (bits >> 8);
			break;
		default: /* U8 */
			*p = (unsigned char) ((bits >> 8) ^ 0x80);
	}
}

static snd_pcm_sframes_t
mic_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas, snd_pcm_uframes_t offset,
			 snd_pcm_uframes_t size)
{
	fakemic *mic = io->private_data;
	short samples[MOST];

	if (there(mic, "unplugged"))
		return -ENODEV;
	if (there(mic, "suspended"))
	{
		snd_pcm_ioplug_set_state(io, SND_PCM_STATE_SUSPENDED);
		return -ESTRPIPE;
	}
	size = size < MOST ? size : MOST;
	record(mic, mic->first + mic->taken, samples, size);
	for (snd_pcm_uframes_t i = 0; i < size; i++)
	{
		short value = samples[i];

		for (unsigned c = 0; c < io->channels; c++)
			put(io->format,
				(unsigned char *) areas[c].addr +
					(areas[c].first + (offset + i) * areas[c].step) / 8,
				c == 0 ? value : (short) ~value);
	}
	mic->taken += size;
	return (snd_pcm_sframes_t) size;
}

/* Resuming always succeeds: the library does not ask. */
static int
mic_prepare(snd_pcm_ioplug_t *io)
{
	return there(io->private_data, "suspended") ? -ESTRPIPE : 0;
}

static int
mic_close(snd_pcm_ioplug_t *io)
{
	fakemic *mic = io->private_data;

	close(io->poll_fd);
	if (mic->line_file >= 0)
		close(mic->line_file);
	if (mic->played_file >= 0)
		close(mic->played_file);
	free(mic->ring);
	free(mic);
	return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = { .start = mic_start,
													 .stop = mic_stop,
													 .pointer = mic_pointer,
													 .transfer = mic_transfer,
													 .prepare = mic_prepare,
													 .close = mic_close };

/* --- what is played --- */

/* What was heard up to now goes into the file. */
static void
hear(fakemic *mic, unsigned long long until, unsigned long long size)
{
	while (mic->heard < until)
	{
		short sample = mic->ring[mic->heard % size];

		(void) !pwrite(mic->played_file, &sample, sizeof(sample),
					   (off_t) (mic->first + mic->heard) * 2);
		mic->heard++;
	}
}

static int
play_prepare(snd_pcm_ioplug_t *io)
{
	fakemic *mic = io->private_data;

	if (there(mic, "suspended"))
		return -ESTRPIPE;
	mic->taken = mic->heard = 0;
	free(mic->ring);
	mic->ring = calloc(io->buffer_size, sizeof(*mic->ring));
	return mic->ring == NULL ? -ENOMEM : 0;
}

static int
play_start(snd_pcm_ioplug_t *io)
{
	fakemic *mic = io->private_data;
	struct itimerspec every = { { 0, 20000000 }, { 0, 20000000 } };

	mic->first = samples_until(mic, now());
	return timerfd_settime(io->poll_fd, 0, &every, NULL);
}

static snd_pcm_sframes_t
play_pointer(snd_pcm_ioplug_t *io)
{
	fakemic *mic = io->private_data;
	unsigned long long due = samples_until(mic, now()) - mic->first;
	char expirations[8];

	if (read(io->poll_fd, expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
		return -EIO;
	/* it is asked for before it starts, too */
	if (io->state != SND_PCM_STATE_RUNNING && io->state != SND_PCM_STATE_DRAINING)
		return (snd_pcm_sframes_t) (mic->heard % io->buffer_size);
	hear(mic, due < mic->taken ? due : mic->taken, io->buffer_size);
	if (told_to(mic, "underrun"))
		return -EPIPE;
	if (due >= mic->taken)
	{
		leave_mark(mic, "dry");
		return -EPIPE;
	}
	return (snd_pcm_sframes_t) (due % io->buffer_size);
}

static int
play_stop(snd_pcm_ioplug_t *io)
{
	fakemic *mic = io->private_data;
	unsigned long long due = samples_until(mic, now()) - mic->first;

	if (io->state == SND_PCM_STATE_RUNNING || io->state == SND_PCM_STATE_DRAINING)
		hear(mic, due < mic->taken ? due : mic->taken, io->buffer_size);
	return timerfd_settime(io->poll_fd, 0, &(struct itimerspec){ 0 }, NULL);
}

static short
sample_of(snd_pcm_format_t format, const unsigned char *p)
{
	switch (format)
	{
		case SND_PCM_FORMAT_S32_LE:
			p++;
			/* fall through */
		case SND_PCM_FORMAT_S24_3LE:
			p++;
			/* fall through */
		case SND_PCM_FORMAT_S16_LE:
			return (short) (p[0] | p[1] << 8);
		default: /* U8 */
			return (short) ((p[0] - 128) * 256);
	}
}

static snd_pcm_sframes_t
play_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas, snd_pcm_uframes_t offset,
			  snd_pcm_uframes_t size)
{
	fakemic *mic = io->private_data;

	if (there(mic, "unplugged"))
		return -ENODEV;
	if (there(mic, "suspended"))
	{
		snd_pcm_ioplug_set_state(io, SND_PCM_STATE_SUSPENDED);
		return -ESTRPIPE;
	}
	for (snd_pcm_uframes_t i = 0; i < size; i++)
	{
		const unsigned char *p = (const unsigned char *) areas[0].addr +
								 (areas[0].first + (offset + i) * areas[0].step) / 8;

		mic->ring[(mic->taken + i) % io->buffer_size] = sample_of(io->format, p);
	}
	mic->taken += size;
	return (snd_pcm_sframes_t) size;
}

static const snd_pcm_ioplug_callback_t play_callbacks = { .start = play_start,
														  .stop = play_stop,
														  .pointer = play_pointer,
														  .transfer = play_transfer,
														  .prepare = play_prepare,
														  .close = mic_close };

/* --- opening --- */

/* When the card was first opened. */
static void
begin(fakemic *mic)
{
	char path[300];
	FILE *file;

	snprintf(path, sizeof(path), "%s/begun", mic->dir);
	file = fopen(path, "r");
	if (file != NULL && fscanf(file, "%lld", &mic->begun) == 1)
	{
		fclose(file);
		return;
	}
	mic->begun = now();
	file = fopen(path, "w");
	if (file != NULL)
	{
		fprintf(file, "%lld\n", mic->begun);
		fclose(file);
	}
}

static int
constrain(fakemic *mic, unsigned channels, unsigned format)
{
	unsigned access = SND_PCM_ACCESS_RW_INTERLEAVED;
	unsigned bytes = channels * (unsigned) snd_pcm_format_physical_width((int) format) / 8;
	unsigned period = mic->rate / 50 * bytes;
	snd_pcm_ioplug_t *io = &mic->io;
	int error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 1, &access);

	if (error >= 0)
		error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, 1, &format);
	if (error >= 0)
		error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_CHANNELS, channels, channels);
	if (error >= 0)
		error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_RATE, mic->rate, mic->rate);
	if (error >= 0)
		error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, period, period);
	if (error >= 0)
		error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIODS, 2, 50);
	return error;
}

SND_PCM_PLUGIN_DEFINE_FUNC(fakemic)
{
	snd_config_iterator_t i;
	snd_config_iterator_t next;
	fakemic *mic = calloc(1, sizeof(*mic));
	long number = 0;
	unsigned channels = 1;
	int format = SND_PCM_FORMAT_S16_LE;
	int error;

	if (mic == NULL)
		return -ENOMEM;
	mic->rate = 8000;
	snd_config_for_each(i, next, conf)
	{
		snd_config_t *entry = snd_config_iterator_entry(i);
		const char *key;
		const char *text;

		if (snd_config_get_id(entry, &key) < 0)
			continue;
		if (strcmp(key, "dir") == 0 && snd_config_get_string(entry, &text) == 0)
			snprintf(mic->dir, sizeof(mic->dir), "%s", text);
		else if (strcmp(key, "format") == 0 && snd_config_get_string(entry, &text) == 0)
			format = snd_pcm_format_value(text);
		else if (strcmp(key, "rate") == 0 && snd_config_get_integer(entry, &number) == 0)
			mic->rate = (unsigned) number;
		else if (strcmp(key, "channels") == 0 && snd_config_get_integer(entry, &number) == 0)
			channels = (unsigned) number;
		else if (strcmp(key, "line") == 0 && snd_config_get_integer(entry, &number) == 0)
			mic->line = number != 0;
		else if (strcmp(key, "echo") == 0 && snd_config_get_integer(entry, &number) == 0)
			mic->echo = number;
	}
	error = there(mic, "unplugged") ? -ENODEV : there(mic, "busy") ? -EBUSY : 0;
	if (error < 0)
	{
		free(mic);
		return error;
	}
	begin(mic);
	mic->line_file = mic->line ? open_file(mic, "line", O_CREAT | O_RDONLY) : -1;
	mic->played_file = mic->echo > 0 || stream == SND_PCM_STREAM_PLAYBACK
						   ? open_file(mic, "played", O_CREAT | O_RDWR)
						   : -1;
	mic->io.version = SND_PCM_IOPLUG_VERSION;
	mic->io.name = "a sound card for tests";
	mic->io.callback = stream == SND_PCM_STREAM_PLAYBACK ? &play_callbacks : &callbacks;
	mic->io.private_data = mic;
	mic->io.poll_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	mic->io.poll_events = POLLIN;
	mic->io.flags = SND_PCM_IOPLUG_FLAG_MONOTONIC;
	error = snd_pcm_ioplug_create(&mic->io, name, stream, mode);
	if (error < 0)
	{
		free(mic);
		return error;
	}
	error = constrain(mic, channels, (unsigned) format);
	if (error < 0)
	{
		snd_pcm_ioplug_delete(&mic->io);
		return error;
	}
	*pcmp = mic->io.pcm;
	return 0;
}

SND_PCM_PLUGIN_SYMBOL(fakemic);
