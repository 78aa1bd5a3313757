/*
 * talk_internal.h
 *	  A conversation as its files see it: talk.c gives the turn engine what happens and carries out what it decides, talk_hear.c
 *	  listens, talk_reply.c finds out what is to be said, talk_speech.c has it sound, talk_store.c tells the database.
 *
 * What the engine decides is queued and carried out at the end of the loop's turn, so that nobody is called from within his own call.
 */
#ifndef GATEWAY_TALK_INTERNAL_H
#define GATEWAY_TALK_INTERNAL_H

#include "core/conversation/activity.h"
#include "core/conversation/sentences.h"
#include "core/conversation/turn.h"
#include "core/conversation/turn_log.h"
#include "engine.h"
#include "program/arrays.h"
#include "talk.h"
#include "talk_audio.h"
#include "talk_metrics.h"
#include "talk_race.h"

#define TALK_TICK (20 * HTTP_MILLISECOND)
#define TALK_SERVICES 8
#define TALK_GENERATIONS 64 /* whose turn is known; more are never heard at a time */
#define TALK_MARKS 128		/* that may be on their way */
#define TALK_PIECES 64		/* of a generation; more of a reply is not said */

/* What follows when a generation has been heard. */
typedef enum talk_after
{
	TALK_GO_ON,
	TALK_LEAVE, /* the stream ends */
	TALK_WAIT
} talk_after;

/* How the call goes on when its stream is over, as leave_media() has it. */
typedef struct talk_way
{
	const char *how; /* NULL: SQL knows it */
	char detail[32];
} talk_way;

typedef enum talk_piece_state
{
	TALK_PIECE_NEW,
	TALK_PIECE_LOOKING, /* whether it has been said before */
	TALK_PIECE_MAKING,
	TALK_PIECE_WHOLE,
	TALK_PIECE_TOLD /* and the engine knows how long it is */
} talk_piece_state;

/* A piece of what is said. */
typedef struct talk_piece
{
	char *text;
	size_t length;
	mb_item_kind kind;
	talk_piece_state state;
	http_timer patience;	/* while it is looked for */
	talk_race race;			/* of those who speak */
	bool given;				/* the engine knows of it */
	bool whole;				/* all of its audio is here */
	talk_audio audio;		/* in the session's encoding */
	mb_ledger_point *words; /* when they are over, where the service tells; NULL: it does not */
	int n_words;
	int n_told;	   /* of them, to the engine */
	size_t queued; /* bytes of it that the playback has */
	struct talk_reply *reply;
	uint16_t item; /* its place in the reply */
	uint16_t id;   /* its name in the reply, which it keeps */
} talk_piece;

/* What is said in one generation: a reply, or something else. */
typedef struct talk_reply
{
	struct gw_talk *talk;
	uint32_t generation;
	uint64_t serial;					 /* an apology may take its place in the same generation */
	gw_context *contexts[TALK_SERVICES]; /* of those who speak: its sentences belong together */
	bool committed;						 /* it may sound */
	bool asked;							 /* of the database or a model: an answer is awaited */
	bool complete;						 /* there are no more pieces */
	bool told;							 /* the engine knows that */
	bool gone;							 /* cancelled */
	mb_item_kind kind;
	char *said;		/* what it replies to; NULL: something else is said */
	talk_race race; /* of the models */
	int rounds;		/* calls of tools */
	json_t *messages;
	json_t *calls; /* of tools, that the model wants */
	int n_results;
	program_text written; /* by the model, this round */
	mb_sentences sentences;
	talk_piece *pieces[TALK_PIECES];
	int n_pieces;
	uint16_t ids; /* that pieces were given */
	int making;	  /* the first piece that is not whole */
	talk_after after;
	talk_way way;
	int64_t first_text_at; /* of the model, this round */
	unsigned deltas;	   /* it has written in this round */
	int64_t committed_at;
	bool measured; /* how long the caller waited for it */
	int wait_seconds;
	int digits;
	char name[64]; /* of what is collected */
	struct talk_reply *next;
} talk_reply;

