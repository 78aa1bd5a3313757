/*
 * media_audiosocket.h
 *	  A listener for Asterisk's AudioSocket.
 */
#ifndef GATEWAY_MEDIA_AUDIOSOCKET_H
#define GATEWAY_MEDIA_AUDIOSOCKET_H

struct gw_gateway;

/* Listens on an address and port for as long as the program runs; 0, or -1 when what is wrong has been said. */
extern int gw_audiosocket_listen(struct gw_gateway *gateway, const char *text);

#endif /* GATEWAY_MEDIA_AUDIOSOCKET_H */
