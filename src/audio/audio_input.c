/*
 * audio_input.c
 *	  Arguments and slices for the functions that work on audio: see audio_input.h.
 *
 * Errors in audio that a caller gives are raised here, so that all functions say
 * the same.  What is done with the samples is not this file's.
 */
#include "server/compat.h"

#include "access/detoast.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "audio/audio_input.h"
#include "core/audio/g711.h"
#include "core/audio/resample.h"
#include "server/stored_values.h"
#include "server/texts.h"

/* What the core's vector code may rely on. */
#define STATE_ALIGNMENT 64

/* Bytes of a stored value fetched at a time; a multiple of all sample sizes. */
#define WINDOW_SIZE (64 * 1024)

mb_encoding
mulberry_encoding(text *name)
{
	char *spelled = text_to_cstring(name);
	mb_encoding encoding;

	mulberry_check_argument("encoding", name);
	if (mb_encoding_from_name(spelled, &encoding) != MB_OK)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("unknown audio encoding \"%s\"", spelled),
				errhint("Encodings are \"mulaw\", \"alaw\" and \"s16le\"."));
	pfree(spelled);
	return encoding;
}

void
mulberry_check_rate(int sample_rate)
{
	if (!mb_rate_supported(sample_rate))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("sample rate %d is not supported", sample_rate),
				errdetail("Supported are 8000, 16000, 44100 and 48000 Hz."),
				errhint("Use audio_convert() first for audio of another rate."));
}

void
mulberry_check_convertible_rate(int rate)
{
	StringInfoData rates;

	if (mb_resample_rate_known(rate))
		return;
	initStringInfo(&rates);
	for (int i = 0; i < MB_RESAMPLE_N_RATES; i++)
		appendStringInfo(&rates, "%s%d",
						 i == 0						   ? ""
						 : i < MB_RESAMPLE_N_RATES - 1 ? ", "
													   : " and ",
						 mb_resample_rates[i]);
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("sample rate %d is not supported", rate),
			errdetail("Audio can be converted between %s Hz.", rates.data));
}

size_t
mulberry_bytea_size(Datum bytes)
{
	return toast_raw_datum_size(bytes) - VARHDRSZ;
}

void
mulberry_bytes_open(mulberry_bytes *bytes, Datum value)
{
	struct varlena *pointer = (struct varlena *) DatumGetPointer(value);

	bytes->n = mulberry_bytea_size(value);
	bytes->window_start = 0;
	bytes->stored = mulberry_can_be_sliced(pointer) ? pointer : NULL;
	if (bytes->stored != NULL)
	{
		bytes->room = bytes->window_size = 0;
		bytes->own = NULL;
		bytes->window = NULL;
		return;
	}
	pointer = pg_detoast_datum_packed(pointer);
	bytes->window = (const uint8 *) VARDATA_ANY(pointer);
	bytes->window_size = bytes->n;
}

/* Has so many bytes of the stored value from a place on in the window. */
static void
move_window(mulberry_bytes *bytes, size_t place, size_t size)
{
	if (size > bytes->room)
	{
		if (bytes->own != NULL)
			pfree(bytes->own);
		bytes->own = palloc(size);
		bytes->room = size;
	}
	mulberry_read_stored(bytes->stored, place, size, bytes->own);
	bytes->window = bytes->own;
	bytes->window_start = place;
	bytes->window_size = size;
}

const uint8 *
mulberry_bytes_at(mulberry_bytes *bytes, size_t place, size_t needed, size_t *n)
{
	size_t rest = bytes->n - place;
	size_t offset;

	CHECK_FOR_INTERRUPTS();
	needed = Min(needed, rest);
	if (bytes->stored != NULL && (bytes->window == NULL || place < bytes->window_start ||
								  place + needed > bytes->window_start + bytes->window_size))
		move_window(bytes, place, Max(needed, Min(WINDOW_SIZE, rest)));
	offset = place - bytes->window_start;
	*n = bytes->window_size - offset;
	return bytes->window + offset;
}

void
mulberry_bytes_copy(mulberry_bytes *bytes, size_t place, size_t n, uint8 *destination)
{
	while (n > 0)
	{
		size_t at_hand;
		const uint8 *from = mulberry_bytes_at(bytes, place, 1, &at_hand);
		/* in portions, so that a query can be cancelled where all is at hand as well */
		size_t portion = Min(Min(n, at_hand), WINDOW_SIZE);

		memcpy(destination, from, portion);
		place += portion;
		destination += portion;
		n -= portion;
	}
}

