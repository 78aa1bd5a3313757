/*
 * port.h
 *	  The port on which a modem takes commands. A landline modem has its audio on it as well: who opens the same port again shares
 *	  it, and takes it for the time of the audio.
 */
#ifndef EDGE_PORT_H
#define EDGE_PORT_H

#include "audio.h"
#include "core/modem/at.h"

typedef struct edge_port edge_port;

/* As edge_serial_open(); by RTS and CTS where the port has them. */
extern edge_audio_status edge_port_open(const char *name, edge_port **port, char *problem);
extern void edge_port_close(edge_port *port);

/* Sends a command, with its CR. False: the port is gone. */
extern bool edge_port_send(edge_port *port, const char *command);

/* What the modem says next: 1; 0 when it says nothing within so many milliseconds; -1: the port is gone. */
extern int edge_port_hear(edge_port *port, mb_at_event *event, int timeout);

/* Behind CONNECT bytes are data: the rest of its line is not. */
extern void edge_port_data_begin(edge_port *port, int timeout);

/* Up to n bytes as they come, 0 when none come in time, -1: the port is gone. What was not wanted can be put back, once. */
extern int edge_port_read(edge_port *port, uint8_t *bytes, size_t n, int timeout);
extern void edge_port_unread(edge_port *port, size_t n);
extern bool edge_port_write(edge_port *port, const void *bytes, size_t n, int timeout);

/* Audio has the port: who controls the modem does not read or send meanwhile. */
extern void edge_port_take(edge_port *port);
extern void edge_port_give_back(edge_port *port, bool restarted);
extern bool edge_port_taken(edge_port *port);

/* Whether the modem began anew while audio had the port; asked once. */
extern bool edge_port_restarted(edge_port *port);

#endif /* EDGE_PORT_H */
