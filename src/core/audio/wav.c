/*
 * wav.c
 *	  RIFF WAVE over memory: see wav.h for what is read and written.
 *
 * The reader believes no size before it has compared it with the buffer.  All
 * arithmetic on sizes from the file is done in uint64_t, which they cannot
 * overflow.
 */
#include "core/audio/wav.h"

#include "core/audio/g711.h"

#include <math.h>
#include <string.h>

/* Format tags of mmreg.h. */
#define TAG_PCM 0x0001
#define TAG_IEEE_FLOAT 0x0003
#define TAG_ALAW 0x0006
#define TAG_MULAW 0x0007
#define TAG_EXTENSIBLE 0xFFFE

/* A RIFF header and the header of a chunk. */
#define RIFF_HEADER_SIZE 12
#define CHUNK_HEADER_SIZE 8

/* "fmt " of plain and of extensible files. */
#define FMT_SIZE 16
#define FMT_SIZE_WITH_EXTENSION 18
#define FMT_SIZE_EXTENSIBLE 40
#define FACT_SIZE 4

/* Of RF64 and BW64: the sizes that a 32-bit field cannot hold, and what that field then holds. */
#define DS64_SIZE 28
#define WIDE_SIZE 0xFFFFFFFFu

/* From this size on, a data chunk that the buffer does not hold was streamed. */
#define STREAMED_SIZE 0x7FFF0000u

static uint16_t
get_u16(const uint8_t *p)
{
	return (uint16_t) (p[0] | p[1] << 8);
}

static uint32_t
get_u32(const uint8_t *p)
{
	return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
}

/* The same where a RIFX has them the other way round. */
static uint16_t
read_u16(bool big_endian, const uint8_t *p)
{
	return big_endian ? (uint16_t) (p[0] << 8 | p[1]) : get_u16(p);
}

static uint32_t
read_u32(bool big_endian, const uint8_t *p)
{
	return big_endian ? (uint32_t) read_u16(true, p) << 16 | read_u16(true, p + 2) : get_u32(p);
}

static uint64_t
get_u64(const uint8_t *p)
{
	return (uint64_t) get_u32(p) | (uint64_t) get_u32(p + 4) << 32;
}

static void
put_u16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t) value;
	p[1] = (uint8_t) (value >> 8);
}

static void
put_u32(uint8_t *p, uint32_t value)
{
	put_u16(p, (uint16_t) value);
	put_u16(p + 2, (uint16_t) (value >> 16));
}

/* Sample format from tag and width; false when we do not read that pair. */
static bool
find_format(int tag, int bits, mb_wav_format *format)
{
	static const struct
	{
		int tag;
		int bits;
		mb_wav_format format;
	} formats[] = {
		{ TAG_PCM, 8, MB_WAV_U8 },
		{ TAG_PCM, 16, MB_WAV_S16 },
		{ TAG_PCM, 24, MB_WAV_S24 },
		{ TAG_PCM, 32, MB_WAV_S32 },
		{ TAG_IEEE_FLOAT, 32, MB_WAV_FLOAT32 },
		{ TAG_IEEE_FLOAT, 64, MB_WAV_FLOAT64 },
		{ TAG_MULAW, 8, MB_WAV_MULAW },
		{ TAG_ALAW, 8, MB_WAV_ALAW },
	};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
	{
		if (formats[i].tag == tag && formats[i].bits == bits)
		{
			*format = formats[i].format;
			return true;
		}
	}
	return false;
}

const char *
mb_wav_codec_name(int codec)
{
	/* mmreg.h */
	static const struct
	{
		int tag;
		const char *name;
	} codecs[] = {
		{ TAG_PCM, "PCM" },
		{ 0x0002, "MS ADPCM" },
		{ TAG_IEEE_FLOAT, "IEEE float" },
		{ TAG_ALAW, "A-law" },
		{ TAG_MULAW, "mu-law" },
		{ 0x0010, "OKI ADPCM" },
		{ 0x0011, "IMA ADPCM" },
		{ 0x0017, "Dialogic ADPCM" },
		{ 0x0022, "TrueSpeech" },
		{ 0x0031, "GSM 06.10" },
		{ 0x0040, "G.721 ADPCM" },
		{ 0x0042, "G.723.1" },
		{ 0x0045, "G.726 ADPCM" },
		{ 0x0050, "MPEG" },
		{ 0x0055, "MP3" },
		{ 0x0064, "G.726 ADPCM" },
		{ 0x0065, "G.722 ADPCM" },
		{ 0x0083, "G.729 A" },
		{ 0x00FF, "AAC" },
		{ 0x0161, "WMA" },
		{ 0xA109, "Speex" },
		{ 0x704F, "Opus" },
	};

	for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
		if (codecs[i].tag == codec)
			return codecs[i].name;
	return NULL;
}

