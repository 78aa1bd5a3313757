/*
 * pcm_tty.c
 *	  "pcm-tty:PORT": raw s16le at 8000 Hz on a serial port of its own, as SIMCom and Quectel modems give it while a call is
 *	  up.
 *
 * Samples come in bursts, and the modem wants as many as it gives: every 40 ms it is fed, with silence when nothing is to be
 * played, for otherwise the other side goes deaf. Feeding is done in whatever function is called, so that somebody
 * must always be reading; a feed that comes late is left out, not made up for.
 *
 * The clock is ours. What the modem gave is held against it: when it stays behind by more than bursts explain, samples
 * were lost, and the next block says so. The drift of its clock is let through.
 */
#include "drivers.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serial.h"

#define RATE 8000
#define BLOCK (RATE / 1000 * EDGE_BLOCK_MS)
#define FEED (2 * BLOCK)
#define MILLISECOND INT64_C(1000000)
#define SECOND (1000 * MILLISECOND)
#define SAMPLE (SECOND / RATE)
#define FEED_TIME (FEED * SAMPLE)
/* Feeds that are later than this are left out. */
#define LATEST_FEED (4 * FEED_TIME)
/* Bursts of a modem on USB are up to 100 ms long. */
#define JITTER_MS 100
/* The least that the modem is behind is taken over so long. */
#define WINDOW SECOND
#define PAUSE (300 * MILLISECOND)
/* A clock may be off by so much in a window, which is 1000 ppm. */
#define DRIFT MILLISECOND
#define INPUT (RATE * 2)
#define OUTPUT (RATE * 2)

typedef struct pcm_tty
{
	int fd;

	/* what came, from the reader's side only */
	uint8_t input[INPUT];
	size_t filled;
	uint64_t received; /* samples, those that were lost included */
	uint64_t lost;	   /* that the next block tells */
	int64_t begun;	   /* when the first sample was spoken; 0: none yet */
	int64_t window_end;
	int64_t least;	/* that the modem was behind in this window */
	int64_t normal; /* that it is behind */
	bool settled;	/* that is known */
	int64_t came_at;

	/* what is to be played */
	pthread_mutex_t lock;
	int16_t output[OUTPUT];
	size_t first;
	size_t waiting;
	uint64_t played;
	int64_t feed_at; /* 0: not yet */
	uint8_t unsent[FEED * 2];
	size_t unsent_bytes;
} pcm_tty;

static edge_audio_status
pcm_open(edge_audio *audio, const char *name, const edge_audio_request *request)
{
	pcm_tty *pcm;
	edge_audio_status status;
	int fd;

	if ((request->sample_rate != 0 && request->sample_rate != RATE) || request->channels > 1)
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT,
							  "pcm-tty: gives 8000 Hz and one channel, nothing else");
	status = edge_serial_open(name, false, &fd, audio->problem);
	if (status != EDGE_AUDIO_OK)
		return status;
	pcm = calloc(1, sizeof(*pcm));
	if (pcm == NULL)
	{
		edge_serial_close(fd);
		return edge_audio_say(audio, EDGE_AUDIO_BUSY, "out of memory");
	}
	pcm->fd = fd;
	pcm->least = INT64_MAX;
	pthread_mutex_init(&pcm->lock, NULL);
	audio->state = pcm;
	audio->traits.sample_rate = RATE;
	audio->traits.channels = 1;
	audio->traits.capture = request->capture;
	audio->traits.playback = request->playback;
	audio->traits.duplex = true;
	audio->traits.pace = EDGE_PACED_BY_US;
	audio->traits.buffer_ms = INPUT / 2 * 1000 / RATE;
	audio->traits.jitter_ms = JITTER_MS;
	audio->traits.detail = "raw s16le, 8000 Hz, one channel";
	return EDGE_AUDIO_OK;
}

static void
pcm_close(edge_audio *audio)
{
	pcm_tty *pcm = audio->state;

	edge_serial_close(pcm->fd);
	pthread_mutex_destroy(&pcm->lock);
	free(pcm);
}

