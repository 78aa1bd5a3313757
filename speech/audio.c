/*
 * audio.c
 *	  WAV in, WAV, PCM and G.711 out; see audio.h.
 */
#include "audio.h"

#include <stdlib.h>
#include <string.h>

#include "core/audio/g711.h"
#include "rate.h"

struct speech_audio
{
	mb_wav_info info;
	speech_rate *rate;
	size_t position; /* frames read */
	size_t block;	 /* frames read at a time */
	bool flushed;
	int16_t *in;  /* block samples */
	int16_t *out; /* what they become */
};

mb_status
speech_audio_open(speech_audio **audio, speech_audio_facts *facts, const uint8_t *bytes, size_t n)
{
	mb_wav_info info;
	mb_status status = mb_wav_read(bytes, n, &info);
	size_t room;

	*audio = NULL;
	*facts = (speech_audio_facts){ 0 };
	if (status != MB_OK && status != MB_ERR_TRUNCATED)
		return status;
	facts->sample_rate = info.sample_rate;
	facts->channels = info.channels;
	facts->stated_bytes = info.stated_bytes;
	facts->present_bytes = (uint64_t) info.frames * (uint64_t) (info.channels * info.sample_size);
	if (status != MB_OK)
		return status;
	if (info.sample_rate < SPEECH_AUDIO_MIN_RATE || info.sample_rate > SPEECH_AUDIO_MAX_RATE)
		return MB_ERR_RATE;
	facts->seconds = (double) info.frames / info.sample_rate;
	if (info.frames == 0)
		return MB_ERR_EMPTY;

	*audio = calloc(1, sizeof(**audio));
	if (*audio == NULL)
		return MB_ERR_SPACE;
	(*audio)->info = info;
	(*audio)->block = (size_t) info.sample_rate / 2;
	(*audio)->rate = speech_rate_new(info.sample_rate, SPEECH_RATE);
	if ((*audio)->rate != NULL)
	{
		size_t rest = speech_rate_bound((*audio)->rate, 0);

		room = speech_rate_bound((*audio)->rate, (*audio)->block);
		room = room > rest ? room : rest;
		(*audio)->in = malloc((*audio)->block * sizeof(int16_t));
		(*audio)->out = malloc((room + 1) * sizeof(int16_t));
		if ((*audio)->in != NULL && (*audio)->out != NULL)
			return MB_OK;
	}
	speech_audio_close(*audio);
	*audio = NULL;
	return MB_ERR_SPACE;
}

size_t
speech_audio_read(speech_audio *audio, const int16_t **samples)
{
	size_t made = 0;

	*samples = audio->out;
	while (made == 0 && audio->position < audio->info.frames)
	{
		size_t n = audio->info.frames - audio->position;

		if (n > audio->block)
			n = audio->block;
		if (mb_wav_read_samples(&audio->info, MB_WAV_MIX, audio->position, n, audio->in) != MB_OK)
			return 0;
		audio->position += n;
		made = speech_rate_feed(audio->rate, audio->in, n, audio->out);
	}
	if (made == 0 && !audio->flushed)
	{
		audio->flushed = true;
		made = speech_rate_flush(audio->rate, audio->out);
	}
	return made;
}

void
speech_audio_close(speech_audio *audio)
{
	if (audio == NULL)
		return;
	speech_rate_free(audio->rate);
	free(audio->in);
	free(audio->out);
	free(audio);
}

bool
speech_audio_write(speech_audio_format format, const int16_t *samples, size_t n, int sample_rate,
				   speech_buffer *body)
{
	mb_encoding encoding = MB_S16LE;
	size_t n_bytes;

	if (format == SPEECH_AUDIO_MULAW)
		encoding = MB_MULAW;
	else if (format == SPEECH_AUDIO_ALAW)
		encoding = MB_ALAW;
	n_bytes = n * mb_encoding_sample_size(encoding);
	if (!speech_buffer_reserve(body, n_bytes + MB_WAV_HEADER_MAX))
		return false;
	if (format == SPEECH_AUDIO_WAV)
	{
		if (mb_wav_write_header(body->data, body->capacity, encoding, 1, sample_rate, n) != MB_OK)
			return false;
		body->size = mb_wav_header_size(encoding);
	}
	if (mb_audio_encode(encoding, samples, n, body->data + body->size) != MB_OK)
		return false;
	body->size += n_bytes;
	return true;
}
