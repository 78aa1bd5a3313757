/*
 * exits.c
 *	  How the program ends; see exits.h.
 */
#include "exits.h"

#include <stdarg.h>
#include <stdio.h>

const char edge_exit_help[] = "Exit status:\n"
							  "   0  done\n"
							  "   1  out of memory, or an error of the program\n"
							  "   2  a flag or the configuration file is wrong\n"
							  "   3  there is no such device or file\n"
							  "   4  the device is in use by another program\n"
							  "   5  the device or file may not be opened\n"
							  "   6  the device cannot do that format, or the file is none that "
							  "can be read\n"
							  "   7  the spool is full\n"
							  "   8  the spool cannot be written to\n"
							  "   9  the server refuses the credentials, or the access\n"
							  "  10  the server cannot be reached\n"
							  "  11  the server is too old\n"
							  "  12  its database has no extension mulberry\n"
							  "  13  its extension mulberry is of another version\n"
							  "  14  the server does not take what is sent\n"
							  "  15  --check: it would work, but not well\n";

void
edge_complain(const char *format, ...)
{
	va_list list;

	fputs("mulberry-edge: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputs("\n", stderr);
}

edge_exit
edge_exit_of_audio(edge_audio_status status)
{
	switch (status)
	{
		case EDGE_AUDIO_OK:
		case EDGE_AUDIO_END:
			return EDGE_EXIT_OK;
		case EDGE_AUDIO_MISSING:
		case EDGE_AUDIO_AWAY:
			return EDGE_EXIT_MISSING;
		case EDGE_AUDIO_BUSY:
			return EDGE_EXIT_BUSY;
		case EDGE_AUDIO_DENIED:
			return EDGE_EXIT_DENIED;
		case EDGE_AUDIO_FORMAT:
			return EDGE_EXIT_FORMAT;
		case EDGE_AUDIO_NAME:
		case EDGE_AUDIO_UNABLE:
			return EDGE_EXIT_USAGE;
		case EDGE_AUDIO_LATER:
			break;
	}
	return EDGE_EXIT_FAILED;
}
