/*
 * e164.h
 *	  International telephone numbers as ITU-T E.164 and Twilio write them: +, a country code
 *	  that does not begin with 0, at most 15 digits in all, and nothing else.
 *
 * Whether anybody has the number is not asked here.
 */
#ifndef MB_E164_H
#define MB_E164_H

#include "core/mb.h"

#define MB_E164_MAX_LENGTH 16 /* the + and 15 digits */

/* True for +821012345678; not for spaces, hyphens or national forms. */
extern bool mb_e164_valid(const char *number);

#endif /* MB_E164_H */
