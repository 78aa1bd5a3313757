/*
 * launcher.h
 *	  The process that keeps all others alive.
 */
#ifndef MULBERRY_LAUNCHER_H
#define MULBERRY_LAUNCHER_H

/* Registers the launcher when the library is being preloaded; from _PG_init. */
extern void mulberry_launcher_init(void);

#endif /* MULBERRY_LAUNCHER_H */
