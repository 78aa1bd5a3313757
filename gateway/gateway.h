/*
 * gateway.h
 *	  What a gateway is made of, and how its files answer requests.
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "agents.h"
#include "database.h"
#include "feed.h"
#include "http.h"
#include "identity.h"
#include "client_limits.h"
#include "media.h"
#include "options.h"
#include "route.h"
#include "supervisors.h"
#include "program/text.h"
#include "webhook.h"

#ifndef MULBERRY_VERSION
#define MULBERRY_VERSION "unknown"
#endif

typedef struct gw_ingest gw_ingest;
typedef struct gw_health gw_health;
typedef struct gw_gateway gw_gateway;
typedef struct gw_download gw_download;

struct gw_gateway
{
	const gw_options *options;
	http_loop *loop;
	http_server *server; /* for clients */
	http_server *admin;	 /* health and metrics; NULL without a listener */
	gw_database *database;
	gw_identities *identities;
	gw_limits *limits;
	gw_feed *feed;
	gw_ingest *ingest;
	gw_supervisors *supervisors;
	gw_webhooks *webhooks;	 /* Twilio's; NULL without a listener for them */
	gw_health *health;		 /* of the telephone */
	gw_media *media;		 /* calls that are streams */
	http_watch *audiosocket; /* that is listened to for some of them; NULL: none is */
	gw_agents *agents;
	gw_download *downloads; /* of audio, that are under way */
	int n_downloads;
	int n_uploads; /* of recordings, that wait for the database */
	int64_t started;
	bool stopping;

	/* counted by status / 100, and some by what they are */
	uint64_t answers[6];
	uint64_t packets[4]; /* as gw_packet_kind */
	uint64_t unauthorized;
	uint64_t batches;
};

typedef struct gw_plan gw_plan;

/* A request on its way to its answer. */
typedef struct gw_call
{
	gw_gateway *gateway;
	http_server *server; /* that the request came to */
	http_request *request;
	gw_identity *identity; /* NULL where none is asked for */
	const struct gw_action *action;

	/*
	 * The path's segments that stand for the names in braces, in their order: decoded, UTF-8, with a NUL behind them
	 * and none within; good as long as the handler runs.
	 */
	http_text segments[HTTP_MAX_PARAMETERS];
	int n_segments;
} gw_call;

/* What is said of it, in /openapi.json and /docs. */
typedef struct gw_about
{
	const char *tag;
	const char *id;
	const char *summary;
	const char *schema; /* of its answer, in schemas.c; NULL: a file, or none */
	int status;			/* of its answer */
	int or_status;		/* another one, of the same form; 0: none */
} gw_about;

/* What is done with requests for one method of one path. */
typedef struct gw_action
{
	int access; /* of gw_access: one of them is needed; 0: anybody */
	void (*handle)(gw_call *call);
	const gw_plan *plan;   /* of gw_handle_query(), see query.h */
	bool large;			   /* its body may be as long as a recording */
	const gw_about *about; /* of a route for clients */
	bool socket;		   /* becomes a WebSocket, whose token may come by other ways */
	bool basic;			   /* its token is a password */
} gw_action;

/* handlers.c: what http_server_new() wants, for clients and for health and metrics. */
extern const http_handlers gw_client_handlers;
extern const http_handlers gw_admin_handlers;

