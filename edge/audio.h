/*
 * audio.h
 *	  Where audio comes from and goes to: one interface, a back end a kind of device.
 *
 * A device is named by its kind and what that kind calls it, "alsa:hw:CARD=Device", "file:call.mp3", "stdin:"; a name
 * without a kind is a file's. Each back end is a file with an edge_audio_driver and a line in the list in audio.c;
 * nobody else knows which there are.
 *
 * Samples are int16, channels interleaved, as the back end made them of what the device has. They are read and
 * written in blocks of 20 ms, which is what a packet holds. One thread uses a device at a time, but for reading
 * and writing where the device can do both at once: there one thread may read and another one write.
 *
 * Nothing that was lost is hidden: a block says how many frames are missing before it. A back end recovers by
 * itself from what a device is expected to do now and then (an overrun, a suspended machine); when the device is gone it
 * says EDGE_AUDIO_AWAY, and the caller closes it and opens it again.
 */
#ifndef EDGE_AUDIO_H
#define EDGE_AUDIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EDGE_BLOCK_MS 20
#define EDGE_MAX_RATE 192000
#define EDGE_MAX_CHANNELS 2
/* Samples of all channels in the largest block. */
#define EDGE_MAX_BLOCK (EDGE_MAX_RATE / 1000 * EDGE_BLOCK_MS * EDGE_MAX_CHANNELS)

typedef enum edge_audio_status
{
	EDGE_AUDIO_OK = 0,
	EDGE_AUDIO_LATER, /* not within the time given; nothing is wrong */
	EDGE_AUDIO_END, /* what was read has ended, and nothing will follow: a file's end, a caller who hung up */
	EDGE_AUDIO_MISSING, /* there is no such device or file */
	EDGE_AUDIO_BUSY,	/* somebody else has it */
	EDGE_AUDIO_DENIED,	/* we may not open it */
	EDGE_AUDIO_FORMAT,	/* it cannot do what is asked for, or the file is none that can be read */
	EDGE_AUDIO_AWAY,	/* it was there and is gone: close it, and open it again later */
	EDGE_AUDIO_NAME,	/* the name is none, an unknown kind, or lacks what it needs: a rate */
	EDGE_AUDIO_UNABLE	/* this kind of device cannot do that: writing to a file, say */
} edge_audio_status;

/* Who says when the next block is there. */
typedef enum edge_audio_pace
{
	EDGE_PACED_BY_NOBODY, /* reading is as fast as the reader: a file, a pipe */
	EDGE_PACED_BY_DEVICE, /* a clock of its own, and its blocks come by it */
	EDGE_PACED_BY_US /* samples come in bursts, and are played as fast as they are written: ours is the clock */
} edge_audio_pace;

/* What is asked for; 0 or NULL: as the device has it. */
typedef struct edge_audio_request
{
	bool capture;
	bool playback;
	int sample_rate;
	int channels;
	bool real_pace;		  /* what nobody paces comes at the pace of its rate */
	const char *encoding; /* of samples without a header, "s16le", "mulaw" or "alaw" */
} edge_audio_request;

/* What an open device is and can do. */
typedef struct edge_audio_traits
{
	int sample_rate;
	int channels;
	size_t block; /* frames of 20 ms at that rate */
	bool capture;
	bool playback;
	bool
		duplex; /* both at once; else a write turns it to playing, and a read behind drain or drop back */
	edge_audio_pace pace;
	int buffer_ms;		/* that the device holds for a reader who is late; 0: it waits */
	int jitter_ms;		/* between samples that should come one after the other */
	uint64_t frames;	/* of a file, in all; 0: nobody knows */
	const char *detail; /* what was found, in words: "MPEG layer III, 44100 Hz, 2 channels" */
} edge_audio_traits;

/* What came with the frames of one read. */
typedef struct edge_audio_block
{
	size_t frames; /* traits.block, and fewer at the end and before a gap */
	uint64_t lost; /* frames that are missing before these */
	int64_t time;  /* edge_clock() of the first of them; 0: they have none, as those of a file */
} edge_audio_block;

/* Frames since the device was opened. */
typedef struct edge_audio_position
{
	uint64_t captured; /* that were read, or are lost */
	uint64_t lost;	   /* of these */
	uint64_t written;
	uint64_t played; /* of what was written, what has been heard, or dropped */
	int64_t time;	 /* edge_clock() when that was so */
	unsigned overruns;
	unsigned underruns;
	unsigned suspends;
	unsigned short_reads; /* that had less than was due: a USB bus that drops what it carries */
} edge_audio_position;

typedef struct edge_audio edge_audio;

/*
 * A kind of device. "audio" is the open device: the driver sets traits and state, and says in words what failed with
 * edge_audio_say(). Functions that a kind has no use for are NULL: EDGE_AUDIO_UNABLE is answered then, and OK for drain and drop.
 */
typedef struct edge_audio_driver
{
	const char *kind;	/* before the colon */
	const char *naming; /* what stands behind it, for --help */
	edge_audio_status (*open)(edge_audio *audio, const char *name,
							  const edge_audio_request *request);
	edge_audio_status (*read)(edge_audio *audio, int16_t *samples, edge_audio_block *block,
							  int timeout);
	edge_audio_status (*write)(edge_audio *audio, const int16_t *samples, size_t frames,
							   int timeout);
	edge_audio_status (*drain)(edge_audio *audio);
	void (*drop)(edge_audio *audio);
	void (*position)(edge_audio *audio, edge_audio_position *position);
	void (*close)(edge_audio *audio);
} edge_audio_driver;

struct edge_audio
{
	const edge_audio_driver *driver;
	void *state; /* the driver's */
	edge_audio_traits traits;
	edge_audio_position position; /* counted in audio.c, but for what only the driver knows */
	int64_t begun;				  /* when what nobody paces began; 0: as fast as it goes */
	char problem[256];			  /* what failed last, in words */
};

/* The kinds, ended by NULL. */
extern const edge_audio_driver *const edge_audio_drivers[];

/*
 * Opens the device of that name. Anything but OK leaves it closed, and audio->problem says why in words a person
 * can act on.
 */
extern edge_audio_status
edge_audio_open(edge_audio *audio, const char *name, const edge_audio_request *request);

/*
 * Reads the next block into samples, which hold traits.block frames. Waits at most so many milliseconds; OK comes
 * with a whole block, or with the last one. Capture begins with the first read.
 */
extern edge_audio_status
edge_audio_read(edge_audio *audio, int16_t *samples, edge_audio_block *block, int timeout);

/* Has these frames played: takes all of them, or none and LATER where they would have to wait for longer than that. */
extern edge_audio_status
edge_audio_write(edge_audio *audio, const int16_t *samples, size_t frames, int timeout);

/* Waits until all that was written has been heard; forgets what has not been heard yet. */
extern edge_audio_status edge_audio_drain(edge_audio *audio);
extern void edge_audio_drop(edge_audio *audio);

extern void edge_audio_where(edge_audio *audio, edge_audio_position *position);
extern void edge_audio_close(edge_audio *audio);

/* For drivers: puts what is wrong into words, and returns the status. */
extern edge_audio_status
edge_audio_say(edge_audio *audio, edge_audio_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* CLOCK_BOOTTIME in nanoseconds: it is never set, and goes on while the machine sleeps. */
extern int64_t edge_clock(void);

#endif /* EDGE_AUDIO_H */
