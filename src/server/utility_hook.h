/*
 * utility_hook.h
 *	  Statements that our processes must make room for.
 */
#ifndef MULBERRY_UTILITY_HOOK_H
#define MULBERRY_UTILITY_HOOK_H

/* From _PG_init; does something only when the library is being preloaded. */
extern void mulberry_utility_hook_init(void);

#endif /* MULBERRY_UTILITY_HOOK_H */