/* Reads the "fmt " chunk of size bytes at p into *info. */
static mb_status
read_fmt(const uint8_t *p, uint64_t size, mb_wav_info *info)
{
	/* what follows the tag in the GUID of an extensible file's codec */
	static const uint8_t guid_tail[14] = { 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80,
										   0x00, 0x00, 0xAA, 0x00, 0x38, 0x9B, 0x71 };
	bool swapped = info->big_endian;
	int tag;
	int channels;
	uint32_t rate;
	int block_align;
	int bits;

	if (size < FMT_SIZE)
		return MB_ERR_FORMAT;
	tag = read_u16(swapped, p);
	channels = read_u16(swapped, p + 2);
	rate = read_u32(swapped, p + 4);
	block_align = read_u16(swapped, p + 12);
	bits = read_u16(swapped, p + 14);

	if (tag == TAG_EXTENSIBLE)
	{
		if (size < FMT_SIZE_EXTENSIBLE)
			return MB_ERR_FORMAT;
		if (swapped)
			return MB_ERR_UNSUPPORTED;
		if (get_u16(p + 18) > bits)
			return MB_ERR_FORMAT;
		if (memcmp(p + 26, guid_tail, sizeof(guid_tail)) != 0)
			return MB_ERR_UNSUPPORTED;
		/* fewer valid bits than bits are left-justified: nothing to do */
		tag = get_u16(p + 24);
	}
	info->codec = tag;
	if (channels == 0 || rate == 0)
		return MB_ERR_FORMAT;
	if (!find_format(tag, bits, &info->format))
		return MB_ERR_UNSUPPORTED;
	if (block_align != channels * (bits / 8))
		return MB_ERR_FORMAT;
	if (channels > MB_WAV_MAX_CHANNELS || rate > MB_WAV_MAX_RATE)
		return MB_ERR_UNSUPPORTED;
	info->channels = channels;
	info->sample_rate = (int) rate;
	info->sample_size = bits / 8;
	return MB_OK;
}

/*
 * Fills in where the samples are: the data chunk begins at offset begin of a
 * file of n bytes and claims stated bytes; the RIFF claims to end at riff_end.
 */
static mb_status
read_data(const uint8_t *bytes, uint64_t n, uint64_t begin, uint64_t stated, uint64_t riff_end,
		  mb_wav_info *info)
{
	uint64_t available = n - begin;
	uint64_t frame_size = (uint64_t) info->channels * (uint64_t) info->sample_size;
	bool truncated = false;
	uint64_t present = stated;

	info->data = bytes + begin;
	info->stated_bytes = stated;
	if (stated == 0)
		info->streamed = available > 0 && (riff_end <= begin || riff_end > n);
	else
		info->streamed = stated > available && stated >= STREAMED_SIZE;

	if (info->streamed)
		present = available;
	else if (stated > available)
	{
		present = available;
		truncated = true;
	}
	info->frames = (size_t) (present / frame_size);
	info->partial_frame = present % frame_size != 0;
	return truncated ? MB_ERR_TRUNCATED : MB_OK;
}

mb_status
mb_wav_read(const uint8_t *bytes, size_t n, mb_wav_info *info)
{
	return mb_wav_read_head(bytes, n, n, info);
}

