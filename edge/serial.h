/*
 * serial.h
 *	  Serial ports: opened raw, for us alone, without waiting for a carrier that ports of modems on USB do not have.
 */
#ifndef EDGE_SERIAL_H
#define EDGE_SERIAL_H

#include "audio.h"

/*
 * Opens "PATH" or "PATH,BAUD", 115200 without; it means nothing to most ports on USB, but some drivers want it high
 * enough. *fd does not block. Anything but OK comes with a sentence in problem, of 256 bytes. flow: by RTS and CTS,
 * where the port has them.
 */
extern edge_audio_status edge_serial_open(const char *name, bool flow, int *fd, char *problem);

extern void edge_serial_close(int fd);

/* Writes all n bytes, waiting at most so many milliseconds altogether; false when they did not go, or the port is gone. */
extern bool edge_serial_write(int fd, const void *bytes, size_t n, int timeout);

#endif /* EDGE_SERIAL_H */
