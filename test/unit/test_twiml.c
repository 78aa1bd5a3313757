/*
 * test_twiml.c
 *	  TwiML documents against what Twilio's own builder makes of the same verbs.
 */
#include "twiml_setup.h"

/* The call that plays a command and waits for its acknowledgement. */
static void
a_command_call_is_written(void)
{
	begin();
	mb_twiml_say(&twiml, "Mandate revocation",
				 &(mb_twiml_say_options){ .voice = "alice", .language = "en-US" });
	mb_twiml_play_digits(&twiml, "wwww" FRAME);
	mb_twiml_pause(&twiml, 2);
	mb_twiml_gather_begin(
		&twiml, &(mb_twiml_gather_options){ .input = "dtmf",
											.action = "https://example.com/twilio/ack?c=1&d=2",
											.method = "POST",
											.timeout = 10,
											.finish_on_key = "",
											.num_digits = 22 });
	mb_twiml_pause(&twiml, 5);
	mb_twiml_gather_end(&twiml);
	mb_twiml_record(&twiml, &(mb_twiml_record_options){
								.max_length = 10,
								.play_beep = MB_TWIML_FALSE,
								.recording_status_callback = "https://example.com/twilio/recording",
								.recording_status_callback_event = "completed absent" });
	mb_twiml_hangup(&twiml);
	check_document("<Response><Say voice=\"alice\" language=\"en-US\">Mandate revocation</Say>"
				   "<Play digits=\"wwww" FRAME "\"/><Pause length=\"2\"/>"
				   "<Gather input=\"dtmf\" action=\"https://example.com/twilio/ack?c=1&amp;d=2\" "
				   "method=\"POST\" timeout=\"10\" finishOnKey=\"\" numDigits=\"22\">"
				   "<Pause length=\"5\"/></Gather>"
				   "<Record maxLength=\"10\" playBeep=\"false\" "
				   "recordingStatusCallback=\"https://example.com/twilio/recording\" "
				   "recordingStatusCallbackEvent=\"completed absent\"/><Hangup/></Response>");
}

static void
text_is_escaped_as_by_the_library(void)
{
	begin();
	mb_twiml_say(&twiml, "a & b < c > d \"e\" 'f' \n\t\r 안녕 ☎ 😀", NULL);
	check_document("<Response><Say>a &amp; b &lt; c &gt; d \"e\" 'f' \n\t&#xD; 안녕 ☎ 😀</Say>"
				   "</Response>");
}

static void
attributes_are_escaped_as_by_the_library(void)
{
	begin();
	mb_twiml_connect_begin(&twiml, "/after", NULL);
	mb_twiml_stream_begin(&twiml, "wss://example.com/twilio/ws",
						  &(mb_twiml_stream_options){ .name = "main",
													  .track = "inbound_track",
													  .status_callback = "https://example.com/s",
													  .status_callback_method = "POST" });
	mb_twiml_parameter(&twiml, "q&<>\"'", "x&<>\"'\n\t\ry 안녕");
	mb_twiml_parameter(&twiml, "empty", "");
	mb_twiml_stream_end(&twiml);
	mb_twiml_connect_end(&twiml);
	check_document(
		"<Response><Connect action=\"/after\"><Stream url=\"wss://example.com/twilio/ws\" "
		"name=\"main\" track=\"inbound_track\" statusCallback=\"https://example.com/s\" "
		"statusCallbackMethod=\"POST\"><Parameter name=\"q&amp;&lt;>&quot;'\" "
		"value=\"x&amp;&lt;>&quot;'&#xA;&#x9;&#xD;y 안녕\"/><Parameter name=\"empty\" value=\"\"/>"
		"</Stream></Connect></Response>");
}

static void
a_recording_beside_the_call_is_written(void)
{
	begin();
	mb_twiml_start_recording(
		&twiml, &(mb_twiml_recording_options){ .channels = "dual",
											   .track = "both",
											   .trim = "do-not-trim",
											   .recording_status_callback = "/recorded?a=1&b=2" });
	mb_twiml_start_recording(&twiml, NULL);
	mb_twiml_hangup(&twiml);
	check_document("<Response><Start><Recording channels=\"dual\" track=\"both\" "
				   "trim=\"do-not-trim\" recordingStatusCallback=\"/recorded?a=1&amp;b=2\"/>"
				   "</Start><Start><Recording/></Start><Hangup/></Response>");
}

