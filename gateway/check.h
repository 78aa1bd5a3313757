/*
 * check.h
 *	  Settings that are fine each by itself and wrong together.
 */
#ifndef GATEWAY_CHECK_H
#define GATEWAY_CHECK_H

#include "options.h"

/* Says on standard error what is wrong; false when something is.  What is only strange is a warning. */
extern bool gw_options_fit(const gw_options *options);

#endif /* GATEWAY_CHECK_H */
