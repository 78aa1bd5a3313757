/*
 * audio.c
 *	  Audio from one form into another: audio_convert(), wav_encode(), wav_decode().
 *
 * All of them are functions of their arguments alone.  What audio contains
 * is found out in audio_analysis.c and dtmf.c.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "audio/audio_input.h"
#include "core/audio/g711.h"
#include "core/audio/container.h"
#include "core/audio/resample.h"
#include "core/audio/wav.h"
#include "server/row.h"

PG_FUNCTION_INFO_V1(mulberry_audio_convert);
PG_FUNCTION_INFO_V1(mulberry_wav_encode);
PG_FUNCTION_INFO_V1(mulberry_wav_decode);

/* Bytes of a WAV file in which its audio usually begins. */
#define USUAL_HEAD 4096

/*
 * audio_convert(audio, from_encoding, from_rate, to_encoding, to_rate)
 *
 * Memory: the result, a resampler of fixed size, and the input unless it is fetched in
 * windows.
 */
Datum
mulberry_audio_convert(PG_FUNCTION_ARGS)
{
	int from_rate = PG_GETARG_INT32(2);
	int to_rate = PG_GETARG_INT32(4);
	mulberry_audio audio;
	mb_encoding to_encoding;
	mb_resampler *resampler;
	size_t resampler_size;
	size_t sample_size;
	uint64 n_result;
	uint64 position = 0;
	bytea *result;
	int16 *samples;
	int16 *converted;
	size_t n;

	mulberry_audio_open_any_rate(&audio, PG_GETARG_DATUM(0), PG_GETARG_TEXT_PP(1));
	to_encoding = mulberry_encoding(PG_GETARG_TEXT_PP(3));
	mulberry_check_convertible_rate(from_rate);
	mulberry_check_convertible_rate(to_rate);

	sample_size = mb_encoding_sample_size(to_encoding);
	n_result = mb_resample_length(audio.n_samples, from_rate, to_rate);
	result = mulberry_audio_result(n_result * sample_size);
	if (audio.encoding == to_encoding && from_rate == to_rate)
	{
		/* not through linear samples, which know only one of mu-law's two zeros */
		mulberry_bytes_copy(&audio.bytes, 0, audio.bytes.n, (uint8 *) VARDATA(result));
		PG_RETURN_BYTEA_P(result);
	}

	resampler_size = mb_resampler_size(from_rate, to_rate);
	mulberry_expect_ok(mb_resampler_init(&resampler, mulberry_palloc_aligned(resampler_size),
										 resampler_size, from_rate, to_rate));
	samples = palloc(MULBERRY_AUDIO_SLICE * sizeof(int16));
	converted = palloc(mb_resampler_output_bound(resampler, MULBERRY_AUDIO_SLICE) * sizeof(int16));
	do
	{
		size_t n_converted;

		n = mulberry_audio_next(&audio, samples);
		if (n > 0)
			n_converted = mb_resampler_feed(resampler, samples, n, converted);
		else
			n_converted = mb_resampler_flush(resampler, converted);
		Assert(position + n_converted <= n_result);
		mulberry_expect_ok(mb_audio_encode(to_encoding, converted, n_converted,
										   (uint8 *) VARDATA(result) + position * sample_size));
		position += n_converted;
	} while (n > 0);
	Assert(position == n_result);
	PG_RETURN_BYTEA_P(result);
}

/* wav_encode(audio, encoding, sample_rate, channels): the audio behind a header. */
Datum
mulberry_wav_encode(PG_FUNCTION_ARGS)
{
	int sample_rate = PG_GETARG_INT32(2);
	int channels = PG_GETARG_INT32(3);
	mulberry_audio audio;
	size_t header_size;
	uint64 size;
	bytea *result;
	uint8 *bytes;

	mulberry_audio_open_any_rate(&audio, PG_GETARG_DATUM(0), PG_GETARG_TEXT_PP(1));
	if (sample_rate < 1 || sample_rate > MB_WAV_MAX_RATE)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("sample rate %d is out of range", sample_rate),
				errdetail("A WAV file can have 1 to %d Hz.", MB_WAV_MAX_RATE));
	if (channels < 1 || channels > MB_WAV_MAX_CHANNELS)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("number of channels %d is out of range", channels),
				errdetail("A WAV file can have 1 to %d channels.", MB_WAV_MAX_CHANNELS));
	if (audio.n_samples % channels != 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				errmsg("audio ends within a frame"),
				errdetail("%zu samples cannot be divided among %d channels.", audio.n_samples,
						  channels));

	/* a bytea is smaller than what a RIFF can hold */
	mulberry_expect_ok(
		mb_wav_file_size(audio.encoding, channels, audio.n_samples / channels, &size));
	result = mulberry_audio_result(size);
	bytes = (uint8 *) VARDATA(result);
	header_size = mb_wav_header_size(audio.encoding);
	mulberry_expect_ok(mb_wav_write_header(bytes, header_size, audio.encoding, channels,
										   sample_rate, audio.n_samples / channels));
	mulberry_bytes_copy(&audio.bytes, 0, audio.bytes.n, bytes + header_size);
	memset(bytes + header_size + audio.bytes.n, 0, size - header_size - audio.bytes.n);
	PG_RETURN_BYTEA_P(result);
}

pg_noreturn static void refuse_codec(int codec);
pg_noreturn static void refuse_malformed(const uint8 *head, size_t n);

/* What to do with a file of another kind. */
#define CONVERSION_HINT                                                                            \
	"Convert it: ffmpeg -i INPUT -c:a pcm_s16le OUTPUT.wav, or sox INPUT -e signed-integer -b 16 " \
	"OUTPUT.wav."

