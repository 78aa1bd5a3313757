/*
 * container.h
 *	  Tells a file of a well known kind from samples without a header, by its first bytes.
 */
#ifndef MB_CONTAINER_H
#define MB_CONTAINER_H

#include "core/mb.h"

/* So many bytes are looked at, where there are so many. */
#define MB_CONTAINER_LOOK 4096

/*
 * What a file is that begins with these n bytes: "WAV", "MP3", "Ogg", "FLAC", "Sun audio" …; NULL when they
 * may be samples.  Four letters at the beginning of samples are as likely as any other bytes, one in
 * 2^32.  An MP3 without a tag begins with bytes that G.711 has for silence, so it is only
 * told where a second frame stands exactly behind the first.
 */
extern const char *mb_container_name(const uint8_t *bytes, size_t n);

#endif /* MB_CONTAINER_H */
