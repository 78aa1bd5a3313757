/*
 * recorder.h
 *	  A thread that only moves what a device records into a ring, so that nothing that somebody else waits for is in its way.
 *
 * The ring needs no lock: one thread fills it and one empties it. What finds no room in it is lost, and counted like what the device
 * lost: before the next block that finds room. The device is opened again, by its name, when it was away.
 */
#ifndef EDGE_RECORDER_H
#define EDGE_RECORDER_H

#include "audio.h"

typedef struct edge_recorder edge_recorder;

typedef struct edge_recorder_state
{
	bool away;	/* the device is gone, and looked for again and again */
	bool ended; /* nothing will follow */
	edge_audio_status
		end; /* why: END or OK, or what a file or pipe that cannot be read any further says */
	bool real_time;
	unsigned overruns;
	unsigned suspends;
	unsigned short_reads;
	unsigned departures;
	uint64_t late; /* frames that found no room in the ring */
} edge_recorder_state;

/* Opens the device and records from it; *status and problem say why not. The device stays the recorder's. */
extern edge_recorder *edge_recorder_start(const char *name, const edge_audio_request *request,
										  edge_audio_status *status, char *problem, size_t size);

extern const edge_audio_traits *edge_recorder_traits(const edge_recorder *recorder);

/* In words, when it has ended otherwise than with its end. */
extern const char *edge_recorder_problem(const edge_recorder *recorder);

/* Readable when there is a block, or something has changed. */
extern int edge_recorder_fd(const edge_recorder *recorder);

/* The oldest block, whose samples stay until it is done with; false: there is none. */
extern bool
edge_recorder_take(edge_recorder *recorder, const int16_t **samples, edge_audio_block *block);
extern void edge_recorder_done(edge_recorder *recorder);

extern void edge_recorder_look(const edge_recorder *recorder, edge_recorder_state *state);

/* Ends the thread, and closes the device; blocks that are in the ring can still be taken. */
extern void edge_recorder_stop(edge_recorder *recorder);
extern void edge_recorder_free(edge_recorder *recorder);

#endif /* EDGE_RECORDER_H */