/* answers.c.  Answers with a body of JSON, which is copied; and with {"detail": ...}. */
extern void gw_answer(gw_gateway *gateway, http_id id, int status, const program_text *body);
extern void gw_answer_detail(gw_gateway *gateway, http_id id, int status, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The status by which an error of the database is answered. */
extern int gw_status_of(const char *sqlstate);

/* Whether what could not be done now may be done later, as it is. */
extern bool gw_may_pass(gw_outcome outcome, const PGresult *error);

/* What the database complains of; for people. */
extern const char *gw_complaint_of(const PGresult *error);

/* Answers for a unit that did not end well: by the outcome and the error's SQLSTATE. */
extern void gw_answer_outcome(gw_gateway *gateway, http_id id, gw_identity *identity,
							  gw_outcome outcome, const PGresult *error);

/* Sets for whom a unit is. */
extern void gw_unit_for(gw_unit *unit, const gw_identity *identity);

/* metadata.c */
extern const gw_plan gw_begin;
extern const gw_plan gw_twilio_sessions;
extern const gw_plan gw_describe;

/* media_offer.c */
extern const gw_plan gw_offer_media;
extern const gw_plan gw_media_next;

/* supervision.c, listen.c */
extern const gw_plan gw_say_in_call;
extern const gw_plan gw_whisper_to_agent;
extern const gw_plan gw_take_over_call;
extern const gw_plan gw_end_call;
extern const gw_plan gw_listen;
extern void gw_handle_listen(gw_call *call);

/* mandates.c */
extern const gw_plan gw_revoke;
extern const gw_plan gw_suspend;
extern const gw_plan gw_resume;
extern const gw_plan gw_extend;
extern const gw_plan gw_ask;
extern const gw_plan gw_ping;
extern const gw_plan gw_command;
extern const gw_plan gw_commands;
extern const gw_plan gw_cancel;
extern const gw_plan gw_retry;
extern const gw_plan gw_create_mandate;
extern const gw_plan gw_alter_mandate;
extern const gw_plan gw_mandate;
extern const gw_plan gw_mandates;
extern const gw_plan gw_mandate_history;
extern const gw_plan gw_check_mandate;
extern const gw_plan gw_spend;
extern const gw_plan gw_agent;
extern const gw_plan gw_agents_list;

/* agents.c */
extern void gw_handle_agent_sync(gw_call *call);
/* reading.c */
extern const gw_plan gw_read_call;
extern const gw_plan gw_transcript_text;
extern const gw_plan gw_transcript_srt;
extern const gw_plan gw_transcript_vtt;
extern const gw_plan gw_transcript_json;
extern const gw_plan gw_waveform;
extern const gw_plan gw_audio;

/* listing.c, recording.c */
extern const gw_plan gw_calls;
extern const gw_plan gw_search;
extern const gw_plan gw_erase;
extern const gw_plan gw_recording;
extern void gw_handle_recording(gw_call *call);

/* openapi.c */
extern void gw_handle_openapi(gw_call *call);
extern void gw_handle_docs(gw_call *call);

/* complete.c */
extern const gw_plan gw_complete;

/* packet.c, agents.c: what they read, to be told of */
extern const gw_plan gw_packet_fields;
extern const gw_plan gw_agent_sync_fields;

/* audio.c: a request in pieces wants the next one, or is over. */
extern void gw_handle_audio(gw_call *call);
extern void gw_download_more(gw_gateway *gateway, http_request *request);
extern void gw_download_gone(gw_gateway *gateway, http_id id);

/* ingest.c, packet.c, complete.c, supervisors.c, health.c, query.c */
extern gw_ingest *gw_ingest_new(gw_gateway *gateway);
extern void gw_ingest_free(gw_ingest *ingest);
extern void gw_handle_packet(gw_call *call);
extern void gw_handle_supervisor(gw_call *call);
extern void gw_handle_asterisk_media(gw_call *call);
extern void gw_handle_jambonz_media(gw_call *call);
extern void gw_handle_query(gw_call *call);
extern void gw_handle_root(gw_call *call);
extern void gw_handle_live(gw_call *call);
extern void gw_handle_ready(gw_call *call);
extern void gw_write_metrics(gw_gateway *gateway, program_text *text);

/* scrape.c */
extern void gw_handle_metrics(gw_call *call);

/* telephony.c */
extern gw_health *gw_health_new(gw_gateway *gateway);
extern void gw_health_free(gw_health *health);
extern void gw_handle_twilio_health(gw_call *call);

#endif /* GATEWAY_GATEWAY_H */