mb_status
mb_wav_read_head(const uint8_t *bytes, size_t n, uint64_t total, mb_wav_info *info)
{
	uint64_t position = RIFF_HEADER_SIZE;
	uint64_t riff_end;
	uint64_t data_size = 0; /* that an RF64 states in its chunk of sizes */
	bool have_sizes = false;
	bool have_fmt = false;
	bool wide;

	memset(info, 0, sizeof(*info));
	if (n < RIFF_HEADER_SIZE && n < total)
		return MB_ERR_SPACE;
	if (n < RIFF_HEADER_SIZE)
	{
		/* the begin of a WAV file, or something else? */
		if (n >= 4 && (memcmp(bytes, "RIFF", 4) == 0 || memcmp(bytes, "RIFX", 4) == 0 ||
					   memcmp(bytes, "RF64", 4) == 0 || memcmp(bytes, "BW64", 4) == 0))
			return MB_ERR_TRUNCATED;
		return MB_ERR_FORMAT;
	}
	if (memcmp(bytes + 8, "WAVE", 4) != 0)
		return MB_ERR_FORMAT;
	info->big_endian = memcmp(bytes, "RIFX", 4) == 0;
	wide = memcmp(bytes, "RF64", 4) == 0 || memcmp(bytes, "BW64", 4) == 0;
	if (!info->big_endian && !wide && memcmp(bytes, "RIFF", 4) != 0)
		return MB_ERR_FORMAT;
	riff_end = (uint64_t) read_u32(info->big_endian, bytes + 4) + CHUNK_HEADER_SIZE;

	/* each turn advances by a chunk header at least */
	while (position + CHUNK_HEADER_SIZE <= total)
	{
		const uint8_t *id = bytes + position;
		uint64_t begin = position + CHUNK_HEADER_SIZE;
		uint64_t size;

		if (begin > n)
			return MB_ERR_SPACE;
		size = read_u32(info->big_endian, id + 4);
		if (memcmp(id, "data", 4) == 0)
		{
			if (!have_fmt || (wide && !have_sizes))
				return MB_ERR_FORMAT;
			if (wide && size == WIDE_SIZE)
				size = data_size;
			return read_data(bytes, total, begin, size, riff_end, info);
		}
		/* a chunk before the data that runs past the end: nothing can be found behind it */
		if (size > total - begin)
			return MB_ERR_FORMAT;
		if (wide && memcmp(id, "ds64", 4) == 0)
		{
			if (have_sizes || size < DS64_SIZE)
				return MB_ERR_FORMAT;
			if (begin + DS64_SIZE > n)
				return MB_ERR_SPACE;
			riff_end = get_u64(bytes + begin) + CHUNK_HEADER_SIZE;
			data_size = get_u64(bytes + begin + 8);
			have_sizes = true;
		}
		if (memcmp(id, "fmt ", 4) == 0)
		{
			mb_status status;

			if (have_fmt)
				return MB_ERR_FORMAT;
			if (begin + (size < FMT_SIZE_EXTENSIBLE ? size : FMT_SIZE_EXTENSIBLE) > n)
				return MB_ERR_SPACE;
			status = read_fmt(bytes + begin, size, info);
			if (status != MB_OK)
				return status;
			have_fmt = true;
		}
		position = begin + size + size % 2;
	}
	return MB_ERR_TRUNCATED;
}

/* Full scale of the common form between formats: samples of 32 bits. */
static int32_t
round_to_32_bits(double value)
{
	double scaled = value * 2147483648.0;

	if (isnan(scaled))
		return 0;
	if (scaled >= 2147483647.0)
		return INT32_MAX;
	if (scaled <= -2147483648.0)
		return INT32_MIN;
	return (int32_t) llrint(scaled);
}

/* The sample at p, left-justified in 32 bits. */
static int32_t
sample_at(const mb_wav_info *info, const uint8_t *bytes)
{
	uint8_t turned[8] = { 0 };
	const uint8_t *p = bytes;

	if (info->big_endian)
	{
		for (int i = 0; i < info->sample_size; i++)
			turned[i] = bytes[info->sample_size - 1 - i];
		p = turned;
	}
	switch (info->format)
	{
		case MB_WAV_U8:
			return (int32_t) ((uint32_t) (p[0] ^ 0x80) << 24);
		case MB_WAV_S16:
			return (int32_t) ((uint32_t) get_u16(p) << 16);
		case MB_WAV_S24:
			return (int32_t) ((uint32_t) p[0] << 8 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 24);
		case MB_WAV_S32:
			return (int32_t) get_u32(p);
		case MB_WAV_FLOAT32:
		{
			uint32_t bits = get_u32(p);
			float value;

			memcpy(&value, &bits, sizeof(value));
			return round_to_32_bits(value);
		}
		case MB_WAV_FLOAT64:
		{
			uint64_t bits = get_u64(p);
			double value;

			memcpy(&value, &bits, sizeof(value));
			return round_to_32_bits(value);
		}
		case MB_WAV_MULAW:
			return mb_mulaw_decode(p[0]) * 65536;
		case MB_WAV_ALAW:
			return mb_alaw_decode(p[0]) * 65536;
	}
	return 0;
}

/* Rounds to the nearest 16-bit sample, halves upwards. */
static int16_t
round_to_16_bits(int64_t value)
{
	value = (value + 0x8000) >> 16;
	return (int16_t) (value > INT16_MAX ? INT16_MAX : value);
}

mb_status
mb_wav_read_samples(const mb_wav_info *info, int channel, size_t first_frame, size_t n,
					int16_t *out)
{
	size_t sample_size = (size_t) info->sample_size;
	size_t frame_size = sample_size * (size_t) info->channels;
	const uint8_t *p;
	mb_encoding encoding;

	if (info->channels < 1 || channel < MB_WAV_MIX || channel >= info->channels)
		return MB_ERR_RANGE;
	if (first_frame > info->frames || n > info->frames - first_frame)
		return MB_ERR_RANGE;
	if (n == 0)
		return MB_OK;

	p = info->data + first_frame * frame_size;
	if (mb_wav_raw_encoding(info, &encoding))
		return mb_audio_decode(encoding, p, n * sample_size, out);
	if (channel != MB_WAV_MIX)
	{
		p += (size_t) channel * sample_size;
		for (size_t i = 0; i < n; i++, p += frame_size)
			out[i] = round_to_16_bits(sample_at(info, p));
		return MB_OK;
	}
	for (size_t i = 0; i < n; i++)
	{
		int64_t sum = 0;

		for (int c = 0; c < info->channels; c++, p += sample_size)
			sum += sample_at(info, p);
		out[i] = round_to_16_bits(sum / info->channels);
	}
	return MB_OK;
}

