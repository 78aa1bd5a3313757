/*
 * options.h
 *	  The settings of a gateway: flags, and a configuration file whose names are the flags.
 */
#ifndef GATEWAY_OPTIONS_H
#define GATEWAY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define GW_MAX_LISTENERS 8
#define GW_MAX_RULES 32

typedef struct gw_options
{
	const char *database;
	int connections;
	const char *listen[GW_MAX_LISTENERS];
	int n_listen;
	const char *admin_listen[GW_MAX_LISTENERS];
	int n_admin_listen;
	const char *anonymous[GW_MAX_RULES];
	int n_anonymous;
	const char
		*origin[GW_MAX_RULES]; /* of pages that may open sockets, and are served without a token */
	int n_origin;
	const char *twilio_listen[GW_MAX_LISTENERS];
	int n_twilio_listen;
	int twilio_connections;
	const char *audiosocket;
	int webhook_deadline; /* milliseconds */
	const char *public_url;
	const char *apology;
	const char *apology_voice;
	const char *apology_language;
	const char *tls_certificate;
	const char *tls_key;
	const char *proxy[GW_MAX_RULES]; /* networks whose X-Forwarded-For counts */
	int n_proxy;
	const char *unlimited[GW_MAX_RULES]; /* networks without limits per address */
	int n_unlimited;
	int max_connections;
	int max_connections_per_address;
	int max_body; /* bytes */
	int max_buffered;
	int max_head;
	int max_headers;
	int head_timeout; /* seconds */
	int body_timeout;
	int send_timeout;
	int idle_timeout;
	int rate_per_address;  /* requests a second; 0: no limit */
	int burst_per_address; /* requests at once; 0: as many as in a second */
	int rate_per_token;
	int burst_per_token;
	const char *metrics_token; /* for the database's figures among ours */
	int max_wait;			   /* seconds of a request for commands */
	int rate_table;			   /* addresses, and tokens, that are counted at a time */
	int max_tokens;
	int max_answer; /* bytes of an answer that is made as a whole */
	int max_downloads;
	int max_recording; /* bytes */
	int max_uploads;
	int max_waiting_audio; /* bytes */
	bool shared;		   /* several processes on one port */
	bool check;			   /* read the settings, say whether they are good, and end */
} gw_options;

/*
 * Reads the flags and the file that they name.  0: go on; else the program's exit status plus 1: what there is to
 * say has been said.  Texts live as long as the program.
 */
extern int gw_options_read(gw_options *options, int argc, char **argv);

/* Whether pages of that origin are named. */
extern bool gw_options_name_origin(const gw_options *options, const char *origin, size_t n);

#endif /* GATEWAY_OPTIONS_H */
