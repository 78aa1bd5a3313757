/*
 * compat.h
 *	  The one place that knows how server versions differ.
 */
#ifndef MULBERRY_COMPAT_H
#define MULBERRY_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "Mulberry needs PostgreSQL 15 or later"
#endif

#endif /* MULBERRY_COMPAT_H */
