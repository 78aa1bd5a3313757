/*
 * drivers.h
 *	  The kinds of devices, a file each; audio.c has their list.
 */
#ifndef EDGE_DRIVERS_H
#define EDGE_DRIVERS_H

#include "audio.h"

extern const edge_audio_driver edge_alsa_driver;
extern const edge_audio_driver edge_file_driver;
extern const edge_audio_driver edge_pcm_tty_driver;
extern const edge_audio_driver edge_stdin_driver;
extern const edge_audio_driver edge_v253_driver;

#endif /* EDGE_DRIVERS_H */
