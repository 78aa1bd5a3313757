/*
 * mb.h
 *	  What every module of the Mulberry core shares: the status codes, the
 *	  audio encodings and the limits that belong to the telephone network.
 *
 * The core is plain C11 over libc, libm and libcrypto.  It does no I/O, keeps
 * no globals that change, never prints and never allocates behind the caller's
 * back: state is owned by the caller, sizes are constants or are asked for.
 */
#ifndef MB_H
#define MB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MB_VERSION "1.0"

/* Outcome of a core function.  MB_OK is 0; everything else is an error. */
typedef enum mb_status
{
	MB_OK = 0,
	MB_ERR_ENCODING,	/* unknown encoding */
	MB_ERR_RATE,		/* sample rate not supported */
	MB_ERR_ODD_BYTES,	/* s16le data with an odd number of bytes */
	MB_ERR_EMPTY,		/* no audio where some is needed */
	MB_ERR_SYMBOL,		/* a character that is no DTMF symbol */
	MB_ERR_RANGE,		/* a parameter outside its documented range */
	MB_ERR_FORMAT,		/* malformed container (WAV) */
	MB_ERR_TRUNCATED,	/* data end before the container says */
	MB_ERR_UNSUPPORTED, /* well formed, but a variant we do not read */
	MB_ERR_SPACE,		/* the caller's buffer is too small */
	MB_ERR_CRYPTO		/* libcrypto failed: out of memory, or the algorithm is disabled */
} mb_status;

/* One sentence for a status, in PostgreSQL's message style. */
extern const char *mb_status_message(mb_status status);

/* Sample encodings of raw (headerless) audio, one channel. */
typedef enum mb_encoding
{
	MB_MULAW, /* ITU-T G.711 mu-law, one byte a sample */
	MB_ALAW,  /* ITU-T G.711 A-law, one byte a sample */
	MB_S16LE  /* linear PCM, 16 bits, little endian */
} mb_encoding;

/*
 * Encoding from its name ("mulaw", "alaw", "s16le"), exact spelling.
 */
extern mb_status mb_encoding_from_name(const char *name, mb_encoding *encoding);
extern const char *mb_encoding_name(mb_encoding encoding);

/* Bytes of one sample: 1 or 2. */
extern size_t mb_encoding_sample_size(mb_encoding encoding);

/*
 * Peak amplitude of a sine of 0 dBm0 in int16 samples: the sequence of code words in
 * ITU-T G.711 table 5 has it, and a sine that just fills mu-law (virtual decision
 * value 8159 << 2) comes to +3.17 dBm0.
 */
#define MB_DBM0_PEAK 22651.0

/* True for 8000, 16000, 44100 and 48000. */
extern bool mb_rate_supported(int sample_rate);

#endif /* MB_H */