/* Something that is to be said when the engine lets it. */
typedef struct talk_say
{
	mb_item_kind kinds[4];
	char *texts[4];
	int n;
	talk_after after;
	talk_way way;
	struct talk_say *next;
} talk_say;

typedef struct talk_decision
{
	mb_turn_decision decision;
	struct talk_decision *next;
	char text[]; /* of it */
} talk_decision;

/* Which version of a line the database has; 0: none. */
typedef struct talk_told
{
	unsigned now;
	unsigned sent;
	unsigned known;
} talk_told;

/* What was said in a turn: the caller's line and the agent's. */
typedef struct talk_line
{
	program_text caller;
	program_text agent;
	bool cut;
	talk_told caller_told;
	talk_told agent_told;
} talk_line;

/* Lines that were sent together, until it is known what became of them. */
typedef struct talk_version
{
	uint32_t turn;
	unsigned caller; /* 0: not with them */
	unsigned agent;
} talk_version;

typedef struct talk_batch
{
	program_text versions;
} talk_batch;

/* What a tenant has its conversations conducted by. */
typedef struct talk_plan
{
	char *tenant;
	char *text; /* what it was read from */
	gw_service *listen[TALK_SERVICES];
	gw_service *speak[TALK_SERVICES];
	gw_service *chat[TALK_SERVICES];
	char *voice_keys[TALK_SERVICES];
	int n_listen;
	int n_speak;
	int n_chat;
	int hedge_ms
		[GW_TALK_KINDS]; /* until another one is asked as well; 0: never, -1: by what it takes */
	bool speculates;
	int reply_timeout_ms;
	json_t *texts;
	int users;
	struct talk_plan *next;
} talk_plan;

/* The lists of its settings. */
typedef struct talk_words
{
	char *text; /* what they were read from */
	char *lists[MB_TURN_LISTS];
	int users;
	struct talk_words *next;
} talk_words;

struct gw_talk
{
	gw_media_session *session; /* NULL: the link is over */
	gw_media *media;
	http_loop *loop;
	http_client *client;
	char call_id[128];
	char tenant[64];
	char session_id[24];
	mb_encoding encoding;
	int64_t zero; /* of the monotonic clock: the session's time 0 */

	talk_plan *plan;

	/* the engine */
	mb_turn_settings settings;
	talk_words *words; /* the lists of the settings */
	mb_turn turn;
	mb_turn_log log;
	mb_activity activity;
	talk_decision *decisions;
	talk_decision **last_decision;
	http_task act;
	bool ended; /* it has decided the end, or was told */

	/* what is heard */
	gw_ear *ear; /* one of these listens, or neither */
	gw_scribe *scribe;
	int ear_service;
	int ear_failures; /* since one has said something */
	int64_t ear_since;
	unsigned spoken;		 /* frames with speech since an utterance was sent */
	program_text utterance;	 /* text of its beginning, when its rest is still to be asked for */
	bool more_of_it;		 /* was asked for meanwhile */
	http_timer stream_again; /* until a stream is tried again */
	int64_t stream_after;	 /* which is so long */
	talk_audio recent;		 /* mu-law; for the next service, */
	size_t recent_from;		 /* from here on: no final text is known of it, */
	size_t recent_asked;	 /* and that which was asked for is of what is before this */
	bool asked_final;
	bool hearing; /* a turn is open, or its text is awaited */
	bool committed;
	http_timer textless;	 /* until a reply is asked for without a text */
	uint32_t textless_reply; /* generation */
	int16_t frame[160];
	size_t n_frame;
	int64_t frame_at; /* of its first sample, stream's clock */
	int64_t came_at;  /* monotonic: not later than it came */
	http_timer tick;
	bool tone;