static void
a_transfer_is_written(void)
{
	begin();
	mb_twiml_dial_begin(&twiml, &(mb_twiml_dial_options){ .action = "/dialled",
														  .method = "POST",
														  .timeout = 20,
														  .time_limit = 600,
														  .caller_id = "+12025551234",
														  .record = "record-from-answer-dual",
														  .answer_on_bridge = MB_TWIML_TRUE });
	mb_twiml_number(&twiml, "+821012345678",
					&(mb_twiml_number_options){ .send_digits = "ww12#",
												.status_callback = "https://example.com/n",
												.status_callback_event = "initiated answered" });
	mb_twiml_number(&twiml, "+12025550100", NULL);
	mb_twiml_dial_end(&twiml);
	mb_twiml_redirect(&twiml, "https://example.com/next?a=1&b=2", "GET");
	check_document("<Response><Dial action=\"/dialled\" method=\"POST\" timeout=\"20\" "
				   "timeLimit=\"600\" callerId=\"+12025551234\" record=\"record-from-answer-dual\" "
				   "answerOnBridge=\"true\"><Number sendDigits=\"ww12#\" "
				   "statusCallback=\"https://example.com/n\" "
				   "statusCallbackEvent=\"initiated answered\">+821012345678</Number>"
				   "<Number>+12025550100</Number></Dial>"
				   "<Redirect method=\"GET\">https://example.com/next?a=1&amp;b=2</Redirect>"
				   "</Response>");
}

static void
a_question_is_written(void)
{
	begin();
	mb_twiml_play_url(&twiml, "https://example.com/a.wav", MB_TWIML_ZERO);
	mb_twiml_gather_begin(&twiml,
						  &(mb_twiml_gather_options){ .input = "dtmf speech",
													  .timeout = MB_TWIML_ZERO,
													  .action_on_empty_result = MB_TWIML_TRUE,
													  .partial_result_callback = "/partial",
													  .language = "ko-KR",
													  .hints = "예,아니요",
													  .speech_timeout = "auto",
													  .barge_in = MB_TWIML_FALSE,
													  .profanity_filter = MB_TWIML_FALSE,
													  .speech_model = "phone_call",
													  .enhanced = MB_TWIML_TRUE });
	mb_twiml_say(&twiml, "말씀하세요", &(mb_twiml_say_options){ .loop = 2 });
	mb_twiml_play_url(&twiml, "/beep.wav", 0);
	mb_twiml_gather_end(&twiml);
	check_document("<Response><Play loop=\"0\">https://example.com/a.wav</Play>"
				   "<Gather input=\"dtmf speech\" timeout=\"0\" actionOnEmptyResult=\"true\" "
				   "partialResultCallback=\"/partial\" language=\"ko-KR\" hints=\"예,아니요\" "
				   "speechTimeout=\"auto\" bargeIn=\"false\" profanityFilter=\"false\" "
				   "speechModel=\"phone_call\" enhanced=\"true\"><Say loop=\"2\">말씀하세요</Say>"
				   "<Play>/beep.wav</Play></Gather></Response>");
}

static void
small_documents_are_written(void)
{
	begin();
	check_document("<Response/>");
	begin();
	mb_twiml_reject(&twiml, "busy");
	check_document("<Response><Reject reason=\"busy\"/></Response>");
	begin();
	mb_twiml_reject(&twiml, NULL);
	check_document("<Response><Reject/></Response>");
	begin();
	mb_twiml_gather_begin(&twiml, NULL);
	mb_twiml_gather_end(&twiml);
	mb_twiml_record(&twiml, NULL);
	check_document("<Response><Gather/><Record/></Response>");
	begin();
	mb_twiml_connect_begin(&twiml, NULL, NULL);
	mb_twiml_stream_begin(&twiml, "wss://example.com:8443/ws", NULL);
	mb_twiml_stream_end(&twiml);
	mb_twiml_connect_end(&twiml);
	check_document("<Response><Connect><Stream url=\"wss://example.com:8443/ws\"/></Connect>"
				   "</Response>");
}

/* With one of these in it Twilio refuses the whole document (error 12100). */
static void
characters_that_xml_forbids_are_taken_out(void)
{
	begin();
	mb_twiml_say(&twiml,
				 "a\x01\x08\x0B\x0C\x0E\x1F"
				 "b\xEF\xBF\xBE\xEF\xBF\xBF"
				 "c\xED\xA0\x80\xED\xBF\xBF"
				 "d\x7F\xC2\x80\xEF\xBF\xBD\xF4\x8F\xBF\xBF",
				 NULL);
	check_document("<Response><Say>abcd\x7F\xC2\x80\xEF\xBF\xBD\xF4\x8F\xBF\xBF</Say></Response>");

	begin();
	mb_twiml_connect_begin(&twiml, NULL, NULL);
	mb_twiml_stream_begin(&twiml, "wss://example.com/ws", NULL);
	mb_twiml_parameter(&twiml, "na\x02me", "v\x1Flue");
	mb_twiml_stream_end(&twiml);
	mb_twiml_connect_end(&twiml);
	check_document("<Response><Connect><Stream url=\"wss://example.com/ws\">"
				   "<Parameter name=\"name\" value=\"vlue\"/></Stream></Connect></Response>");
}

static void
what_is_not_utf8_is_refused(void)
{
	static const char *const texts[] = {
		"\x80",
		"a\xC3",
		"\xC0\x80",
		"\xC1\xBF",
		"\xE0\x80\x80",
		"\xE0\x9F\xBF",
		"\xE2\x98",
		"\xF0\x80\x80\x80",
		"\xF4\x90\x80\x80",
		"\xF5\x80\x80\x80",
		"\xFF",
		"\xFE",
		"\xC3(",
		"\xE2(\xA1",
		"\xF0\x9F\x98(",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		begin();
		mb_twiml_say(&twiml, texts[i], NULL);
		check_refused(MB_TWIML_ENCODING, "Say");
	}
}