/* Takes the next 40 ms of what is to be played, and silence behind it. */
static void
fill_feed(pcm_tty *pcm)
{
	size_t n = pcm->waiting < FEED ? pcm->waiting : FEED;

	memset(pcm->unsent, 0, sizeof(pcm->unsent));
	for (size_t i = 0; i < n; i++)
	{
		uint16_t sample = (uint16_t) pcm->output[(pcm->first + i) % OUTPUT];

		pcm->unsent[2 * i] = (uint8_t) sample;
		pcm->unsent[2 * i + 1] = (uint8_t) (sample >> 8);
	}
	pcm->first = (pcm->first + n) % OUTPUT;
	pcm->waiting -= n;
	pcm->played += n;
	pcm->unsent_bytes = sizeof(pcm->unsent);
}

/* Gives the modem what is due; returns when the next time is. */
static int64_t
feed(pcm_tty *pcm)
{
	int64_t now = edge_clock();
	int64_t next;

	pthread_mutex_lock(&pcm->lock);
	if (pcm->feed_at == 0 || now - pcm->feed_at > LATEST_FEED)
		pcm->feed_at = now;
	while (now >= pcm->feed_at)
	{
		ssize_t written;

		if (pcm->unsent_bytes == 0)
			fill_feed(pcm);
		written = write(pcm->fd, pcm->unsent + sizeof(pcm->unsent) - pcm->unsent_bytes,
						pcm->unsent_bytes);
		/* what does not go now goes first the next time, so that halves of samples keep together */
		if (written > 0)
			pcm->unsent_bytes -= (size_t) written;
		pcm->feed_at += FEED_TIME;
	}
	next = pcm->feed_at;
	pthread_mutex_unlock(&pcm->lock);
	return next;
}

/*
 * Holds what came against our clock; everything that was there has been read, and something was. After a pause a window
 * begins anew, because what was spoken in it may still come.
 */
static void
watch_clock(pcm_tty *pcm, int64_t now)
{
	int64_t behind = now - pcm->begun - (int64_t) pcm->received * SAMPLE;

	if (now - pcm->came_at > PAUSE)
	{
		pcm->least = INT64_MAX;
		pcm->window_end = now + WINDOW;
	}
	pcm->came_at = now;
	if (behind < pcm->least)
		pcm->least = behind;
	if (now < pcm->window_end)
		return;
	if (pcm->least - pcm->normal >= JITTER_MS * MILLISECOND && pcm->settled)
	{
		uint64_t blocks = (uint64_t) ((pcm->least - pcm->normal) / (BLOCK * SAMPLE));

		pcm->lost += blocks * BLOCK;
		pcm->received += blocks * BLOCK;
	}
	else if (pcm->least < pcm->normal || !pcm->settled)
		pcm->normal = pcm->least;
	else
		pcm->normal += pcm->least - pcm->normal < DRIFT ? pcm->least - pcm->normal : DRIFT;
	pcm->settled = true;
	pcm->least = INT64_MAX;
	pcm->window_end = now + WINDOW;
}

/* Reads what is there; AWAY when the port is gone. */
static edge_audio_status
fill(edge_audio *audio, pcm_tty *pcm)
{
	bool came = false;

	while (pcm->filled < INPUT)
	{
		ssize_t got = read(pcm->fd, pcm->input + pcm->filled, INPUT - pcm->filled);
		int64_t now = edge_clock();

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
		{
			if (came)
				watch_clock(pcm, now);
			return EDGE_AUDIO_OK;
		}
		if (got <= 0)
			return edge_audio_say(audio, EDGE_AUDIO_AWAY, "the modem's audio port is gone: %s",
								  got == 0 ? "hung up" : strerror(errno));
		if (pcm->begun == 0)
		{
			pcm->begun = now - got / 2 * SAMPLE;
			pcm->window_end = now + WINDOW;
			pcm->came_at = now;
		}
		came = true;
		pcm->received += (pcm->filled % 2 + (size_t) got) / 2;
		pcm->filled += (size_t) got;
	}
	return EDGE_AUDIO_OK;
}

