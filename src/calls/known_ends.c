/*
 * known_ends.c
 *	  Where tracks end, as it was last known: in the section of the database's slot, so that a session knows
 *	  what another one has stored; without a slot, for this session alone.
 *
 * Whoever stores packets of a track has the lock of its call until he has committed, so that what is known of
 * a track changes for nobody who looks at it.  But another track may take its place meanwhile, hence the
 * spinlock.
 */
#include "server/compat.h"

#include "storage/spin.h"
#include "utils/memutils.h"

#include "calls/known_ends.h"
#include "server/shared_state.h"

/* Numbers of tracks follow one another: those of the last 4096 do not meet. */
#define KNOWN_ENDS 4096

typedef struct place
{
	slock_t lock;
	int64 track; /* 0: nothing is known */
	mulberry_known_end end;
} place;

static int section;
static place *own_places = NULL;

static Size
section_size(void)
{
	return sizeof(place) * KNOWN_ENDS;
}

static void
init_section(void *memory)
{
	place *places = memory;

	for (int i = 0; i < KNOWN_ENDS; i++)
		SpinLockInit(&places[i].lock);
}

static void
reset_section(void *memory)
{
	place *places = memory;

	for (int i = 0; i < KNOWN_ENDS; i++)
	{
		SpinLockAcquire(&places[i].lock);
		places[i].track = 0;
		SpinLockRelease(&places[i].lock);
	}
}

void
mulberry_known_ends_init(void)
{
	section = mulberry_register_section(
		&(mulberry_section){ .size = section_size, .init = init_section, .reset = reset_section });
}

static place *
get_own_places(void)
{
	if (own_places == NULL)
	{
		own_places = MemoryContextAllocZero(TopMemoryContext, section_size());
		init_section(own_places);
	}
	return own_places;
}

/* Locked. */
static place *
lock_place(int64 track)
{
	mulberry_slot *slot = mulberry_my_slot();
	place *places = slot == NULL ? get_own_places() : mulberry_slot_section(slot, section);

	SpinLockAcquire(&places[track % KNOWN_ENDS].lock);
	return &places[track % KNOWN_ENDS];
}

bool
mulberry_known_end_of(int64 track, mulberry_known_end *end)
{
	place *place = lock_place(track);
	bool known = place->track == track;

	*end = place->end;
	SpinLockRelease(&place->lock);
	return known;
}

void
mulberry_remember_end(int64 track, const mulberry_known_end *end)
{
	place *place = lock_place(track);

	place->track = track;
	place->end = *end;
	SpinLockRelease(&place->lock);
}

void
mulberry_advance_end(int64 track, const mulberry_known_end *stored)
{
	place *place = lock_place(track);

	if (place->track != track || place->end.sequence <= stored->sequence)
	{
		place->track = track;
		place->end = *stored;
	}
	SpinLockRelease(&place->lock);
}
