/*
 * line.h
 *	  A telephone line that is listened to for commands: its device, the calls on it, what is heard and said in them.
 *
 * Frames of digits go to the judge, what it says is played, and the call's audio, heard and said, is posted as two tracks. One
 * thread uses a line; nothing here waits for the database.
 */
#ifndef EDGE_LINE_H
#define EDGE_LINE_H

#include "audio.h"
#include "core/mb.h"
#include "judge.h"
#include "outbox.h"
#include "speech.h"

typedef struct edge_line edge_line;

typedef struct edge_line_options
{
	edge_judge *judge;
	edge_outbox *outbox;
	const char *name; /* before the ids of calls */
	mb_encoding encoding;
	int sample_rate;	 /* of the tracks */
	int silence;		 /* seconds without a digit until a call is hung up */
	int call_minutes;	 /* that a call may last */
	bool ready;			 /* a tone says that we listen */
	bool by_digit;		 /* a call begins with its first digit, when nobody says so */
	edge_speech *speech; /* speaks the sentences; NULL: they are not spoken */
} edge_line_options;

/* What has been heard since the program began, and lost. */
typedef struct edge_line_counters
{
	unsigned calls;
	unsigned commands; /* of which the database accepted so many */
	uint64_t frames;   /* of audio */
	uint64_t lost;
	unsigned overruns;
	unsigned suspends;
} edge_line_counters;

/* The names of its tracks. */
#define EDGE_LINE_TRACKS 2
extern const char *const edge_line_tracks[EDGE_LINE_TRACKS];

extern edge_line *edge_line_new(const edge_line_options *options);
extern void edge_line_free(edge_line *line);

/* Opens the device; the sentence in problem, of 256 bytes, says why not. */
extern edge_audio_status edge_line_open(edge_line *line, const char *device,
										const edge_audio_request *request, char *problem);
extern void edge_line_close(edge_line *line);
extern bool edge_line_is_open(const edge_line *line);
extern const edge_audio_traits *edge_line_traits(const edge_line *line);

/* A call begins, and ends; caller may be NULL. False: out of memory. */
extern bool edge_line_begin(edge_line *line, const char *caller);
extern void edge_line_end(edge_line *line);

/* The id of the call; NULL: there is none. Whether it is to be hung up. */
extern const char *edge_line_call(const edge_line *line);
extern bool edge_line_is_over(edge_line *line);

/*
 * Hears the next 20 ms, and says what there is to say. LATER: nothing came; what else is not OK is of the device, whose problem is
 * edge_line_problem().
 */
extern edge_audio_status edge_line_turn(edge_line *line);
extern const char *edge_line_problem(const edge_line *line);

extern const edge_line_counters *edge_line_count(edge_line *line);

#endif /* EDGE_LINE_H */
