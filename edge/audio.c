/*
 * audio.c
 *	  What all devices have in common: names, positions, the pace of what has none; see audio.h.
 */
#include "audio.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "drivers.h"

#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)

const edge_audio_driver *const edge_audio_drivers[] = { &edge_alsa_driver,	&edge_pcm_tty_driver,
														&edge_v253_driver,	&edge_file_driver,
														&edge_stdin_driver, NULL };

int64_t
edge_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

edge_audio_status
edge_audio_say(edge_audio *audio, edge_audio_status status, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(audio->problem, sizeof(audio->problem), format, list);
	va_end(list);
	return status;
}

edge_audio_status
edge_audio_open(edge_audio *audio, const char *name, const edge_audio_request *request)
{
	const char *colon = strchr(name, ':');
	const char *kind = colon == NULL ? edge_file_driver.kind : name;
	size_t n = colon == NULL ? strlen(kind) : (size_t) (colon - name);
	edge_audio_status status;

	*audio = (edge_audio){ 0 };
	for (int i = 0; edge_audio_drivers[i] != NULL; i++)
	{
		const edge_audio_driver *driver = edge_audio_drivers[i];

		if (strlen(driver->kind) != n || memcmp(driver->kind, kind, n) != 0)
			continue;
		audio->driver = driver;
		status = driver->open(audio, colon == NULL ? name : colon + 1, request);
		if (status != EDGE_AUDIO_OK)
		{
			audio->driver = NULL;
			return status;
		}
		audio->traits.block = (size_t) audio->traits.sample_rate * EDGE_BLOCK_MS / 1000;
		if (request->real_pace && audio->traits.pace == EDGE_PACED_BY_NOBODY)
			audio->begun = edge_clock();
		return EDGE_AUDIO_OK;
	}
	return edge_audio_say(audio, EDGE_AUDIO_NAME, "\"%.*s\" is no kind of device, see --help",
						  (int) n, name);
}

/* When the block that begins with that frame would have been recorded. */
static int64_t
time_of(const edge_audio *audio, uint64_t frame)
{
	uint64_t rate = (uint64_t) audio->traits.sample_rate;

	return audio->begun + (int64_t) (frame / rate) * SECOND +
		   (int64_t) (frame % rate * (uint64_t) SECOND / rate);
}

/* Waits for the end of the block that comes next; LATER when that is not within the time. */
static edge_audio_status
keep_pace(const edge_audio *audio, int timeout)
{
	int64_t due = time_of(audio, audio->position.captured + audio->traits.block);
	int64_t latest = edge_clock() + timeout * MILLISECOND;
	int64_t until = due < latest ? due : latest;
	struct timespec at = { .tv_sec = until / SECOND, .tv_nsec = until % SECOND };

	while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
	return due <= latest ? EDGE_AUDIO_OK : EDGE_AUDIO_LATER;
}

edge_audio_status
edge_audio_read(edge_audio *audio, int16_t *samples, edge_audio_block *block, int timeout)
{
	edge_audio_status status;

	*block = (edge_audio_block){ 0 };
	if (audio->driver->read == NULL || !audio->traits.capture)
		return edge_audio_say(audio, EDGE_AUDIO_UNABLE, "%s: nothing can be recorded from it",
							  audio->driver->kind);
	if (audio->begun != 0 && keep_pace(audio, timeout) != EDGE_AUDIO_OK)
		return EDGE_AUDIO_LATER;
	status = audio->driver->read(audio, samples, block, timeout);
	if (status != EDGE_AUDIO_OK)
		return status;
	if (audio->begun != 0)
		block->time = time_of(audio, audio->position.captured + block->lost);
	audio->position.captured += block->frames + block->lost;
	audio->position.lost += block->lost;
	return EDGE_AUDIO_OK;
}

edge_audio_status
edge_audio_write(edge_audio *audio, const int16_t *samples, size_t frames, int timeout)
{
	edge_audio_status status;

	if (audio->driver->write == NULL || !audio->traits.playback)
		return edge_audio_say(audio, EDGE_AUDIO_UNABLE, "%s: nothing can be played on it",
							  audio->driver->kind);
	status = audio->driver->write(audio, samples, frames, timeout);
	if (status == EDGE_AUDIO_OK)
		audio->position.written += frames;
	return status;
}

edge_audio_status
edge_audio_drain(edge_audio *audio)
{
	return audio->driver->drain == NULL ? EDGE_AUDIO_OK : audio->driver->drain(audio);
}

void
edge_audio_drop(edge_audio *audio)
{
	if (audio->driver->drop != NULL)
		audio->driver->drop(audio);
}

void
edge_audio_where(edge_audio *audio, edge_audio_position *position)
{
	audio->position.time = edge_clock();
	if (audio->driver->position != NULL)
		audio->driver->position(audio, &audio->position);
	*position = audio->position;
}

void
edge_audio_close(edge_audio *audio)
{
	if (audio->driver != NULL && audio->driver->close != NULL)
		audio->driver->close(audio);
	audio->driver = NULL;
}
