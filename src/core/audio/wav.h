/*
 * wav.h
 *	  Reads and writes RIFF WAVE over memory: finds format and samples in a
 *	  buffer without copying, converts any part of them to int16, and makes headers.
 *
 * Read: PCM of 8, 16, 24 and 32 bits, IEEE float of 32 and 64 bits, G.711 mu-law
 * and A-law, each plain or as WAVE_FORMAT_EXTENSIBLE, up to MB_WAV_MAX_CHANNELS
 * channels, any rate up to MB_WAV_MAX_RATE; in a RIFF, in one with sizes of 64 bits (RF64, EBU Tech 3306, and
 * BW64, ITU-R BS.2088), or one with its bytes the other way round (RIFX, no WAVE_FORMAT_EXTENSIBLE).
 * Chunks may stand in any order as long as "fmt " precedes
 * "data"; what is not needed is skipped, a missing pad byte at the end is forgiven.
 * Written: PCM 16, mu-law and A-law, the latter two with the "fact" chunk that
 * the format asks for.  (Multimedia Programming Interface and Data Specifications 1.0;
 * mmreg.h; Multiple Channel Audio Data and WAVE Files.)
 *
 * This file neither resamples nor keeps anything: an mb_wav_info points into
 * the caller's buffer.
 */
#ifndef MB_WAV_H
#define MB_WAV_H

#include "core/mb.h"

#define MB_WAV_MAX_CHANNELS 64
#define MB_WAV_MAX_RATE 768000

/* Longest header that mb_wav_write_header() makes. */
#define MB_WAV_HEADER_MAX 58

/* Channel argument of mb_wav_read_samples(): the mean of all channels. */
#define MB_WAV_MIX (-1)

typedef enum mb_wav_format
{
	MB_WAV_U8, /* PCM, 8 bits, unsigned */
	MB_WAV_S16,
	MB_WAV_S24,
	MB_WAV_S32,
	MB_WAV_FLOAT32, /* full scale ±1.0 */
	MB_WAV_FLOAT64,
	MB_WAV_MULAW,
	MB_WAV_ALAW
} mb_wav_format;

typedef struct mb_wav_info
{
	int codec; /* format tag of the file; 0 until it is known */
	mb_wav_format format;
	int channels;
	int sample_rate;
	int sample_size;	   /* bytes of one sample of one channel */
	size_t frames;		   /* whole frames (a sample of each channel) present */
	const uint8_t *data;   /* first frame, inside the caller's buffer */
	uint64_t stated_bytes; /* size the data chunk claims */
	bool big_endian;	   /* numbers and samples are the other way round: a RIFX */
	bool streamed;		   /* size not known when it was written; all the rest is data */
	bool partial_frame;	   /* the data end within a frame, which is left out */
} mb_wav_info;

/*
 * Finds format and samples in a WAV file of n bytes.
 *
 *	MB_OK				*info is complete; frames may be 0
 *	MB_ERR_TRUNCATED	the data chunk claims more than the buffer has: *info is filled in
 *						and frames counts what is there.  When the buffer ends before
 *						any data chunk begins, info->data is NULL
 *	MB_ERR_FORMAT		no RIFF WAVE, a chunk that runs past the end, fields that contradict each other
 *	MB_ERR_UNSUPPORTED	well formed, but another codec, width, or too many channels;
 *						info->codec is the codec's tag, where there is one
 *
 * Sizes that a writer to a pipe puts there mark a streamed file, of which everything
 * to the end is data, without an error: a data size of 0x7FFF0000 or more that the
 * buffer does not hold (ffmpeg writes 0xFFFFFFFF, sox and espeak-ng the whole frames
 * in 0x7FFFF000), or 0 in a RIFF that ends there or behind the buffer although bytes follow.
 * The size in the RIFF header is otherwise not trusted for anything.
 */
extern mb_status mb_wav_read(const uint8_t *bytes, size_t n, mb_wav_info *info);

/* What a codec is called that WAV files have in use, read here or not; NULL for one that is not known. */
extern const char *mb_wav_codec_name(int codec);

/*
 * The same as mb_wav_read() for a file of "total" bytes of which only the first n are at hand; info->data lies
 * behind them or at their end, and mb_wav_read_samples() may be used only after
 * it was pointed to where the frames are.  MB_ERR_SPACE when more than n bytes are
 * needed to find the data, which cannot be when n is total.
 */
extern mb_status
mb_wav_read_head(const uint8_t *bytes, size_t n, uint64_t total, mb_wav_info *info);

/*
 * Converts n frames from first_frame to int16 samples of one channel (0 is the
 * first) or of the mean of all (MB_WAV_MIX).  Wider samples are rounded, floats
 * saturate at full scale, NaN is silence.  MB_ERR_RANGE when channel or frames do
 * not exist; then nothing is written.
 */
extern mb_status mb_wav_read_samples(const mb_wav_info *info, int channel, size_t first_frame,
									 size_t n, int16_t *out);

/*
 * The encoding that the bytes at info->data already have, for callers that pass
 * them on as they are: true for one channel of 16-bit PCM, mu-law or A-law.
 */
extern bool mb_wav_raw_encoding(const mb_wav_info *info, mb_encoding *encoding);

/* Bytes of the header that mb_wav_write_header() makes: 44 or 58. */
extern size_t mb_wav_header_size(mb_encoding encoding);

/*
 * Bytes of a whole file, with header and the pad byte (0) that follows data of odd
 * length.  MB_ERR_RANGE when it does not fit a RIFF (4 GB) or an argument is out of range.
 */
extern mb_status
mb_wav_file_size(mb_encoding encoding, int channels, uint64_t frames, uint64_t *size);

/*
 * Writes the header of a file with that many frames.  The caller appends the
 * samples, interleaved, and one zero byte if their length is odd.
 * MB_ERR_SPACE, MB_ERR_RANGE, MB_ERR_ENCODING; then nothing is written.
 */
extern mb_status mb_wav_write_header(uint8_t *buffer, size_t capacity, mb_encoding encoding,
									 int channels, int sample_rate, uint64_t frames);

#endif /* MB_WAV_H */
