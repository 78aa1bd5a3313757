/*
 * audio_input.c
 *	  Arguments and slices for the functions that work on audio: see audio_input.h.
 *
 * Errors in audio that a caller gives are raised here, so that all functions say
 * the same.  What is done with the samples is not this file's.
 */
#include "compat.h"

#include "access/detoast.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "audio_input.h"
#include "core/g711.h"

/* What the core's vector code may rely on. */
#define STATE_ALIGNMENT 64

/* Bytes of a stored value fetched at a time; a multiple of all sample sizes. */
#define WINDOW_SIZE (256 * 1024)

mb_encoding
mulberry_encoding(text *name)
{
	char *spelled = text_to_cstring(name);
	mb_encoding encoding;

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

size_t
mulberry_bytea_size(Datum bytes)
{
	return toast_raw_datum_size(bytes) - VARHDRSZ;
}

/* True when parts of the value can be fetched for what they cost. */
static bool
can_be_sliced(struct varlena *value)
{
	struct varatt_external pointer;

	if (!VARATT_IS_EXTERNAL_ONDISK(value))
		return false;
	VARATT_EXTERNAL_GET_POINTER(pointer, value);
	return !VARATT_EXTERNAL_IS_COMPRESSED(pointer);
}

void
mulberry_audio_open_any_rate(mulberry_audio *audio, Datum bytes, text *encoding)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(bytes);

	audio->encoding = mulberry_encoding(encoding);
	audio->sample_rate = 0;
	audio->n_bytes = mulberry_bytea_size(bytes);
	audio->position = 0;
	if (mb_audio_sample_count(audio->encoding, audio->n_bytes, &audio->n_samples) != MB_OK)
		ereport(ERROR, errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				errmsg("audio ends within a sample"),
				errdetail("Samples of encoding \"%s\" have %zu bytes, the audio has %zu.",
						  mb_encoding_name(audio->encoding),
						  mb_encoding_sample_size(audio->encoding), audio->n_bytes));
	if (audio->n_samples == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("audio is empty"));

	audio->window_start = 0;
	audio->stored = can_be_sliced(value) ? value : NULL;
	audio->window = audio->stored != NULL ? NULL : pg_detoast_datum_packed(value);
}

void
mulberry_audio_open(mulberry_audio *audio, Datum bytes, text *encoding, int sample_rate)
{
	mulberry_check_rate(sample_rate);
	mulberry_audio_open_any_rate(audio, bytes, encoding);
	audio->sample_rate = sample_rate;
}

/*
 * The bytes from a place on, which lies inside the audio, and how many of them are at hand:
 * at least a slice, unless the audio ends before.
 */
static const uint8 *
bytes_at(mulberry_audio *audio, size_t place, size_t *n)
{
	size_t slice = MULBERRY_AUDIO_SLICE * mb_encoding_sample_size(audio->encoding);
	size_t needed = Min(slice, audio->n_bytes - place);
	size_t offset;

	if (audio->stored != NULL &&
		(audio->window == NULL || place < audio->window_start ||
		 place + needed > audio->window_start + VARSIZE_ANY_EXHDR(audio->window)))
	{
		if (audio->window != NULL)
			pfree(audio->window);
		audio->window = detoast_attr_slice(audio->stored, (int32) place,
										   (int32) Min(WINDOW_SIZE, audio->n_bytes - place));
		audio->window_start = place;
	}
	offset = place - audio->window_start;
	*n = VARSIZE_ANY_EXHDR(audio->window) - offset;
	return (const uint8 *) VARDATA_ANY(audio->window) + offset;
}

size_t
mulberry_audio_next(mulberry_audio *audio, int16 *samples)
{
	size_t size = mb_encoding_sample_size(audio->encoding);
	size_t n = Min(audio->n_samples - audio->position, MULBERRY_AUDIO_SLICE);
	size_t n_bytes;

	CHECK_FOR_INTERRUPTS();
	if (n == 0)
		return 0;
	mulberry_expect_ok(mb_audio_decode(
		audio->encoding, bytes_at(audio, audio->position * size, &n_bytes), n * size, samples));
	audio->position += n;
	return n;
}

void
mulberry_audio_copy(mulberry_audio *audio, uint8 *destination)
{
	size_t place = 0;

	while (place < audio->n_bytes)
	{
		size_t n;
		const uint8 *bytes = bytes_at(audio, place, &n);

		CHECK_FOR_INTERRUPTS();
		memcpy(destination + place, bytes, n);
		place += n;
	}
}

void
mulberry_audio_rewind(mulberry_audio *audio)
{
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
