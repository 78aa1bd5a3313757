/*
 * vsm.h
 *	  Which form of audio to ask a voice modem for, of those that AT+VSM=? lists.
 *
 * Numbers of forms are the makers' own, so they are told by their names.
 */
#ifndef MB_VSM_H
#define MB_VSM_H

#include "core/mb.h"

/* Best first. */
typedef enum mb_vsm_form
{
	MB_VSM_UNSIGNED, /* linear, 8 bits, 128 is silence */
	MB_VSM_MULAW,
	MB_VSM_ALAW,
	MB_VSM_SIGNED, /* linear, 8 bits */
	MB_VSM_FORMS   /* none that we read */
} mb_vsm_form;

/* A line of the list: its form when it can be had at 8000 Hz, else MB_VSM_FORMS; *number is what to ask for. */
extern mb_vsm_form mb_vsm_read(const char *line, int *number);

/* 8 bits to int16 and back. */
extern int16_t mb_vsm_decode(mb_vsm_form form, uint8_t byte);
extern uint8_t mb_vsm_encode(mb_vsm_form form, int16_t sample);

#endif /* MB_VSM_H */
