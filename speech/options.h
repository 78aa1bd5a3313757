/*
 * options.h
 *	  What flags and a configuration file decide: addresses, limits, models.
 */
#ifndef SPEECH_OPTIONS_H
#define SPEECH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct speech_options
{
	const char *listen; /* numeric IPv4 or IPv6 address */
	int port;			/* 0: any free one */
	bool allow_remote;	/* listen may be another address than loopback */
	const char *port_file;
	const char *api_key_file;

	const char *acoustic_model; /* directory */
	const char *dictionary;		/* file */
	const char *language_model; /* file */

	int transcribers;		/* transcriptions at once */
	int synthesizers;		/* syntheses at once */
	int streams;			/* streams that are recognized at once */
	int queue;				/* requests that may wait, for each of both */
	int max_connections;	/* open connections */
	size_t max_body;		/* bytes of one request's body */
	size_t max_buffered;	/* bytes of all bodies and answers in memory */
	int max_audio_seconds;	/* of one recording */
	int max_input;			/* characters of one text to speak */
	int max_speech_seconds; /* of one synthesis */
	int receive_timeout;	/* seconds for a request to arrive, an answer to leave */
	int job_timeout;		/* seconds of work for one request */
	int grace;				/* seconds for running work after SIGTERM */
	int nice;				/* added to the niceness of the working processes */
	bool quiet;				/* log errors only */
} speech_options;

/*
 * Reads the flags and the file that they name. 0: go on; else the program's exit status plus 1: what there is to say
 * has been said. Texts live as long as the program.
 */
extern int speech_options_read(speech_options *options, int argc, char **argv);

#endif /* SPEECH_OPTIONS_H */
