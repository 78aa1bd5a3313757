/*
 * deadlock.h
 *	  Deciding deadlocks in favour of a statement that holds a database.
 */
#ifndef MULBERRY_DEADLOCK_H
#define MULBERRY_DEADLOCK_H

/*
 * Cancels the statements that are in a deadlock with a backend that is to win
 * (holds.h).  True when there is such a backend, so that it is to be called again
 * soon.
 */
extern bool mulberry_break_deadlocks(void);

#endif /* MULBERRY_DEADLOCK_H */
