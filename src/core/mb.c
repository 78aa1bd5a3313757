/*
 * mb.c
 *	  The few facts that every module of the core shares: what a status means,
 *	  the names and sizes of encodings, the sample rates.
 *
 * Nothing here knows about a module; limits of one module belong to its header.
 */
#include "core/mb.h"

#include <string.h>

static const char *const encoding_names[] = {
	[MB_MULAW] = "mulaw",
	[MB_ALAW] = "alaw",
	[MB_S16LE] = "s16le",
};

#define N_ENCODINGS (sizeof(encoding_names) / sizeof(encoding_names[0]))

/*
 * One sentence for a status, in PostgreSQL's message style.  A caller that
 * knows more (which rate, which symbol) says it in its own message.
 */
const char *
mb_status_message(mb_status status)
{
	/* no default, so that the compiler names a status without a message */
	switch (status)
	{
		case MB_OK:
			return "success";
		case MB_ERR_ENCODING:
			return "unknown audio encoding";
		case MB_ERR_RATE:
			return "sample rate is not supported";
		case MB_ERR_ODD_BYTES:
			return "linear 16-bit audio has an odd number of bytes";
		case MB_ERR_EMPTY:
			return "audio is empty";
		case MB_ERR_SYMBOL:
			return "character is not a DTMF symbol";
		case MB_ERR_RANGE:
			return "value is out of range";
		case MB_ERR_FORMAT:
			return "malformed WAV data";
		case MB_ERR_TRUNCATED:
			return "data end before the size that their header states";
		case MB_ERR_UNSUPPORTED:
			return "format variant is not supported";
		case MB_ERR_SPACE:
			return "buffer is too small";
		case MB_ERR_CRYPTO:
			return "the cryptographic library failed";
	}
	return "unknown status";
}

/* Encoding from its exact name; MB_ERR_ENCODING leaves *encoding alone. */
mb_status
mb_encoding_from_name(const char *name, mb_encoding *encoding)
{
	for (size_t i = 0; i < N_ENCODINGS; i++)
	{
		if (strcmp(name, encoding_names[i]) == 0)
		{
			*encoding = (mb_encoding) i;
			return MB_OK;
		}
	}
	return MB_ERR_ENCODING;
}

/* NULL for a value that is no encoding. */
const char *
mb_encoding_name(mb_encoding encoding)
{
	return (unsigned) encoding < N_ENCODINGS ? encoding_names[encoding] : NULL;
}

size_t
mb_encoding_sample_size(mb_encoding encoding)
{
	return encoding == MB_S16LE ? 2 : 1;
}

bool
mb_rate_supported(int sample_rate)
{
	switch (sample_rate)
	{
		case 8000:
		case 16000:
		case 44100:
		case 48000:
			return true;
		default:
			return false;
	}
}