/* Hands out the block that came first. */
static void
hand_out(edge_audio *audio, pcm_tty *pcm, int16_t *samples, edge_audio_block *block)
{
	uint64_t before = pcm->received - pcm->filled / 2;

	for (size_t i = 0; i < BLOCK; i++)
		samples[i] = (int16_t) (pcm->input[2 * i] | pcm->input[2 * i + 1] << 8);
	pcm->filled -= 2 * BLOCK;
	memmove(pcm->input, pcm->input + 2 * BLOCK, pcm->filled);
	block->frames = BLOCK;
	block->lost = pcm->lost;
	block->time = pcm->begun + pcm->normal + (int64_t) before * SAMPLE;
	pcm->lost = 0;
	(void) audio;
}

static edge_audio_status
pcm_read(edge_audio *audio, int16_t *samples, edge_audio_block *block, int timeout)
{
	pcm_tty *pcm = audio->state;
	int64_t until = edge_clock() + timeout * MILLISECOND;

	for (;;)
	{
		struct pollfd port = { .fd = pcm->fd, .events = POLLIN };
		int64_t next = feed(pcm);
		int64_t left;
		edge_audio_status status;

		if (pcm->filled < 2 * BLOCK)
		{
			status = fill(audio, pcm);
			if (status != EDGE_AUDIO_OK)
				return status;
		}
		if (pcm->filled >= 2 * BLOCK)
		{
			hand_out(audio, pcm, samples, block);
			return EDGE_AUDIO_OK;
		}
		left = (next < until ? next : until) - edge_clock();
		if (edge_clock() >= until)
			return EDGE_AUDIO_LATER;
		poll(&port, 1, left <= 0 ? 0 : (int) ((left + MILLISECOND - 1) / MILLISECOND));
	}
}

static void
sleep_until(int64_t at)
{
	struct timespec time = { .tv_sec = at / SECOND, .tv_nsec = at % SECOND };

	clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &time, NULL);
}

static edge_audio_status
pcm_write(edge_audio *audio, const int16_t *samples, size_t frames, int timeout)
{
	pcm_tty *pcm = audio->state;
	int64_t until = edge_clock() + timeout * MILLISECOND;

	if (frames > OUTPUT)
		return edge_audio_say(audio, EDGE_AUDIO_UNABLE, "at most %d frames at once", OUTPUT);
	for (;;)
	{
		int64_t next = feed(pcm);
		bool room;

		pthread_mutex_lock(&pcm->lock);
		room = pcm->waiting + frames <= OUTPUT;
		for (size_t i = 0; room && i < frames; i++)
			pcm->output[(pcm->first + pcm->waiting + i) % OUTPUT] = samples[i];
		pcm->waiting += room ? frames : 0;
		pthread_mutex_unlock(&pcm->lock);
		if (room)
			return EDGE_AUDIO_OK;
		if (edge_clock() >= until)
			return EDGE_AUDIO_LATER;
		sleep_until(next < until ? next : until);
	}
}

static edge_audio_status
pcm_drain(edge_audio *audio)
{
	pcm_tty *pcm = audio->state;

	for (;;)
	{
		int64_t next = feed(pcm);
		bool empty;

		pthread_mutex_lock(&pcm->lock);
		empty = pcm->waiting == 0;
		pthread_mutex_unlock(&pcm->lock);
		/* what was given last is heard when the next is due */
		sleep_until(next);
		if (empty)
			return EDGE_AUDIO_OK;
	}
}

static void
pcm_drop(edge_audio *audio)
{
	pcm_tty *pcm = audio->state;

	pthread_mutex_lock(&pcm->lock);
	pcm->played += pcm->waiting;
	pcm->waiting = 0;
	pthread_mutex_unlock(&pcm->lock);
}

static void
pcm_position(edge_audio *audio, edge_audio_position *position)
{
	pcm_tty *pcm = audio->state;

	pthread_mutex_lock(&pcm->lock);
	position->played = pcm->played;
	pthread_mutex_unlock(&pcm->lock);
}

const edge_audio_driver edge_pcm_tty_driver = {
	.kind = "pcm-tty",
	.naming = "a modem's serial port for audio, /dev/ttyUSB4 or /dev/ttyUSB4,921600",
	.open = pcm_open,
	.read = pcm_read,
	.write = pcm_write,
	.drain = pcm_drain,
	.drop = pcm_drop,
	.position = pcm_position,
	.close = pcm_close,
};
