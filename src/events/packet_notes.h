/*
 * packet_notes.h
 *	  The packet events that a transaction has pending.
 */
#ifndef MULBERRY_PACKET_NOTES_H
#define MULBERRY_PACKET_NOTES_H

#include "server/xact.h"

/* Gives the child's notes to its parent.  Allocates nothing and never raises. */
extern void mulberry_notes_merge(mulberry_xact_level *parent, mulberry_xact_level *child);

/* Frees the notes of a level that was rolled back.  Never raises. */
extern void mulberry_notes_free(mulberry_xact_level *level);

#endif /* MULBERRY_PACKET_NOTES_H */