static void
digits_are_those_that_twilio_plays(void)
{
	begin();
	mb_twiml_play_digits(&twiml, "0123456789ABCD*#wW");
	check_document("<Response><Play digits=\"0123456789ABCD*#wW\"/></Response>");

	for (int c = 1; c < 256; c++)
	{
		char digits[3] = { '1', (char) c, '\0' };
		bool valid = strchr("0123456789ABCD*#wW", c) != NULL;

		check_int(mb_twiml_digits_valid(digits), valid);
	}
	/* the original's own sequence cannot be played: error 13430 */
	begin();
	mb_twiml_play_digits(&twiml, "*#01-12345678-9ABC##");
	check_refused(MB_TWIML_DIGITS, "Play");
	begin();
	mb_twiml_play_digits(&twiml, "");
	check_refused(MB_TWIML_DIGITS, "Play");
	begin();
	mb_twiml_dial_begin(&twiml, NULL);
	mb_twiml_number(&twiml, "+12025550100", &(mb_twiml_number_options){ .send_digits = "1,2" });
	mb_twiml_dial_end(&twiml);
	check_refused(MB_TWIML_DIGITS, "Number");
}

/* A document around a text of n characters, each of them one of the given bytes. */
static mb_twiml_status
document_of(const char *character, size_t n, size_t capacity)
{
	static char text[4 * 4100 + 1];
	size_t size = strlen(character);

	for (size_t i = 0; i < n; i++)
		memcpy(text + i * size, character, size);
	text[n * size] = '\0';
	memset(document, '?', sizeof(document));
	mb_twiml_begin(&twiml, document, capacity);
	mb_twiml_say(&twiml, text, NULL);
	return mb_twiml_end(&twiml, &length);
}

static void
documents_stay_below_four_thousand_characters(void)
{
	const size_t frame = strlen(PROLOG "<Response><Say></Say></Response>");
	const size_t room = 3999 - frame;

	check_int(document_of("x", room, sizeof(document)), MB_TWIML_OK);
	check_int(length, 3999);
	check_int(document_of("x", room + 1, sizeof(document)), MB_TWIML_TOO_LONG);
	check_string(document, "");
	check_int(length, 0);

	/* characters, not bytes; escapes count in full, and what lies beyond U+FFFF twice */
	check_int(document_of("안", room, sizeof(document)), MB_TWIML_OK);
	check_int(length, frame + 3 * room);
	check_int(document_of("안", room + 1, sizeof(document)), MB_TWIML_TOO_LONG);
	check_int(document_of("&", room / 5, sizeof(document)), MB_TWIML_OK);
	check_int(document_of("&", room / 5 + 1, sizeof(document)), MB_TWIML_TOO_LONG);
	check_int(document_of("😀", room / 2, sizeof(document)), MB_TWIML_OK);
	check_int(document_of("😀", room / 2 + 1, sizeof(document)), MB_TWIML_TOO_LONG);
	check_string(mb_twiml_status_message(MB_TWIML_TOO_LONG),
				 "document would have 4,000 characters or more");
}

static void
small_buffers_are_never_overrun(void)
{
	const size_t needed = strlen(PROLOG "<Response><Say>안안안</Say></Response>") + 1;

	for (size_t capacity = 0; capacity < needed + 3; capacity++)
	{
		char *exact = malloc(capacity > 0 ? capacity : 1);

		/* in memory of exactly that size, where the sanitizer sees one byte too many */
		mb_twiml_begin(&twiml, exact, capacity);
		mb_twiml_say(&twiml, "안안안", NULL);
		check_int(mb_twiml_end(&twiml, &length), capacity < needed ? MB_TWIML_SPACE : MB_TWIML_OK);
		check_int(length, capacity < needed ? 0 : needed - 1);
		if (capacity > 0)
			check_int(exact[length], '\0');
		free(exact);
	}
}

int
main(void)
{
	check_run("a command call is written as by Twilio's library", a_command_call_is_written);
	check_run("text is escaped as by the library", text_is_escaped_as_by_the_library);
	check_run("attributes are escaped as by the library", attributes_are_escaped_as_by_the_library);
	check_run("a recording beside the call is written", a_recording_beside_the_call_is_written);
	check_run("a transfer is written", a_transfer_is_written);
	check_run("a question is written", a_question_is_written);
	check_run("small documents are written", small_documents_are_written);
	check_run("characters that XML forbids are taken out",
			  characters_that_xml_forbids_are_taken_out);
	check_run("what is not UTF-8 is refused", what_is_not_utf8_is_refused);
	check_run("digits are those that Twilio plays", digits_are_those_that_twilio_plays);
	check_run("documents stay below 4,000 characters",
			  documents_stay_below_four_thousand_characters);
	check_run("small buffers are never overrun", small_buffers_are_never_overrun);
	return check_done();
}
