/*
 * test_twiml_refused.c
 *	  Mistakes in TwiML documents that must not leave the house.
 */
#include "twiml_setup.h"

static void
urls_are_of_the_kind_allowed(void)
{
	static const struct
	{
		const char *url;
		bool http;
		bool stream;
	} cases[] = {
		{ "https://example.com", true, false },
		{ "https://example.com/a?b=c&d=e#f", true, false },
		{ "http://example.com/", true, false },
		{ "/relative", true, false },
		{ "relative?u=https://x", true, false },
		{ "?a:b", true, false },
		{ "wss://example.com/ws", false, true },
		{ "wss://example.com", false, true },
		{ "wss://example.com/ws?token=x", false, false }, /* queries do not arrive */
		{ "ws://example.com/ws", false, false },
		{ "wss://", false, false },
		{ "wss:///ws", false, false },
		{ "https://", false, false },
		{ "https:///x", false, false },
		{ "https://?x", false, false },
		{ "javascript:alert(1)", false, false },
		{ "file:///etc/passwd", false, false },
		{ "ftp://example.com/", false, false },
		{ "HTTPS://example.com/", false, false },
		{ "", false, false },
		{ "https://example.com/a b", false, false },
		{ "https://example.com/a\nb", false, false },
		{ "https://example.com/\x7F", false, false },
		{ "https://example.com/\x01", false, false },
		{ "https://example.com/\xFF", false, false },
		{ "https://example.com/\xEF\xBF\xBE", false, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		begin();
		mb_twiml_redirect(&twiml, cases[i].url, NULL);
		check_report(mb_twiml_end(&twiml, &length) == (cases[i].http ? MB_TWIML_OK : MB_TWIML_URL),
					 __FILE__, __LINE__, "Redirect to \"%s\"", cases[i].url);
		begin();
		mb_twiml_play_url(&twiml, cases[i].url, 0);
		check_int(mb_twiml_end(&twiml, &length), cases[i].http ? MB_TWIML_OK : MB_TWIML_URL);
		begin();
		mb_twiml_gather_begin(&twiml, &(mb_twiml_gather_options){ .action = cases[i].url });
		mb_twiml_gather_end(&twiml);
		check_int(mb_twiml_end(&twiml, &length), cases[i].http ? MB_TWIML_OK : MB_TWIML_URL);
		begin();
		mb_twiml_connect_begin(&twiml, NULL, NULL);
		mb_twiml_stream_begin(&twiml, cases[i].url, NULL);
		mb_twiml_stream_end(&twiml);
		mb_twiml_connect_end(&twiml);
		check_int(mb_twiml_end(&twiml, &length), cases[i].stream ? MB_TWIML_OK : MB_TWIML_URL);
	}
}

static void
verbs_stand_where_they_may(void)
{
	begin();
	mb_twiml_say(&twiml, "hello", NULL);
	mb_twiml_reject(&twiml, "busy");
	check_refused(MB_TWIML_ORDER, "Reject");

	begin();
	mb_twiml_gather_begin(&twiml, NULL);
	mb_twiml_record(&twiml, NULL);
	mb_twiml_gather_end(&twiml);
	check_refused(MB_TWIML_ORDER, "Record");

	begin();
	mb_twiml_gather_begin(&twiml, NULL);
	mb_twiml_gather_begin(&twiml, NULL);
	check_refused(MB_TWIML_ORDER, "Gather");

	begin();
	mb_twiml_gather_begin(&twiml, NULL);
	check_refused(MB_TWIML_ORDER, "Response"); /* never closed */

	begin();
	mb_twiml_gather_end(&twiml);
	check_refused(MB_TWIML_ORDER, "Gather");

	begin();
	mb_twiml_number(&twiml, "+12025550100", NULL);
	check_refused(MB_TWIML_ORDER, "Number");

	begin();
	mb_twiml_dial_begin(&twiml, NULL);
	mb_twiml_dial_end(&twiml);
	check_refused(MB_TWIML_ORDER, "Dial"); /* nobody to dial */

	begin();
	mb_twiml_dial_begin(&twiml, NULL);
	mb_twiml_say(&twiml, "hello", NULL);
	check_refused(MB_TWIML_ORDER, "Say");

	begin();
	mb_twiml_connect_begin(&twiml, NULL, NULL);
	mb_twiml_connect_end(&twiml);
	check_refused(MB_TWIML_ORDER, "Connect");

	begin();
	mb_twiml_stream_begin(&twiml, "wss://example.com/", NULL);
	check_refused(MB_TWIML_ORDER, "Stream");

	begin();
	mb_twiml_parameter(&twiml, "a", "b");
	check_refused(MB_TWIML_ORDER, "Parameter");

	/* closed in the wrong order */
	begin();
	mb_twiml_connect_begin(&twiml, NULL, NULL);
	mb_twiml_stream_begin(&twiml, "wss://example.com/", NULL);
	mb_twiml_connect_end(&twiml);
	check_refused(MB_TWIML_ORDER, "Connect");

	/* after its end nothing can be added */
	begin();
	check_int(mb_twiml_end(&twiml, &length), MB_TWIML_OK);
	mb_twiml_hangup(&twiml);
	check_refused(MB_TWIML_ORDER, "Hangup");
}

/* Builds what a case says and gives its status. */
static mb_twiml_status
status_of_gather(const mb_twiml_gather_options *options)
{
	begin();
	mb_twiml_gather_begin(&twiml, options);
	mb_twiml_gather_end(&twiml);
	return mb_twiml_end(&twiml, &length);
}

static mb_twiml_status
status_of_record(const mb_twiml_record_options *options)
{
	begin();
	mb_twiml_record(&twiml, options);
	return mb_twiml_end(&twiml, &length);
}

static mb_twiml_status
status_of_dial(const mb_twiml_dial_options *options, const char *number)
{
	begin();
	mb_twiml_dial_begin(&twiml, options);
	mb_twiml_number(&twiml, number, NULL);
	mb_twiml_dial_end(&twiml);
	return mb_twiml_end(&twiml, &length);
}

static mb_twiml_status
status_of_pause(int seconds)
{
	begin();
	mb_twiml_pause(&twiml, seconds);
	return mb_twiml_end(&twiml, &length);
}

static mb_twiml_status
status_of_say(const char *text, int loop)
{
	begin();
	mb_twiml_say(&twiml, text, &(mb_twiml_say_options){ .loop = loop });
	return mb_twiml_end(&twiml, &length);
}

static void
options_out_of_range_are_refused(void)
{
	const char *number = "+12025550100";

	check_int(status_of_gather(&(mb_twiml_gather_options){ .input = "voice" }), MB_TWIML_VALUE);
	check_int(status_of_gather(&(mb_twiml_gather_options){ .method = "post" }), MB_TWIML_VALUE);
	check_int(status_of_gather(&(mb_twiml_gather_options){ .timeout = 601 }), MB_TWIML_VALUE);
	check_int(status_of_gather(&(mb_twiml_gather_options){ .timeout = -2 }), MB_TWIML_VALUE);
	check_int(status_of_gather(&(mb_twiml_gather_options){ .finish_on_key = "12" }),
			  MB_TWIML_VALUE);
	check_int(status_of_gather(&(mb_twiml_gather_options){ .finish_on_key = "A" }), MB_TWIML_VALUE);
	check_int(status_of_gather(&(mb_twiml_gather_options){ .finish_on_key = "*" }), MB_TWIML_OK);
	check_int(status_of_gather(&(mb_twiml_gather_options){ .num_digits = MB_TWIML_ZERO }),
			  MB_TWIML_VALUE);
	check_int(status_of_record(&(mb_twiml_record_options){ .max_length = 14401 }), MB_TWIML_VALUE);
	check_int(status_of_record(&(mb_twiml_record_options){ .trim = "yes" }), MB_TWIML_VALUE);
	check_int(status_of_record(&(mb_twiml_record_options){ .finish_on_key = "1234567890*#" }),
			  MB_TWIML_OK);
	check_int(status_of_dial(&(mb_twiml_dial_options){ .timeout = 601 }, number), MB_TWIML_VALUE);
	check_int(status_of_dial(&(mb_twiml_dial_options){ .record = "yes" }, number), MB_TWIML_VALUE);
	check_int(status_of_dial(&(mb_twiml_dial_options){ .caller_id = "anonymous" }, number),
			  MB_TWIML_NUMBER);
	check_int(status_of_dial(NULL, "12025550100"), MB_TWIML_NUMBER);
	check_int(status_of_dial(NULL, "+1 202 555 0100"), MB_TWIML_NUMBER);
	check_int(status_of_dial(NULL, number), MB_TWIML_OK);
	check_int(status_of_pause(0), MB_TWIML_VALUE);
	check_int(status_of_pause(-1), MB_TWIML_VALUE);
	check_int(status_of_pause(14401), MB_TWIML_VALUE);
	check_int(status_of_pause(14400), MB_TWIML_OK);
	check_int(status_of_say("x", 1001), MB_TWIML_VALUE);
	check_int(status_of_say("x", 1000), MB_TWIML_OK);
	check_int(status_of_say("", 0), MB_TWIML_TEXT);
	check_int(status_of_say(" \n\x01\xEF\xBF\xBE", 0), MB_TWIML_TEXT);
	begin();
	mb_twiml_reject(&twiml, "no time");
	check_refused(MB_TWIML_VALUE, "Reject");
	begin();
	mb_twiml_connect_begin(&twiml, NULL, NULL);
	mb_twiml_stream_begin(&twiml, "wss://example.com/",
						  &(mb_twiml_stream_options){ .track = "both_tracks" });
	check_refused(MB_TWIML_VALUE, "Stream");
	begin();
	mb_twiml_start_recording(&twiml, &(mb_twiml_recording_options){ .channels = "stereo" });
	check_refused(MB_TWIML_VALUE, "Recording");
	begin();
	mb_twiml_gather_begin(&twiml, NULL);
	mb_twiml_start_recording(&twiml, NULL);
	check_refused(MB_TWIML_ORDER, "Start");
}

static mb_twiml_status
status_of_parameter(size_t name_length, size_t value_length)
{
	char name[600];
	char value[600];

	memset(name, 'n', name_length);
	name[name_length] = '\0';
	memset(value, 'v', value_length);
	value[value_length] = '\0';
	begin();
	mb_twiml_connect_begin(&twiml, NULL, NULL);
	mb_twiml_stream_begin(&twiml, "wss://example.com/", NULL);
	mb_twiml_parameter(&twiml, name, value);
	mb_twiml_stream_end(&twiml);
	mb_twiml_connect_end(&twiml);
	return mb_twiml_end(&twiml, &length);
}

static void
parameters_stay_below_five_hundred_characters(void)
{
	check_int(status_of_parameter(4, 495), MB_TWIML_OK);
	check_int(status_of_parameter(5, 495), MB_TWIML_PARAMETER);
	check_int(status_of_parameter(499, 0), MB_TWIML_OK);
	check_int(status_of_parameter(0, 10), MB_TWIML_TEXT);
}

/* What follows the first error neither repairs nor replaces it. */
static void
the_first_error_sticks(void)
{
	begin();
	mb_twiml_play_digits(&twiml, "12-34");
	mb_twiml_say(&twiml, "", NULL);
	mb_twiml_hangup(&twiml);
	check_refused(MB_TWIML_DIGITS, "Play");
	check_refused(MB_TWIML_DIGITS, "Play");
	for (int status = MB_TWIML_OK; status <= MB_TWIML_PARAMETER; status++)
		check(strcmp(mb_twiml_status_message((mb_twiml_status) status), "unknown status") != 0);
}

int
main(void)
{
	check_run("URLs are of the kind allowed", urls_are_of_the_kind_allowed);
	check_run("verbs stand where they may", verbs_stand_where_they_may);
	check_run("options out of range are refused", options_out_of_range_are_refused);
	check_run("parameters stay below 500 characters",
			  parameters_stay_below_five_hundred_characters);
	check_run("the first error sticks", the_first_error_sticks);
	return check_done();
}
