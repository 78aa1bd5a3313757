/*
 * call.h
 *	  A call in the database: how its tracks are encoded, what of them is there already, its begin and its end.
 */
#ifndef EDGE_CALL_H
#define EDGE_CALL_H

#include "core/mb.h"
#include "server.h"

#define EDGE_CALL_ID 128 /* characters */

/* What is known of a call beside its audio; NULL: nothing. */
typedef struct edge_call
{
	const char *id;
	const char *tenant;
	const char *direction;
	const char *from;
	const char *to;
	const char *attributes; /* JSON */
	const char *encoding;	/* that it shall have */
	const char *sample_rate;
	int64_t started_at; /* microseconds since 1970; 0: when its first packet comes */
	bool whole;			/* no tracks come to it later but those that it begins with */
} edge_call;

/* Sequences from first to last - 1 that have not arrived. */
typedef struct edge_range
{
	int64_t first;
	int64_t last;
} edge_range;

typedef struct edge_track
{
	const char *name; /* NULL: the call's first */
	bool exists;
	mb_encoding encoding;
	char rate[8];
	int sample_rate;
	int64_t first; /* its first sequence */
	int64_t next;  /* one more than the largest that arrived */
	edge_range *missing;
	int n_missing;
} edge_track;

/*
 * Looks for a track; one that does not exist has the encoding that it will have. Where there is no call, or more is
 * known of it than was, it is begun, with these tracks and no others where there are several or it is whole.
 */
extern edge_exit
edge_call_begin(edge_server *server, const edge_call *call, edge_track *tracks, int n);

/* What begin could not say of a call that did not exist. */
extern edge_exit edge_call_describe(edge_server *server, const edge_call *call);

/* Whether the server has a sequence. */
extern bool edge_track_has(const edge_track *track, int64_t sequence);
extern void edge_track_free(edge_track *track);

/* So many packets are all there are, in each track; *missing is how many the server has not got. */
extern edge_exit
edge_call_complete(edge_server *server, const edge_call *call, const edge_track *tracks,
				   const int64_t *totals, int n, int64_t *missing);

/*
 * An id that no other call has: the clock may be wrong, the same at each start of a machine without one, and the process one of
 * many; so a part of it is chance. Ids of a process come in order, behind the name, which is the host's when it is NULL.
 */
extern void edge_call_name(const char *name, char id[static EDGE_CALL_ID + 1]);

#endif /* EDGE_CALL_H */
