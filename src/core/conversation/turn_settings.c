/*
 * turn_settings.c
 *	  The table of a conversation's numbers; see turn_settings.h.
 */
#include "core/conversation/turn_settings.h"

static const mb_turn_number_kind numbers[MB_TURN_NUMBERS] = {
	[MB_TURN_SPEECH_START] = { "speech_start_ms", 20, 1000, 100, "activity until somebody speaks" },
	[MB_TURN_HANGOVER] = { "hangover_ms", 40, 2000, 250, "silence that ends a piece of speech" },
	[MB_TURN_SPECULATE] = { "speculate_ms", 40, 3000, 200, "silence until a reply is prepared" },
	[MB_TURN_SPECULATIONS] = { "speculations", 0, 10, 3, "replies prepared in a turn at most" },
	[MB_TURN_COMMIT_ANSWER] = { "commit_answer_ms", 40, 5000, 200,
								"silence that ends a turn: after an answer, or all digits" },
	[MB_TURN_COMMIT_TERMINAL] = { "commit_terminal_ms", 40, 5000, 350, "after a full stop" },
	[MB_TURN_COMMIT_NEUTRAL] = { "commit_neutral_ms", 40, 5000, 600, "after any other word" },
	[MB_TURN_COMMIT_OPEN] = { "commit_open_ms", 40, 5000, 1300,
							  "after a word or a comma that asks for more" },
	[MB_TURN_COMMIT_DIGITS] = { "commit_digits_ms", 40, 5000, 1200, "in a number or a spelling" },
	[MB_TURN_COMMIT_NONE] = { "commit_none_ms", 40, 5000, 800, "when there is no text" },
	[MB_TURN_COMMIT_CAP] = { "commit_cap_ms", 200, 10000, 2500, "at most, whatever was said" },
	[MB_TURN_FINAL_WAIT] = { "final_wait_ms", 0, 10000, 800,
							 "silence until a turn ends without the final text" },
	[MB_TURN_TEXT_WAIT] = { "text_wait_ms", 0, 10000, 1500, "and without any text" },
	[MB_TURN_PAUSE_REFERENCE] = { "pause_reference_ms", 100, 3000, 400,
								  "pauses of a caller for whom the times are as written" },
	[MB_TURN_FACTOR_MIN] = { "factor_min", 200, 1000, 750,
							 "thousandths by which a caller's pauses change the times, least" },
	[MB_TURN_FACTOR_MAX] = { "factor_max", 1000, 5000, 1500, "and most" },
	[MB_TURN_TURN_CAP] = { "turn_cap_ms", 1000, 600000, 60000, "a turn ends after" },
	[MB_TURN_STAGE1] = { "stage1_ms", 20, 3000, 160, "speech that makes the agent pause" },
	[MB_TURN_STAGE1_VOICED] = { "stage1_voiced_ms", 0, 1000, 60, "of it with a pitch" },
	[MB_TURN_STAGE1_NOISY] = { "stage1_noisy_ms", 20, 3000, 300, "instead, on a noisy line" },
	[MB_TURN_STAGE1_EARLY] = { "stage1_early_ms", 20, 3000, 400,
							   "instead, at the beginning of a call" },
	[MB_TURN_EARLY] = { "early_ms", 0, 10000, 3000, "which is so long" },
	[MB_TURN_STAGE2] = { "stage2_ms", 20, 5000, 500, "speech that confirms an interruption" },
	[MB_TURN_STAGE2_WORDS] = { "stage2_words", 1, 20, 2, "or so many words" },
	[MB_TURN_RESUME] = { "resume_ms", 200, 10000, 2000, "the agent goes on when there are none" },
	[MB_TURN_BACKCHANNEL_WORDS] = { "backchannel_words", 0, 10, 3, "most words of a backchannel" },
	[MB_TURN_QUESTION_LEFT] = { "question_left_ms", 0, 5000, 1000,
								"left of a question: a backchannel answers it" },
	[MB_TURN_GREETING_PROTECTED] = { "greeting_protected_ms", 0, 10000, 2000,
									 "a greeting is not interrupted for" },
	[MB_TURN_REOPEN] = { "reopen_ms", 0, 5000, 1000,
						 "speech so soon after the agent began continues the turn" },
	[MB_TURN_PAUSE_BY_CLEAR] = { "pause_by_clear", 0, 1, 1,
								 "1: a pause clears what is queued; 0: it feeds no more" },
	[MB_TURN_FILLER] = { "filler_ms", 0, 10000, 750, "from the end of turn to a filler; 0: none" },
	[MB_TURN_APOLOGY] = { "apology_ms", 500, 60000, 6000, "and to an apology" },
	[MB_TURN_SILENCE_PROMPT] = { "silence_prompt_ms", 0, 120000, 10000,
								 "from the end of playback to a prompt; 0: none" },
	[MB_TURN_SILENCE_PROMPTS] = { "silence_prompts", 0, 10, 2, "after so many the call ends" },
	[MB_TURN_MEDIA_GAP] = { "media_gap_ms", 100, 5000, 500, "without media speech is over" },
	[MB_TURN_MEDIA_HOLD] = { "media_hold_ms", 500, 60000, 5000, "the line is taken to be held" },
	[MB_TURN_MEDIA_END] = { "media_end_ms", 1000, 600000, 15000, "and the call ends" },
	[MB_TURN_MARK_OVERDUE] = { "mark_overdue_ms", 200, 20000, 2000,
							   "a mark that is so late does not come" },
	[MB_TURN_BURST_WAIT] = { "burst_wait_ms", 100, 10000, 1000,
							 "for what tells when a clear was carried out" },
	[MB_TURN_DIGIT_TWIN] = { "digit_twin_ms", 0, 5000, 1000,
							 "a digit told and one heard so near are one" },
	[MB_TURN_MAX_DURATION] = { "max_duration_ms", 0, 86400000, 3600000, "of the call; 0: any" },
	[MB_TURN_STAGE1_SURE] = { "stage1_sure_ms", 0, 1000, 120,
							  "of stage 1 with a pitch: as soon on a noisy line" },
};

static const char *const lists[MB_TURN_LISTS] = {
	[MB_TURN_OPEN_ENDS] = "open_ends",
	[MB_TURN_NUMBER_WORDS] = "number_words",
	[MB_TURN_CLOSED_ANSWERS] = "closed_answers",
	[MB_TURN_BACKCHANNELS] = "backchannels",
	[MB_TURN_NEVER] = "never",
	[MB_TURN_ALWAYS] = "always",
	[MB_TURN_EMERGENCY] = "emergency",
};

const mb_turn_number_kind *
mb_turn_number_kind_at(int i)
{
	return i >= 0 && i < MB_TURN_NUMBERS ? &numbers[i] : NULL;
}

const char *
mb_turn_list_name(int i)
{
	return i >= 0 && i < MB_TURN_LISTS ? lists[i] : NULL;
}

void
mb_turn_settings_init(mb_turn_settings *settings)
{
	for (int i = 0; i < MB_TURN_NUMBERS; i++)
		settings->number[i] = numbers[i].standard;
	for (int i = 0; i < MB_TURN_LISTS; i++)
		settings->list[i] = NULL;
}

mb_status
mb_turn_settings_check(const mb_turn_settings *settings, int *number)
{
	for (int i = 0; i < MB_TURN_NUMBERS; i++)
	{
		if (settings->number[i] < numbers[i].minimum || settings->number[i] > numbers[i].maximum)
		{
			*number = i;
			return MB_ERR_RANGE;
		}
	}
	return MB_OK;
}