void
mulberry_audio_open_any_rate(mulberry_audio *audio, Datum bytes, text *encoding)
{
	audio->encoding = mulberry_encoding(encoding);
	audio->sample_rate = 0;
	audio->position = 0;
	audio->stored = NULL;
	audio->left = 0;
	if (mb_audio_sample_count(audio->encoding, mulberry_bytea_size(bytes), &audio->n_samples) !=
		MB_OK)
		ereport(ERROR, errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				errmsg("audio ends within a sample"),
				errdetail("Samples of encoding \"%s\" have %zu bytes, the audio has %zu.",
						  mb_encoding_name(audio->encoding),
						  mb_encoding_sample_size(audio->encoding), mulberry_bytea_size(bytes)));
	if (audio->n_samples == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("audio is empty"));
	mulberry_bytes_open(&audio->bytes, bytes);
}

void
mulberry_audio_open(mulberry_audio *audio, Datum bytes, text *encoding, int sample_rate)
{
	mulberry_check_rate(sample_rate);
	mulberry_audio_open_any_rate(audio, bytes, encoding);
	audio->sample_rate = sample_rate;
}

static void
decode(const mulberry_audio *audio, const uint8 *bytes, size_t n, int16 *samples)
{
	mulberry_expect_ok(mb_audio_decode(audio->encoding, bytes, n, samples));
}

static void
close_stored(mulberry_audio *audio)
{
	if (audio->stored != NULL)
		mulberry_close_stored(audio->stored);
	audio->stored = NULL;
	audio->left = 0;
}

/* Decodes so many bytes from the position on where they are stored. */
static void
decode_stored(mulberry_audio *audio, size_t n, int16 *samples)
{
	size_t size = mb_encoding_sample_size(audio->encoding);

	if (audio->stored == NULL)
		audio->stored = mulberry_open_stored(audio->bytes.stored, audio->position * size,
											 (audio->n_samples - audio->position) * size);
	while (n > 0)
	{
		size_t part;

		if (audio->left == 0)
			audio->piece = mulberry_next_stored(audio->stored, &audio->left);
		part = Min(n, audio->left);
		decode(audio, audio->piece, part, samples);
		audio->piece += part;
		audio->left -= part;
		samples += part / size;
		n -= part;
	}
}

size_t
mulberry_audio_next(mulberry_audio *audio, int16 *samples)
{
	size_t size = mb_encoding_sample_size(audio->encoding);
	size_t n = Min(audio->n_samples - audio->position, MULBERRY_AUDIO_SLICE);
	size_t at_hand;

	CHECK_FOR_INTERRUPTS();
	if (n == 0)
		return 0;
	if (audio->bytes.stored != NULL)
		decode_stored(audio, n * size, samples);
	else
		decode(audio, mulberry_bytes_at(&audio->bytes, audio->position * size, n * size, &at_hand),
			   n * size, samples);
	audio->position += n;
	if (audio->position == audio->n_samples)
		close_stored(audio);
	return n;
}

void
mulberry_audio_rewind(mulberry_audio *audio)
{
	close_stored(audio);
	audio->position = 0;
}

bytea *
mulberry_audio_result(uint64 n)
{
	bytea *result;

	if (n > MaxAllocSize - VARHDRSZ)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("audio would have " UINT64_FORMAT " bytes", n),
				errdetail("A value can have %zu bytes at most.", MaxAllocSize - VARHDRSZ));
	result = palloc(n + VARHDRSZ);
	SET_VARSIZE(result, n + VARHDRSZ);
	return result;
}

void *
mulberry_palloc_aligned(size_t size)
{
	return (void *) TYPEALIGN(STATE_ALIGNMENT, palloc0(size + STATE_ALIGNMENT));
}

int64
mulberry_samples_to_ms(uint64 samples, int sample_rate)
{
	return (int64) ((samples * 1000 + sample_rate / 2) / sample_rate);
}

void
mulberry_expect_ok(mb_status status)
{
	if (status != MB_OK)
		elog(ERROR, "unexpected status of the audio core: %s", mb_status_message(status));
}
