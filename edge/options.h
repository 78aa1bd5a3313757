/*
 * options.h
 *	  The settings of mulberry-edge: a command, flags, and a configuration file whose names are the flags.
 */
#ifndef EDGE_OPTIONS_H
#define EDGE_OPTIONS_H

#include <stdbool.h>

#include "gateway.h"

#define EDGE_MAX_WORDS 2

typedef struct edge_options
{
	const char *word[EDGE_MAX_WORDS]; /* the command, and what it is told */
	int n_words;
	const char *device;
	int sample_rate; /* 0: the device's */
	int channels;
	const char *encoding; /* of samples without a header */
	bool real_pace;
	int seconds; /* and then end; 0: go on */

	const char *database;
	const char *tenant;
	const char *call;
	const char *track[EDGE_MAX_CHANNELS];
	int n_tracks;
	const char *direction;
	const char *from;
	const char *to;
	const char *attributes;
	const char *call_encoding;
	int call_rate;
	bool complete;
	int patience; /* seconds that the server may be away */

	const char *name;  /* of this edge, before the ids of its calls */
	const char *gate;  /* what a call begins with */
	int hangover;	   /* seconds without it until the call is over */
	int call_minutes;  /* of a call, and then another one begins */
	int memory;		   /* seconds that may wait for the database */
	const char *spool; /* directory; NULL: none */
	size_t spool_bytes;
	int spool_free; /* percent of its disk */
	int spool_pace; /* seconds of audio a second */
	int spool_sync; /* milliseconds */
	int batch_ms;
	int grace;
	bool check; /* say whether it would work, and end */

	const char *modem; /* its profile; NULL: none */
	const char *port;  /* on which it takes commands */
	const char *allowed_callers;
	bool withheld;
	int answers; /* an hour; 0: no limit */
	int rings;	 /* 0: the profile's */
	const char *modem_init;
	const char *modem_answer;
	const char *modem_start;
	const char *modem_stop;
	const char *modem_hang_up;
	const char *modem_list;
	const char *modem_reset;
	int silence;		/* seconds without a digit until we hang up */
	bool ready;			/* a tone says that we listen */
	const char *speech; /* command that speaks a sentence; "off": none is spoken */

	const char *gateway; /* its URL */
	const char *token_file;
	const char *ca_file;
	bool once;
} edge_options;

/* 0: go on; else the program's exit status plus 1: what there is to say has been said. */
extern int edge_options_read(edge_options *options, int argc, char **argv);

/* What the tracks of so many channels are called; false: that does not fit, and was said. The only one may have no name: NULL. */
extern bool edge_options_tracks(const edge_options *options, int channels,
								const char *track[static EDGE_MAX_CHANNELS]);

/* Opens the gateway that it names: OK, or why not, which is in gateway->problem. */
extern edge_exit edge_options_gateway(const edge_options *options, edge_gateway *gateway);

/* What of it is said to a device that is recorded from. */
extern edge_audio_request edge_options_request(const edge_options *options);

#endif /* EDGE_OPTIONS_H */
