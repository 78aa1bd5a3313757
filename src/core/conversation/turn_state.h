/*
 * turn_state.h
 *	  The state of the turn engine.  For turn.h, which includes it so that its size is
 *	  known; no field is for anybody but the engine.
 */
#ifndef MB_TURN_STATE_H
#define MB_TURN_STATE_H

typedef enum mb_agent_state
{
	MB_AGENT_IDLE,
	MB_AGENT_PENDING, /* something is to be said, nothing was sent */
	MB_AGENT_PLAYING, /* until the last mark has come back */
	MB_AGENT_PAUSED,  /* the caller may be interrupting */
	MB_AGENT_YIELDED  /* the caller spoke long enough, and no word of it is known */
} mb_agent_state;

typedef struct mb_turn
{
	const mb_turn_settings *settings;
	mb_turn_callback decide;
	void *arg;
	mb_turn_counts counts;
	mb_ledger ledger;
	bool over;

	/* clocks */
	int32_t at;
	int32_t clock;
	bool framed;	  /* a frame has come */
	int32_t frame_at; /* the last one */
	uint32_t media_ms;
	uint32_t media_base;  /* stamp of the first of this counting */
	int32_t media_offset; /* and the clock then */
	bool media_lost;

	/* what is heard */
	bool suspected;
	bool speaking;
	bool noisy;
	int32_t onset;		 /* of the speech that is suspected */
	int32_t last_active; /* end of its last active frame */
	int32_t active_ms;
	int32_t voiced_ms;
	uint64_t voiced_frames; /* a bit for each of the last ones, the newest lowest */
	int32_t speech_end;		/* of the last speech that was no mere suspicion */

	/* the caller's turn; what of the text is before base belongs to the turn that was committed */
	bool open;
	bool tentative; /* the agent is not to give way yet */
	bool kept;		/* it has words, and the agent may not be interrupted */
	bool emergency; /* was told */
	uint32_t number;
	int32_t opened_at;
	int32_t turn_onset;
	int32_t turn_voiced;
	int32_t turn_speech;
	char text[MB_TURN_TEXT_ROOM];
	uint32_t n_text;
	uint32_t base;
	char partial[MB_TURN_PARTIAL_ROOM];
	uint32_t n_partial;
	bool finalized;	  /* the recogniser was asked, in this silence */
	bool final_heard; /* and has answered */
	bool said_over;	  /* that the turn is */
	mb_text_class text_class;
	mb_text_weight weight;
	int words;
	mb_turn_expectation expectation;
	int32_t pause_average; /* sixteenths of ms */

	/* a reply that is prepared */
	uint32_t next;
	uint32_t next_hash;
	bool next_ended;
	bool next_failed;
	int speculations;

	/* the turn that was committed */
	bool final_due;		 /* its final text may still come */
	uint32_t final_from; /* where in the text it would go */
	uint32_t committed_hash;
	int32_t committed_at;
	int32_t committed_end;

	/* the agent */
	mb_agent_state agent;
	uint32_t generation;
	uint32_t last_generation;
	bool replies; /* it is a reply to a turn */
	mb_item_kind say_kind;
	bool ended;		 /* all pieces are known */
	bool failed;	 /* there will be none */
	bool sent;		 /* something of it */
	bool sent_reply; /* and not only a filler */
	int32_t play_at; /* the first of that */
	mb_turn_pause how;
	bool held;		  /* PENDING, and is not to begin */
	bool interrupted; /* was told */
	bool resuming;	  /* as soon as it is known where */
	bool resume_false;
	int32_t paused_at;
	int32_t pending_at;
	bool filler;
	bool apologising;
	bool asked; /* the last thing said was a question */

	char last_digit;
	bool digit_heard; /* from its tone */
	bool digit_paired;
	int32_t digit_at;
	bool hold;
	int32_t quiet_since;
	int32_t prompts;
} mb_turn;

#endif /* MB_TURN_STATE_H */
