/*
 * item.h
 *	  What goes through the outbox: the begin of a call, its packets, its end; and how it stands in the spool.
 *
 * Each says enough of its call to be posted alone, because others of the call may have been dropped: a packet its tenant,
 * encoding and rate, begin and end all that is known.
 */
#ifndef EDGE_ITEM_H
#define EDGE_ITEM_H

#include "call.h"
#include "core/spool/record.h"
#include "poster.h"

#define EDGE_MAX_CALL_ID 128

typedef enum edge_item_kind
{
	EDGE_ITEM_BEGIN = 1,
	EDGE_ITEM_PACKET = 2,
	EDGE_ITEM_END = 3 /* the call is over */
} edge_item_kind;

typedef struct edge_item
{
	struct edge_item *next;
	edge_item_kind kind;
	uint64_t number; /* in the spool; 0: it is in memory only */
	char call_id[EDGE_MAX_CALL_ID + 1];
	const char *track; /* of a packet, in the bytes behind; NULL: the call's first */
	int64_t sequence;  /* of an end, how many there are in each track */
	uint32_t duration_us;
	int64_t
		time; /* edge_clock() of it; 0: nobody knows, or the machine has been started anew since */
	int64_t
		wall; /* microseconds since 1970 of it, as far as was known then; else MB_SPOOL_NO_TIME */
	const uint8_t *data; /* what was made of it, see below; of a packet, its audio comes last */
	size_t n;
	char bytes[];
} edge_item;

/* What an item says of its call, but its id, tenant and rate, which are beside it; other texts are in the item. */
typedef struct edge_item_call
{
	edge_call call;
	char tenant[256]; /* "": the role's */
	const char *track[EDGE_MAX_CHANNELS];
	int n_tracks;		  /* 0: a packet, which does not know */
	char sample_rate[12]; /* "": not said */
} edge_item_call;

/* Makes one; NULL: out of memory, or texts are too long for the spool. Of a call it says all but the id. */
extern edge_item *
edge_item_packet(const char *call_id, const edge_packet *packet, const edge_call *call);
extern edge_item *edge_item_of_call(edge_item_kind kind, const char *call_id, const edge_call *call,
									const char *const *tracks, int n_tracks, int64_t total);

/* From the spool; NULL: it is none of ours, or else there is no memory for it. "boot": which start of the machine this is. */
extern edge_item *
edge_item_of_record(const mb_spool_record *record, const uint8_t *boot, bool *is_ours);
/* As it goes into the spool; texts stay the item's. */
extern void
edge_item_to_record(const edge_item *item, const uint8_t *boot, mb_spool_record *record);

/* False: it cannot be read. */
extern bool edge_item_read_call(const edge_item *item, edge_item_call *call);

/* The audio of a packet. */
extern const uint8_t *edge_item_audio(const edge_item *item, size_t *n);

#endif /* EDGE_ITEM_H */