	/* what is said */
	talk_reply *replies;
	talk_say *says;
	talk_say **last_say;
	uint32_t current_turn; /* 0: before the first */
	uint32_t turns_of[TALK_GENERATIONS];
	struct
	{
		unsigned number;
		uint32_t generation;
	} marks[TALK_MARKS]; /* that were sent, a ring */
	unsigned n_marks;
	int paused; /* of mb_turn_pause + 1; 0: not */
	uint32_t paused_generation;
	uint32_t playing; /* generation that the playback was given last */
	http_timer wait;
	http_timer leave; /* whatever the database says, or is still to be said */
	const char *leave_reason;
	char collected[33];
	int collecting; /* digits still to come */
	char collect_name[64];
	int untold;				/* of what SQL is told of the end, it does not have yet */
	int untold_emergencies; /* of them */
	bool leaving;
	bool stopping;

	/* what is measured, on the clock of the line and the monotonic one */
	int32_t speech_end;
	int32_t final_at;
	int64_t cleared_at; /* 0: no clear is under way */

	/* what the database is told */
	talk_line *lines; /* of turns from first_line on */
	uint32_t first_line;
	uint32_t end_line; /* of the turn behind the last */
	int batches;	   /* of lines, that are under way */
	program_array records;
	int n_records;
	int first_record; /* number of the first of them */
	bool storing;
	bool closing;		   /* nothing more is said: its end is stored behind all else */
	bool ending;		   /* which is under way, or done */
	struct storing *again; /* what was not stored */
	http_timer store;
	json_t *attributes; /* to be noted; NULL: none */
	bool noting;
	http_timer note; /* until what was not noted is sent again */
	char reason[32];
	int users; /* units that are under way */
	struct gw_talk *next;
};

/* talk.c */
extern gw_talk_counts talk_counts;
extern void talk_decided(void *talk, const mb_turn_decision *decision);
extern void talk_tick(void *talk);
extern int32_t talk_now(const gw_talk *talk);
extern void talk_take(gw_talk *talk, mb_turn_input *input);

/* Remembers whose mark this is. */
extern void talk_mark_of(gw_talk *talk, unsigned number, uint32_t generation);

/* What became of a service: counted, and in the record of the turn. */
extern void talk_note(gw_talk *talk, gw_talk_kind kind, mb_turn_note note);

/* What the last frame has led to has been carried out. */
extern void talk_measure_frame(gw_talk *talk);

/* talk_begin.c: whoever keeps it lets it go. */
extern void talk_release(gw_talk *talk);

/* talk_plan.c.  NULL: it is none that a conversation can be conducted by, or there is no memory.  NULL may be let go. */
extern talk_plan *talk_plan_of(const char *tenant, const char *text, const json_t *json);
extern void talk_plan_let_go(talk_plan *plan);
extern talk_words *talk_words_of(const char *text);
extern void talk_words_let_go(talk_words *words);

/* talk_decide.c.  Carries out what was decided, at the end of a turn of the loop. */
extern void talk_act(void *talk);
extern void talk_waited(void *talk);
extern void talk_asks_without_text(void *talk);

/* A sentence of the plan. */
extern const char *talk_text(const gw_talk *talk, const char *name);

/* Has it said when the engine lets it, which takes it over. */
extern void talk_announce(gw_talk *talk, talk_say *say);
extern void talk_say_free(talk_say *say);

/* Says a sentence that is no reply, when the engine lets it; the text is copied. */
extern void talk_say_this(gw_talk *talk, mb_item_kind kind, const char *text, talk_after after,
						  const talk_way *way);

/* talk_leave.c.  The stream ends, once SQL has been told how the call goes on, or cannot be. */
extern void talk_leave(gw_talk *talk, const talk_way *way, const char *reason);

/* The timer of gw_talk, and at once. */
extern void talk_leave_now(void *talk);

/* Tells SQL of an emergency that was heard, at once. */
extern void talk_tell_emergency(gw_talk *talk, const char *text);

/* From now on keys are digits that a reply asked for. */
extern void talk_collect(gw_talk *talk, const talk_reply *reply);

/* Nothing works: an apology, and the menu. */
extern void talk_give_up(gw_talk *talk);

