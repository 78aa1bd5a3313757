/*
 * g711.h
 *	  ITU-T G.711 mu-law and A-law, and the conversion of raw audio in any of
 *	  the encodings of mb.h to and from int16 samples.
 *
 * Linear samples are 16 bits wide.  Decoded values are those of ITU-T G.191
 * scaled to 16 bits: mu-law spans ±32124, A-law ±32256.
 *
 * Encoding follows the decision values of G.711.  For mu-law the magnitude is
 * taken first, so the law is symmetric: -3 … 3 are silence (0x7F for the
 * negative ones, 0xFF for 0 and above), ±4 the next step.  For A-law the
 * negative half is the one's complement of the positive one, as in G.191.  Both
 * agree with libspandsp for all 65,536 inputs.  Others differ only where a
 * sample falls on a decision value: sox rounds to 14 (13) bits before it
 * encodes, G.191 takes the one's complement for mu-law too, and audioop
 * shifts negative samples towards -1 (it encodes -1 as 0x7E, -8 before decoding).
 */
#ifndef MB_G711_H
#define MB_G711_H

#include "core/mb.h"

/* Decoded value of each code word. */
extern const int16_t mb_mulaw_table[256];
extern const int16_t mb_alaw_table[256];

/* The code words of digital silence: what sample 0 encodes to. */
#define MB_MULAW_SILENCE 0xFF
#define MB_ALAW_SILENCE 0xD5

extern uint8_t mb_mulaw_encode(int16_t sample);
extern uint8_t mb_alaw_encode(int16_t sample);

static inline int16_t
mb_mulaw_decode(uint8_t code)
{
	return mb_mulaw_table[code];
}

static inline int16_t
mb_alaw_decode(uint8_t code)
{
	return mb_alaw_table[code];
}

/*
 * Number of samples in n_bytes of raw audio.  MB_ERR_ODD_BYTES for s16le with
 * half a sample at the end, MB_ERR_ENCODING for a value that is no encoding.
 */
extern mb_status mb_audio_sample_count(mb_encoding encoding, size_t n_bytes, size_t *n_samples);

/*
 * Decodes n_bytes of raw audio into out, which holds the samples that
 * mb_audio_sample_count() tells.  Errors as there; then nothing is written.
 * bytes needs no alignment and must not overlap out.
 */
extern mb_status
mb_audio_decode(mb_encoding encoding, const uint8_t *bytes, size_t n_bytes, int16_t *out);

/*
 * Encodes n_samples into out, which holds n_samples * mb_encoding_sample_size()
 * bytes.  MB_ERR_ENCODING for a value that is no encoding.  No overlap.
 */
extern mb_status
mb_audio_encode(mb_encoding encoding, const int16_t *samples, size_t n_samples, uint8_t *out);

/* Fills n_samples of raw audio with digital silence; errors as above. */
extern mb_status mb_audio_silence(mb_encoding encoding, size_t n_samples, uint8_t *out);

#endif /* MB_G711_H */
