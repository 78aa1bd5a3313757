/*
 * stored_values.h
 *	  Slices of values that are stored out of line.
 */
#ifndef MULBERRY_STORED_VALUES_H
#define MULBERRY_STORED_VALUES_H

#include "postgres.h"

/* True when parts of the value can be fetched for what they cost: it is stored out of line and not compressed. */
extern bool mulberry_can_be_sliced(const struct varlena *value);

/*
 * Copies n bytes from a place on, which are all inside such a value.  What detoast_attr_slice() does, without its memory,
 * and with the chunks of a page fetched at once.
 */
extern void
mulberry_read_stored(const struct varlena *value, size_t place, size_t n, uint8 *destination);

#endif /* MULBERRY_STORED_VALUES_H */
