/*
 * modem.h
 *	  A modem that answers calls: its port and its control (core/modem/control.h) in one. Audio is opened by who is told of a call,
 *	  and closed when told of its end.
 */
#ifndef EDGE_MODEM_H
#define EDGE_MODEM_H

#include "audio.h"
#include "core/modem/control.h"

typedef struct edge_modem_options
{
	const char *port; /* of commands */
	mb_modem_profile profile;
	mb_modem_rules rules;
	void (*tell)(void *context, const mb_modem_news *news);
	void *context;
} edge_modem_options;

typedef struct edge_modem edge_modem;

/* Anything but OK comes with a sentence in problem, of 256 bytes. */
extern edge_audio_status
edge_modem_open(const edge_modem_options *options, edge_modem **modem, char *problem);

/*
 * Hears what the modem says, for at most so many milliseconds, and does what is due. False while the port is gone; it is
 * opened again when it is back.
 */
extern bool edge_modem_turn(edge_modem *modem, int timeout);

/* Audio came from the call; the call is to end, or audio says that it has. */
extern void edge_modem_heard(edge_modem *modem);
extern void edge_modem_hang_up(edge_modem *modem);

extern mb_modem_state edge_modem_state(const edge_modem *modem);

/* No call is up and none is begun; the port is free. */
extern void edge_modem_close(edge_modem *modem);

#endif /* EDGE_MODEM_H */
