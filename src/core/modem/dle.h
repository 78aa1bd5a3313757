/*
 * dle.h
 *	  The byte stream of a voice modem, in which a DLE shields what is no audio (ITU-T V.253, section 9 and annexes).
 */
#ifndef MB_DLE_H
#define MB_DLE_H

#include "core/mb.h"

#define MB_DLE 0x10
#define MB_DLE_SUB 0x1A
#define MB_DLE_ETX 0x03

typedef enum mb_dle_kind
{
	MB_DLE_DIGIT, /* code is it: 0 to 9, *, #, A to D */
	MB_DLE_DIGIT_BEGINS,
	MB_DLE_DIGIT_ENDS,
	MB_DLE_BUSY,
	MB_DLE_DIAL_TONE, /* the other side has hung up, as a rule */
	MB_DLE_SILENCE,	  /* nobody ever spoke */
	MB_DLE_QUIET,	  /* nobody speaks any more */
	MB_DLE_RINGING,
	MB_DLE_FAX,
	MB_DLE_DATA_CALL,
	MB_DLE_HANDSET, /* lifted or put back */
	MB_DLE_UNDERRUN,
	MB_DLE_OVERRUN,
	MB_DLE_END, /* of the stream: what follows are lines again */
	MB_DLE_UNKNOWN
} mb_dle_kind;

extern mb_dle_kind mb_dle_kind_of(uint8_t code);

/* Owned by the caller; {0} to begin a stream. */
typedef struct mb_dle
{
	bool shielded; /* a DLE came, its code did not yet */
	bool second;   /* of two bytes that one code stands for, this one is still to be given out */
} mb_dle;

/*
 * Takes up to n bytes and gives out audio, up to "space" bytes. Returns true when a code came, which *code is, after the audio
 * that stood before it; call again with what was not used. False: all n are used, or there is no space.
 */
extern bool mb_dle_take(mb_dle *dle, const uint8_t *bytes, size_t n, size_t *used, uint8_t *out,
						size_t space, size_t *produced, uint8_t *code);

/* Shields n bytes of audio; needs 2 n bytes, returns how many were written. */
extern size_t mb_dle_shield(const uint8_t *bytes, size_t n, uint8_t *out);

#endif /* MB_DLE_H */
