/*
 * installation.h
 *	  Whether this database may talk to the outside, or is a copy that must not.
 */
#ifndef MULBERRY_INSTALLATION_H
#define MULBERRY_INSTALLATION_H

#include "postgres.h"

/*
 * True while the table "installation" names this server and this database and
 * nothing else.  False in a restored dump, a copied database and an upgraded
 * server, until resume_outbound().  Needs a transaction, no snapshot and no
 * rights on the table.  To be asked in the transaction that claims outgoing
 * work.
 */
extern bool mulberry_outbound_allowed(void);

#endif /* MULBERRY_INSTALLATION_H */