/* talk_hear.c */
extern void
talk_heard_text(gw_talk *talk, mb_turn_input_kind kind, const char *text, size_t n, bool turn_over);
extern void talk_listener_failed(gw_talk *talk, const char *why);
extern void talk_listen_by(gw_talk *talk, int service);
/* Audio before the place up to which a final text was asked for: it is known. */
extern void talk_forget_asked(gw_talk *talk);
extern void talk_hear_begin(gw_talk *talk);
extern void talk_hear(gw_talk *talk, const int16_t *samples, size_t n);
extern void talk_hear_finalize(gw_talk *talk);

/* A turn has begun, or is over. */
extern void talk_hear_turn(gw_talk *talk, bool open, bool dismissed);
extern void talk_hear_end(gw_talk *talk);

/* talk_scribe.c: listening by whole utterances. */
extern bool talk_scribe_open(gw_talk *talk);
extern void talk_scribe_ask(gw_talk *talk);
extern void talk_scribe_close(gw_talk *talk);

/* A turn is over. */
extern void talk_scribe_turn(gw_talk *talk);

/* The timer of gw_talk. */
extern void talk_stream_again(void *talk);

/* talk_reply.c */
extern talk_reply *talk_reply_new(gw_talk *talk, uint32_t generation, mb_item_kind kind);
extern talk_reply *talk_reply_find(gw_talk *talk, uint32_t generation);

/* The same, if it is that one still; NULL: it is gone, and there may be another one in its generation. */
extern talk_reply *talk_reply_still(gw_talk *talk, uint32_t generation, uint64_t serial);
extern void talk_reply_ask(talk_reply *reply, const char *said, size_t n, bool committed);
extern void talk_reply_commit(talk_reply *reply);
extern void talk_reply_fail(talk_reply *reply);
extern void talk_reply_drop(talk_reply *reply);

/* talk_speech.c */
extern void talk_speech_add(talk_reply *reply, mb_item_kind kind, const char *text, size_t n);

/* Before what the engine does not know of yet. */
extern void talk_speech_put_first(talk_reply *reply, mb_item_kind kind, const char *text, size_t n);
extern void talk_speech_go_on(talk_reply *reply);
extern void talk_speech_resume(gw_talk *talk, uint32_t generation, uint16_t item, int32_t ms);
extern void talk_piece_free(talk_piece *piece);

/* It was heard to its end: nothing of it is said again. */
extern void talk_speech_heard(gw_talk *talk, uint32_t generation, uint16_t item);

/* It was said before, in mu-law, its words over at these times, if they are known; or was not, and is made. */
extern void talk_speech_found(talk_piece *piece, const uint8_t *mulaw, size_t n,
							  const mb_ledger_point *words, int n_words);
extern void talk_speech_make(talk_piece *piece);

/* No service is given more of it to say. */
extern void talk_speech_end(talk_reply *reply);
extern void talk_was_sent(void *session, uint64_t tag, uint64_t place);
extern void talk_mark_was_sent(void *session, uint64_t tag, unsigned number);

/* talk_cache.c.  Looks whether a piece has been said before, for a short time. */
extern void talk_cache_look(talk_piece *piece);
extern void talk_cache_keep(const talk_piece *piece);

/* It is looked for no more. */
extern void talk_cache_forget(talk_piece *piece);

/* Memory of all sentences that are kept here. */
extern size_t talk_cache_kept(void);

/* talk_store.c */
extern void talk_note_caller(gw_talk *talk, uint32_t turn, const char *text, size_t n);
extern void talk_note_agent(gw_talk *talk, uint32_t turn, const char *text, size_t n, bool cut);

/* What is to be told of lines, as JSON for SQL; NULL: nothing.  What became of it is to be said afterwards, in any case. */
extern char *talk_lines_json(gw_talk *talk, talk_batch *batch);
extern void talk_lines_told(gw_talk *talk, talk_batch *batch, bool stored);
extern void talk_keep_record(void *talk, int32_t second, const uint8_t *row, size_t n);
extern void talk_store_init(gw_talk *talk);
extern void talk_store_soon(gw_talk *talk);
extern void talk_store_end(gw_talk *talk);
extern void talk_note_attribute(gw_talk *talk, const char *name, const char *value);

#endif /* GATEWAY_TALK_INTERNAL_H */