static void
refuse_codec(int codec)
{
	const char *name = mb_wav_codec_name(codec);

	ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			name != NULL ? errmsg("format of the WAV file is not supported: %s", name)
						 : errmsg("format of the WAV file is not supported"),
			errdetail("Supported are PCM of 8, 16, 24 and 32 bits, IEEE float of 32 and 64 "
					  "bits, mu-law and A-law, with up to %d channels and %d Hz.",
					  MB_WAV_MAX_CHANNELS, MB_WAV_MAX_RATE),
			errhint(CONVERSION_HINT));
	pg_unreachable();
}

static void
refuse_malformed(const uint8 *head, size_t n)
{
	const char *kind = mb_container_name(head, Min(n, MB_CONTAINER_LOOK));

	if (kind != NULL && strcmp(kind, "WAV") != 0)
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("file is no WAV file: %s", kind), errhint(CONVERSION_HINT));
	ereport(ERROR, errcode(ERRCODE_INVALID_BINARY_REPRESENTATION), errmsg("malformed WAV file"),
			errdetail("It is no RIFF WAVE, or its chunks contradict each other."));
	pg_unreachable();
}

/*
 * Finds the audio in a WAV file, with an error for everything that is wrong with it.
 * Tells at which byte it begins, and returns whether it is cut short, which is an error unless
 * allow_truncated.
 */
static bool
read_wav(mulberry_bytes *wav, bool allow_truncated, mb_wav_info *info, size_t *begin)
{
	size_t n = wav->n;
	const uint8 *head = NULL;
	size_t n_head = 0;
	mb_status status;

	/* as much of it as is needed to find the audio */
	for (size_t needed = USUAL_HEAD;; needed *= 2)
	{
		if (n > 0)
			head = mulberry_bytes_at(wav, 0, needed, &n_head);
		status = mb_wav_read_head(head, n_head, n, info);
		if (status != MB_ERR_SPACE)
			break;
	}
	*begin = info->data != NULL ? info->data - head : 0;
	switch (status)
	{
		case MB_OK:
			break;
		case MB_ERR_TRUNCATED:
			if (info->data == NULL)
				ereport(ERROR, errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("WAV file ends before its audio begins"),
						errdetail("It has %zu bytes.", n));
			if (!allow_truncated)
				ereport(ERROR, errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("WAV file ends before the size that its header states"),
						errdetail("The header states " UINT64_FORMAT
								  " bytes of audio, the file has %zu.",
								  info->stated_bytes, n - *begin),
						errhint("Use allow_truncated => true to take what is there."));
			break;
		case MB_ERR_UNSUPPORTED:
			refuse_codec(info->codec);
		default:
			refuse_malformed(head, n_head);
	}
	if (info->frames == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("audio is empty"),
				errdetail("The WAV file holds no samples."));
	return status == MB_ERR_TRUNCATED;
}

/*
 * wav_decode(wav, channel, allow_truncated): the audio of one channel, or the mean of all
 * for a null channel.  One channel of 16-bit PCM, mu-law or A-law comes out as it
 * is, everything else as s16le.
 *
 * Memory: the result, and the file unless it is fetched in windows.
 */
Datum
mulberry_wav_decode(PG_FUNCTION_ARGS)
{
	mulberry_bytes wav;
	mb_wav_info info;
	size_t begin;
	size_t frame_size;
	bool truncated;
	int channel = MB_WAV_MIX;
	mb_encoding encoding;
	bytea *result;
	mulberry_row row;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	mulberry_bytes_open(&wav, PG_GETARG_DATUM(0));
	truncated = read_wav(&wav, !PG_ARGISNULL(2) && PG_GETARG_BOOL(2), &info, &begin);
	frame_size = (size_t) info.channels * info.sample_size;
	if (!PG_ARGISNULL(1))
	{
		channel = PG_GETARG_INT32(1);
		if (channel < 1 || channel > info.channels)
			ereport(
				ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("the WAV file has no channel %d", channel),
				errdetail("Its channels are 1 to %d; null takes the mean of all.", info.channels));
		channel--;
	}

	if (mb_wav_raw_encoding(&info, &encoding))
	{
		result = mulberry_audio_result(info.frames * frame_size);
		mulberry_bytes_copy(&wav, begin, info.frames * frame_size, (uint8 *) VARDATA(result));
	}
	else
	{
		int16 *samples = palloc(MULBERRY_AUDIO_SLICE * sizeof(int16));

		encoding = MB_S16LE;
		result = mulberry_audio_result((uint64) info.frames * sizeof(int16));
		for (size_t position = 0; position < info.frames; position += MULBERRY_AUDIO_SLICE)
		{
			size_t n = Min(info.frames - position, MULBERRY_AUDIO_SLICE);
			mb_wav_info slice = info;
			size_t at_hand;

			slice.data =
				mulberry_bytes_at(&wav, begin + position * frame_size, n * frame_size, &at_hand);
			slice.frames = n;
			mulberry_expect_ok(mb_wav_read_samples(&slice, channel, 0, n, samples));
			mulberry_expect_ok(mb_audio_encode(
				encoding, samples, n, (uint8 *) VARDATA(result) + position * sizeof(int16)));
		}
	}

	mulberry_row_begin(&row, fcinfo);
	mulberry_row_add(&row, PointerGetDatum(result));
	mulberry_row_add_text(&row, mb_encoding_name(encoding));
	mulberry_row_add(&row, Int32GetDatum(info.sample_rate));
	mulberry_row_add(&row, Int32GetDatum(info.channels));
	mulberry_row_add(&row, Int64GetDatum((int64) ((uint64) info.frames * 1000 / info.sample_rate)));
	mulberry_row_add(&row, BoolGetDatum(truncated));
	return mulberry_row_end(&row);
}
