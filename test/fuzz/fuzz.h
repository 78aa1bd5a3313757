/*
 * fuzz.h
 *	  What all fuzz targets have: the function that libFuzzer calls, and a claim about what it finds.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void
require(bool condition)
{
	if (!condition)
		abort();
}

#endif /* FUZZ_H */
