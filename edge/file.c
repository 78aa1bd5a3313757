/*
 * file.c
 *	  file: whatever libsndfile reads, WAV, FLAC, Ogg, MP3 and many more, once from its begin to its end.
 *
 * Samples are read as floats and rounded here, so that those of 16 bits and of G.711 come out as they are, wider ones
 * rounded, and what is louder than full scale, as a decoder's output may be, saturates instead of wrapping.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers.h"

typedef struct file_state
{
	SNDFILE *file;
	char detail[128];
	float block[EDGE_MAX_BLOCK];
} file_state;

static edge_audio_status
cannot_open(edge_audio *audio, const char *name, int error)
{
	return edge_audio_say(audio,
						  error == ENOENT || error == ENOTDIR ? EDGE_AUDIO_MISSING
						  : error == EACCES || error == EPERM ? EDGE_AUDIO_DENIED
															  : EDGE_AUDIO_FORMAT,
						  "%s: %s", name, strerror(error));
}

/* A descriptor of what is named, "-" being standard input; -1, and why. */
static int
open_file(edge_audio *audio, const char *name, edge_audio_status *status)
{
	struct stat what;
	int fd = strcmp(name, "-") == 0 ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &what) != 0)
		*status = cannot_open(audio, name, errno);
	else if (S_ISDIR(what.st_mode))
		*status = cannot_open(audio, name, EISDIR);
	else
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static edge_audio_status
open_sound(edge_audio *audio, file_state *state, const char *name)
{
	SF_INFO info = { 0 };
	SF_FORMAT_INFO format = { 0 };
	edge_audio_status status = EDGE_AUDIO_FORMAT;
	int fd = open_file(audio, name, &status);

	if (fd < 0)
		return status;
	state->file = sf_open_fd(fd, SFM_READ, &info, SF_TRUE); /* closes it, too, when it fails */
	if (state->file == NULL)
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT, "%s: cannot be read as audio: %s", name,
							  sf_strerror(NULL));
	if (info.samplerate < 1000 || info.samplerate > EDGE_MAX_RATE || info.channels < 1 ||
		info.channels > EDGE_MAX_CHANNELS)
		status =
			edge_audio_say(audio, EDGE_AUDIO_FORMAT,
						   "%s: %d Hz and %d channels are more than the %d Hz and %d channels "
						   "that can be read",
						   name, info.samplerate, info.channels, EDGE_MAX_RATE, EDGE_MAX_CHANNELS);
	else
		status = EDGE_AUDIO_OK;
	format.format = info.format;
	sf_command(NULL, SFC_GET_FORMAT_INFO, &format, sizeof(format));
	snprintf(state->detail, sizeof(state->detail), "%s, %d Hz, %d channel%s",
			 format.name == NULL ? "audio" : format.name, info.samplerate, info.channels,
			 info.channels == 1 ? "" : "s");
	audio->traits = (edge_audio_traits){ .sample_rate = info.samplerate,
										 .channels = info.channels,
										 .capture = true,
										 .frames = info.seekable && info.frames < SF_COUNT_MAX
													   ? (uint64_t) info.frames
													   : 0,
										 .detail = state->detail };
	return status;
}

static void
file_close(edge_audio *audio)
{
	file_state *state = audio->state;

	if (state->file != NULL)
		sf_close(state->file);
	free(state);
}

static edge_audio_status
file_open(edge_audio *audio, const char *name, const edge_audio_request *request)
{
	file_state *state;
	edge_audio_status status;

	if (*name == '\0')
		return edge_audio_say(audio, EDGE_AUDIO_NAME, "file: needs the name of a file");
	if (request->playback)
		return edge_audio_say(audio, EDGE_AUDIO_UNABLE, "file: nothing can be played on it");
	state = calloc(1, sizeof(*state));
	if (state == NULL)
		return edge_audio_say(audio, EDGE_AUDIO_UNABLE, "out of memory");
	audio->state = state;
	status = open_sound(audio, state, name);
	if (status != EDGE_AUDIO_OK)
		file_close(audio);
	return status;
}

static edge_audio_status
file_read(edge_audio *audio, int16_t *samples, edge_audio_block *block, int timeout)
{
	file_state *state = audio->state;
	sf_count_t got = sf_readf_float(state->file, state->block, (sf_count_t) audio->traits.block);
	size_t n;

	if (got <= 0 && sf_error(state->file) != SF_ERR_NO_ERROR)
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT, "cannot be read any further: %s",
							  sf_strerror(state->file));
	if (got <= 0)
		return EDGE_AUDIO_END;
	block->frames = (size_t) got;
	n = block->frames * (size_t) audio->traits.channels;
	for (size_t i = 0; i < n; i++)
	{
		float sample = state->block[i] * 32768.0f;

		samples[i] = sample >= 32767.0f	   ? INT16_MAX
					 : sample <= -32768.0f ? INT16_MIN
					 : isnan(sample)	   ? 0
										   : (int16_t) lrintf(sample);
	}
	return EDGE_AUDIO_OK;
}

const edge_audio_driver edge_file_driver = { .kind = "file",
											 .naming = "a file that libsndfile reads (WAV, FLAC, "
													   "Ogg, MP3 …), or - for standard input",
											 .open = file_open,
											 .read = file_read,
											 .close = file_close };
