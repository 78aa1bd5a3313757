/*
 * stored_values.h
 *	  Values that are stored out of line, read where they lie.  What detoast_attr_slice() does, without its memory, and
 *	  with the chunks of a page fetched at once.
 */
#ifndef MULBERRY_STORED_VALUES_H
#define MULBERRY_STORED_VALUES_H

#include "postgres.h"

/* True when parts of the value can be fetched for what they cost: it is stored out of line and not compressed. */
extern bool mulberry_can_be_sliced(const struct varlena *value);

/* Such a value that is being read from one place to another, which are both inside it. */
typedef struct mulberry_stored mulberry_stored;

extern mulberry_stored *mulberry_open_stored(const struct varlena *value, size_t place, size_t n);

/*
 * The next bytes where they lie, and how many; NULL behind the last.  They stay there until the next call.  Pieces end at even places
 * of the value if the first begins at one, but for the value's end.
 */
extern const uint8 *mulberry_next_stored(mulberry_stored *stored, size_t *n);

/* After an error the server closes what was open. */
extern void mulberry_close_stored(mulberry_stored *stored);

/* Copies n bytes from a place on, which are all inside such a value. */
extern void
mulberry_read_stored(const struct varlena *value, size_t place, size_t n, uint8 *destination);

#endif /* MULBERRY_STORED_VALUES_H */