bool
mb_wav_raw_encoding(const mb_wav_info *info, mb_encoding *encoding)
{
	if (info->channels != 1 || (info->big_endian && info->sample_size > 1))
		return false;
	switch (info->format)
	{
		case MB_WAV_S16:
			*encoding = MB_S16LE;
			return true;
		case MB_WAV_MULAW:
			*encoding = MB_MULAW;
			return true;
		case MB_WAV_ALAW:
			*encoding = MB_ALAW;
			return true;
		default:
			return false;
	}
}

size_t
mb_wav_header_size(mb_encoding encoding)
{
	size_t size = RIFF_HEADER_SIZE + CHUNK_HEADER_SIZE + FMT_SIZE + CHUNK_HEADER_SIZE;

	if (encoding != MB_S16LE)
		size += FMT_SIZE_WITH_EXTENSION - FMT_SIZE + CHUNK_HEADER_SIZE + FACT_SIZE;
	return size;
}

mb_status
mb_wav_file_size(mb_encoding encoding, int channels, uint64_t frames, uint64_t *size)
{
	uint64_t data_size;
	uint64_t total;

	if (mb_encoding_name(encoding) == NULL)
		return MB_ERR_ENCODING;
	if (channels < 1 || channels > MB_WAV_MAX_CHANNELS || frames > UINT32_MAX)
		return MB_ERR_RANGE;
	data_size = frames * (uint64_t) channels * mb_encoding_sample_size(encoding);
	total = mb_wav_header_size(encoding) + data_size + data_size % 2;
	/* the RIFF header's size leaves out itself, 8 bytes; keep below what marks a stream */
	if (total - CHUNK_HEADER_SIZE >= UINT32_MAX)
		return MB_ERR_RANGE;
	*size = total;
	return MB_OK;
}

mb_status
mb_wav_write_header(uint8_t *buffer, size_t capacity, mb_encoding encoding, int channels,
					int sample_rate, uint64_t frames)
{
	uint64_t file_size;
	mb_status status = mb_wav_file_size(encoding, channels, frames, &file_size);
	size_t sample_size;
	uint8_t *p = buffer;

	if (status != MB_OK)
		return status;
	if (sample_rate < 1 || sample_rate > MB_WAV_MAX_RATE)
		return MB_ERR_RANGE;
	if (capacity < mb_wav_header_size(encoding))
		return MB_ERR_SPACE;
	sample_size = mb_encoding_sample_size(encoding);

	memcpy(p, "RIFF", 4);
	put_u32(p + 4, (uint32_t) (file_size - CHUNK_HEADER_SIZE));
	memcpy(p + 8, "WAVE", 4);
	p += RIFF_HEADER_SIZE;

	memcpy(p, "fmt ", 4);
	put_u32(p + 4, encoding == MB_S16LE ? FMT_SIZE : FMT_SIZE_WITH_EXTENSION);
	p += CHUNK_HEADER_SIZE;
	put_u16(p, encoding == MB_S16LE ? TAG_PCM : encoding == MB_MULAW ? TAG_MULAW : TAG_ALAW);
	put_u16(p + 2, (uint16_t) channels);
	put_u32(p + 4, (uint32_t) sample_rate);
	put_u32(p + 8, (uint32_t) sample_rate * (uint32_t) channels * (uint32_t) sample_size);
	put_u16(p + 12, (uint16_t) ((size_t) channels * sample_size));
	put_u16(p + 14, (uint16_t) (8 * sample_size));
	p += FMT_SIZE;
	if (encoding != MB_S16LE)
	{
		put_u16(p, 0); /* size of the extension */
		p += FMT_SIZE_WITH_EXTENSION - FMT_SIZE;
		memcpy(p, "fact", 4);
		put_u32(p + 4, FACT_SIZE);
		put_u32(p + CHUNK_HEADER_SIZE, (uint32_t) frames);
		p += CHUNK_HEADER_SIZE + FACT_SIZE;
	}
	memcpy(p, "data", 4);
	put_u32(p + 4, (uint32_t) (frames * (uint64_t) channels * sample_size));
	return MB_OK;
}
