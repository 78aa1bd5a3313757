/*
 * turn_settings.h
 *	  What a conversation is conducted by: times, numbers and lists of words, all of them
 *	  data, so that a recorded one can be replayed with others.
 *
 * Numbers are looked up by mb_turn_number, and by name for who reads them from a text.
 * Lists hold folded phrases (text/words.h), each between line feeds, "\nmhm\nof course\n":
 * languages are tables elsewhere, nothing here knows one.
 */
#ifndef MB_TURN_SETTINGS_H
#define MB_TURN_SETTINGS_H

#include "core/mb.h"

/* How what somebody has said so far ends, which says how long to wait for more. */
typedef enum mb_text_class
{
	MB_TEXT_ANSWER,	  /* to a closed question, or all the digits that were asked for */
	MB_TEXT_TERMINAL, /* . ! ? */
	MB_TEXT_NEUTRAL,
	MB_TEXT_OPEN,	/* with a conjunction, a preposition, an article, "um", a comma */
	MB_TEXT_DIGITS, /* in the middle of a number, an address, a word that is spelled */
	MB_TEXT_NONE	/* no text yet */
} mb_text_class;

#define MB_TEXT_CLASSES 6

/* Times are in ms. */
typedef enum mb_turn_number
{
	/* the caller's speech */
	MB_TURN_SPEECH_START, /* activity until somebody speaks */
	MB_TURN_HANGOVER,	  /* silence that ends a piece of speech */

	/* the end of a turn, from the last frame that held speech */
	MB_TURN_SPECULATE,	   /* until a reply is prepared */
	MB_TURN_SPECULATIONS,  /* a turn; 0: never */
	MB_TURN_COMMIT_ANSWER, /* in the order of mb_text_class */
	MB_TURN_COMMIT_TERMINAL,
	MB_TURN_COMMIT_NEUTRAL,
	MB_TURN_COMMIT_OPEN,
	MB_TURN_COMMIT_DIGITS,
	MB_TURN_COMMIT_NONE,
	MB_TURN_COMMIT_CAP,		 /* the most of all this */
	MB_TURN_FINAL_WAIT,		 /* for the recogniser's last word, when it has said something */
	MB_TURN_TEXT_WAIT,		 /* when it has said nothing */
	MB_TURN_PAUSE_REFERENCE, /* pauses of a caller for whom the times are as written */
	MB_TURN_FACTOR_MIN,		 /* thousandths by which a caller's pauses may change them */
	MB_TURN_FACTOR_MAX,
	MB_TURN_TURN_CAP, /* a turn that is open longer is over */

	/* interruption */
	MB_TURN_STAGE1,				/* speech that makes the agent pause */
	MB_TURN_STAGE1_VOICED,		/* of it with a pitch */
	MB_TURN_STAGE1_NOISY,		/* instead, on a noisy line, where words have to confirm */
	MB_TURN_STAGE1_EARLY,		/* instead, at the beginning of the call */
	MB_TURN_EARLY,				/* which is this long */
	MB_TURN_STAGE2,				/* speech that confirms an interruption */
	MB_TURN_STAGE2_WORDS,		/* or words of an unfinished transcript */
	MB_TURN_RESUME,				/* without any, the agent goes on after it */
	MB_TURN_BACKCHANNEL_WORDS,	/* most words of a backchannel */
	MB_TURN_QUESTION_LEFT,		/* left of a question: a backchannel is an answer */
	MB_TURN_GREETING_PROTECTED, /* from the beginning of a greeting */
	MB_TURN_REOPEN,				/* speech so soon after the agent began was cut off */
	MB_TURN_PAUSE_BY_CLEAR,		/* 1: a pause clears what the peer has, 0: feeds no more */

	/* the agent and the line */
	MB_TURN_FILLER,			 /* from the end of turn to a filler; 0: none */
	MB_TURN_APOLOGY,		 /* and to an apology */
	MB_TURN_SILENCE_PROMPT,	 /* from the end of playback; 0: none */
	MB_TURN_SILENCE_PROMPTS, /* after so many the call ends */
	MB_TURN_MEDIA_GAP,		 /* without media: speech is over */
	MB_TURN_MEDIA_HOLD,		 /* the line is taken to be on hold */
	MB_TURN_MEDIA_END,		 /* the call ends */
	MB_TURN_MARK_OVERDUE,	 /* a mark that is so late does not come */
	MB_TURN_BURST_WAIT,		 /* for what tells when a clear was carried out */
	MB_TURN_DIGIT_TWIN,		 /* a digit from its tone and one told are one */
	MB_TURN_MAX_DURATION,	 /* of the call; 0: any */

	/* what came later: the numbers of a conversation are stored in this order */
	MB_TURN_STAGE1_SURE, /* so much with a pitch pauses the agent as soon on a noisy line */
	MB_TURN_NUMBERS
} mb_turn_number;

typedef enum mb_turn_list
{
	MB_TURN_OPEN_ENDS,	  /* words after which more comes */
	MB_TURN_NUMBER_WORDS, /* words that are digits, one each */
	MB_TURN_CLOSED_ANSWERS,
	MB_TURN_BACKCHANNELS,
	MB_TURN_NEVER,	/* never interrupts */
	MB_TURN_ALWAYS, /* interrupts at once */
	MB_TURN_EMERGENCY,
	MB_TURN_LISTS
} mb_turn_list;

typedef struct mb_turn_settings
{
	int32_t number[MB_TURN_NUMBERS];
	const char *list[MB_TURN_LISTS]; /* the owner's, longer than what uses them; NULL is empty */
} mb_turn_settings;

typedef struct mb_turn_number_kind
{
	const char *name;
	int32_t minimum;
	int32_t maximum;
	int32_t standard;
	const char *meaning;
} mb_turn_number_kind;

/* NULL behind the last. */
extern const mb_turn_number_kind *mb_turn_number_kind_at(int i);
extern const char *mb_turn_list_name(int i);

/* The start values, and no lists. */
extern void mb_turn_settings_init(mb_turn_settings *settings);

/* MB_ERR_RANGE, and which one in *number, when one is outside of its range. */
extern mb_status mb_turn_settings_check(const mb_turn_settings *settings, int *number);

#endif /* MB_TURN_SETTINGS_H */
