/*
 * metric_kinds.h
 *	  What is measured: what each metric is called, what it means, and by which labels it is told apart.
 *
 * This is their one definition.  What is counted is kept by it, SQL reads it by metric_kinds(), metrics()
 * takes names and meanings from it, and docs/metrics.md is written from it.
 */
#ifndef MULBERRY_METRIC_KINDS_H
#define MULBERRY_METRIC_KINDS_H

#include "postgres.h"

typedef enum mulberry_metric
{
	/* counted in shared memory, see counters.h */
	MULBERRY_METRIC_PACKETS,
	MULBERRY_METRIC_PACKETS_LATE,
	MULBERRY_METRIC_PACKET_BYTES,
	MULBERRY_METRIC_AUDIO_SECONDS,
	MULBERRY_METRIC_GAPS_OPENED,
	MULBERRY_METRIC_GAPS_FILLED,
	MULBERRY_METRIC_CALL_TRANSITIONS,
	MULBERRY_METRIC_JOBS,
	MULBERRY_METRIC_JOB_SECONDS,
	MULBERRY_METRIC_EVENTS,
	MULBERRY_METRIC_COMMANDS,
	MULBERRY_METRIC_COMMAND_FRAMES,
	MULBERRY_METRIC_ACKNOWLEDGEMENTS,
	MULBERRY_METRIC_VERIFICATION_FAILURES,
	MULBERRY_METRIC_VOICE_CALLS,
	MULBERRY_METRIC_VOICE_CALL_SECONDS,
	MULBERRY_METRICS_COUNTED
} mulberry_metric;

typedef enum mulberry_metric_type
{
	MULBERRY_COUNTER,
	MULBERRY_GAUGE,
	MULBERRY_HISTOGRAM
} mulberry_metric_type;

#define MULBERRY_MAX_LABELS 2

typedef struct mulberry_metric_kind
{
	const char *name;
	mulberry_metric_type type;
	const char *subject;					 /* what it is about */
	const char *labels[MULBERRY_MAX_LABELS]; /* their names */
	bool of_server;		   /* of the processes as a whole: no tenant has a part of it */
	bool in_millionths;	   /* counted so; what is shown is whole units */
	const double *buckets; /* of a histogram: their upper bounds */
	int nbuckets;
	const char *help;
} mulberry_metric_kind;

/* The i-th of them, NULL past the last; those that are counted have the numbers of mulberry_metric. */
extern const mulberry_metric_kind *mulberry_metric_kind_at(int i);

/*
 * The i-th value of a label of what is counted: NULL past the last, empty for one that never is.  Those
 * that the core does not know are told by their subjects from _PG_init.
 */
typedef const char *(*mulberry_label_values)(int i);
extern void
mulberry_metric_label_values(mulberry_metric metric, int label, mulberry_label_values values);
extern const char *mulberry_metric_label_value(mulberry_metric metric, int label, int i);
extern int mulberry_metric_nvalues(mulberry_metric metric, int label); /* 1 without such a label */

#endif /* MULBERRY_METRIC_KINDS_H */
