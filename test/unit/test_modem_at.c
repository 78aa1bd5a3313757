/*
 * test_modem_at.c
 *	  Lines of modems: what each is, however it is cut, and who calls.
 */
#include "check.h"
#include "core/modem/at.h"

#define MAX_EVENTS 20

typedef struct heard
{
	size_t n;
	size_t after; /* bytes not used when a CONNECT came */
	mb_at_kind kinds[MAX_EVENTS];
	bool cut[MAX_EVENTS];
	uint8_t codes[MAX_EVENTS];
	char lines[MAX_EVENTS][MB_AT_LINE + 1];
} heard;

/* Reads in pieces of "step" bytes, up to the first CONNECT. */
static heard
hear(const char *bytes, size_t n, const char *sent, size_t step)
{
	mb_at at;
	heard heard;

	memset(&heard, 0, sizeof(heard));
	mb_at_begin(&at);
	if (sent != NULL)
		mb_at_sent(&at, sent);
	for (size_t i = 0; i < n;)
	{
		size_t piece = n - i < step ? n - i : step;
		uint8_t *copy = malloc(piece);
		mb_at_event event;
		size_t used;

		memcpy(copy, bytes + i, piece);
		if (mb_at_feed(&at, copy, piece, &used, &event) && heard.n < MAX_EVENTS)
		{
			heard.kinds[heard.n] = event.kind;
			heard.cut[heard.n] = event.cut;
			heard.codes[heard.n] = event.code;
			strcpy(heard.lines[heard.n++], event.text);
		}
		free(copy);
		i += used;
		if (heard.n > 0 && heard.kinds[heard.n - 1] == MB_AT_CONNECT)
		{
			i += mb_at_data_begins(&at, (const uint8_t *) bytes + i, n - i);
			heard.after = n - i;
			break;
		}
	}
	return heard;
}

static const size_t steps[] = { 1, 2, 3, 7, 1000 };
#define N_STEPS (sizeof(steps) / sizeof(steps[0]))

/* The kinds that come out, ended by -1. */
static void
expect_at(int line, const char *text, const char *sent, const int *kinds)
{
	for (size_t s = 0; s < N_STEPS; s++)
	{
		heard heard = hear(text, strlen(text), sent, steps[s]);
		size_t n = 0;

		while (kinds[n] >= 0)
		{
			check_report(n < heard.n && heard.kinds[n] == kinds[n], __FILE__, line,
						 "event %zu of \"%s\" in steps of %zu: kind %d, expected %d", n, text,
						 steps[s], n < heard.n ? (int) heard.kinds[n] : -1, kinds[n]);
			n++;
		}
		check_report(heard.n == n, __FILE__, line, "\"%s\": %zu events, expected %zu", text,
					 heard.n, n);
	}
}

#define expect(text, sent, ...) expect_at(__LINE__, text, sent, (const int[]){ __VA_ARGS__, -1 })

static void
results_are_whole_lines(void)
{
	expect("\r\nOK\r\n", NULL, MB_AT_OK);
	expect("OK\r", NULL, MB_AT_OK);
	expect("OK\n", NULL, MB_AT_OK);
	expect("\r\r\nOK\r\r\n\r\n\nOK \r", NULL, MB_AT_OK, MB_AT_OK);
	expect("\r\nERROR\r\n+CME ERROR: SIM busy\r\n+CME ERROR: 14\r\n+CMS ERROR: 500\r\n", NULL,
		   MB_AT_ERROR, MB_AT_ERROR, MB_AT_ERROR, MB_AT_ERROR);
	expect("NO CARRIER\rBUSY\rNO ANSWER\rNO DIALTONE\rNO DIAL TONE\rVCON\r", NULL, MB_AT_NO_CARRIER,
		   MB_AT_BUSY, MB_AT_NO_ANSWER, MB_AT_NO_DIALTONE, MB_AT_NO_DIALTONE, MB_AT_VCON);
	expect("OKAY\r\nNOT OK\r\nOK?\r\nok\r\nERRORS\r\n", NULL, MB_AT_TEXT, MB_AT_TEXT, MB_AT_TEXT,
		   MB_AT_TEXT, MB_AT_TEXT);
	/* not ended, no line */
	expect("OK", NULL, -1);
}

static void
an_ok_in_a_name_is_none(void)
{
	expect("NAME = OK\r\n", NULL, MB_AT_NAME_OF);
	expect("NAME=OK\r\nOK\r\n", NULL, MB_AT_NAME_OF, MB_AT_OK);
	expect("+CLIP: \"+15551234\",145,,,\"OK\",0\r\n", NULL, MB_AT_CLIP);
	expect("+CLIP: \"+15551234\",145,,,\"NO CARRIER\",0\r\n", NULL, MB_AT_CLIP);
	expect("NMBR=RING\r\n", NULL, MB_AT_NUMBER_OF);
	/* a name cannot smuggle a line in, for a NUL or another control is no line end */
	expect("NAME=x\x0bOK\x0b\r\n", NULL, MB_AT_NAME_OF);
}

static void
what_nobody_asked_for_comes_between(void)
{
	expect("AT+CPCMREG=1\r\r\nRING\r\n\r\n+CLIP: \"\",128,,,,2\r\n\r\nOK\r\n", "AT+CPCMREG=1",
		   MB_AT_ECHO, MB_AT_RING, MB_AT_CLIP, MB_AT_OK);
	expect("ATA\r\r\nVOICE CALL: BEGIN\r\n\r\nOK\r\nVOICE CALL: END: 000012\r\nNO CARRIER\r\n",
		   "ATA", MB_AT_ECHO, MB_AT_CALL_BEGIN, MB_AT_OK, MB_AT_CALL_END, MB_AT_NO_CARRIER);
	expect("\r\nRDY\r\n\r\n+CPIN: READY\r\n+CPIN: SIM PIN\r\n", NULL, MB_AT_RESTARTED,
		   MB_AT_RESTARTED, MB_AT_TEXT);
	expect("+CCWA: \"+15550000\",145,1\r\n+CLCC: 1,1,0,0,0,\"+1555\",145\r\n+RXDTMF: 5\r\n+CRING: "
		   "VOICE\r\n",
		   NULL, MB_AT_CCWA, MB_AT_CALL, MB_AT_DIGIT, MB_AT_RING);
	expect("DATE=0321\r\nTIME = 1405\r\nNMBR=O\r\nNAME=\r\nNAMES=x\r\nNAME x=\r\n", NULL,
		   MB_AT_DATE_OF, MB_AT_TIME_OF, MB_AT_NUMBER_OF, MB_AT_NAME_OF, MB_AT_TEXT, MB_AT_TEXT);
}

static void
echoes_are_told(void)
{
	expect("ATI\r\r\nATI\r\nOK\r\n", "ATI", MB_AT_ECHO, MB_AT_ECHO, MB_AT_OK);
	/* behind a result nothing is an echo any more */
	expect("OK\r\nATI\r\n", "ATI", MB_AT_OK, MB_AT_TEXT);
	expect("ATI\r\n", NULL, MB_AT_TEXT);
	/* a command is not a result, not even when it looks like one */
	expect("OK\r\nOK\r\n", "OK", MB_AT_ECHO, MB_AT_ECHO);
}

static void
codes_behind_a_dle_are_events(void)
{
	for (size_t s = 0; s < N_STEPS; s++)
	{
		heard heard = hear("\r\n\x10R\r\nRI\x10"
						   "bNG\r\n\x10\x03\r\nOK\r\n",
						   22, NULL, steps[s]);

		check_int(heard.n, 5);
		check_int(heard.kinds[0], MB_AT_SHIELDED);
		check_int(heard.codes[0], 'R');
		check_int(heard.codes[1], 'b');
		check_int(heard.kinds[2], MB_AT_RING);
		check_int(heard.codes[3], 3);
		check_int(heard.kinds[4], MB_AT_OK);
	}
}

static void
data_begin_behind_connect(void)
{
	for (size_t s = 0; s < N_STEPS; s++)
	{
		check_int(hear("\r\nCONNECT\r\nOK\r\n", 15, NULL, steps[s]).after, 4);
		check_int(hear("CONNECT 115200\r\n\n\r\n", 19, NULL, steps[s]).after, 3);
		check_int(hear("CONNECT\rOK", 10, NULL, steps[s]).after, 2);
		check_int(hear("CONNECT\n\nOK", 11, NULL, steps[s]).after, 3);
	}
}

static void
long_lines_are_no_results(void)
{
	char text[600];

	memset(text, 'x', sizeof(text));
	memcpy(text + 300, "\r\nOK\r\n", 6);
	for (size_t s = 0; s < N_STEPS; s++)
	{
		heard heard = hear(text, 306, NULL, steps[s]);

		check_int(heard.n, 2);
		check_int(heard.kinds[0], MB_AT_TEXT);
		check(heard.cut[0]);
		check_int(strlen(heard.lines[0]), MB_AT_LINE);
		check_int(heard.kinds[1], MB_AT_OK);
		check(!heard.cut[1]);
	}
	/* one that would be a result when it is cut */
	memset(text, ' ', sizeof(text));
	memcpy(text, "OK", 2);
	text[400] = 'x';
	text[401] = '\r';
	check_int(hear(text, 402, NULL, 1000).kinds[0], MB_AT_TEXT);
}

/* Who calls by this line, and nothing else known before. */
static mb_at_caller_id
caller_of(const char *line)
{
	char ended[300];
	mb_at at;
	mb_at_event event;
	mb_at_caller_id caller = { .name = "before", .number = "1" };
	size_t used;

	snprintf(ended, sizeof(ended), "%s\r", line);
	mb_at_begin(&at);
	if (check(mb_at_feed(&at, (const uint8_t *) ended, strlen(ended), &used, &event)))
		mb_at_caller(&event, &caller);
	return caller;
}

static void
callers_are_known(void)
{
	mb_at_caller_id caller =
		caller_of("+CLIP: \"+15551234567\",145,\"\",,\"Ann, the \xC3\xA4lder\",0");

	check_string(caller.number, "+15551234567");
	check_string(caller.name, "Ann, the \xC3\xA4lder");
	check(!caller.withheld);

	caller = caller_of("+CLIP: \"\",128,,,,1");
	check_string(caller.number, "");
	check_string(caller.name, "");
	check(caller.withheld);
	check(!caller_of("+CLIP: \"\",128,,,,2").withheld);
	check_string(caller_of("+CLIP:").number, "");
	check_string(caller_of("+CLIP: 0301234,129").number, "0301234");
	check_string(caller_of("+CLIP: \"030 12-34").number, "0301234");

	/* +CSCS="UCS2" */
	caller = caller_of("+CLIP: \"002B0034003900330030\",145,,,\"004100E4\",0");
	check_string(caller.number, "+4930");
	check_string(caller.name, "A\xC3\xA4");
	check_string(caller_of("+CLIP: \"00493012345678\",129").number, "00493012345678");
	check_string(caller_of("+CLIP: \"12345678\",129").number, "12345678");
	check_string(caller_of("+CLIP: \"1\",129,,,\"BEEF\"").name, "BEEF");

	caller = caller_of("+CCWA: \"+1555\",145,1,\"Bob\"");
	check_string(caller.number, "+1555");
	check_string(caller.name, "Bob");

	check_string(caller_of("NMBR=5551234").number, "5551234");
	check_string(caller_of("NMBR = 5551234").name, "before");
	caller = caller_of("NMBR = P");
	check_string(caller.number, "");
	check(caller.withheld);
	check_string(caller_of("NMBR=O").number, "");
	check(!caller_of("NMBR=O").withheld);
	check_string(caller_of("NAME=SMITH, J").name, "SMITH, J");
	check_string(caller_of("NAME=SMITH").number, "1");
}

static void
long_callers_are_cut(void)
{
	char line[300];
	mb_at_caller_id caller;

	memcpy(line, "+CLIP: \"", 8);
	memset(line + 8, '7', 200);
	line[208] = '\0';
	caller = caller_of(line);
	check_int(strlen(caller.number), MB_AT_NUMBER);
	memcpy(line, "NAME=", 5);
	memset(line + 5, 'n', 195);
	caller = caller_of(line);
	check_int(strlen(caller.name), MB_AT_NAME);
}

static void
calls_are_listed(void)
{
	mb_at_call call;
	mb_at_event event = { .kind = MB_AT_CALL };

	event.text = "+CLCC: 1,1,4,0,0,\"+1555\",145,\"Ann\"";
	REQUIRE(mb_at_call_of(&event, &call));
	check_int(call.id, 1);
	check(call.incoming && call.voice);
	check_int(call.state, MB_AT_CALL_INCOMING);
	check_string(call.caller.number, "+1555");
	check_string(call.caller.name, "Ann");
	event.text = "+CLCC: 2,0,0,1,0";
	REQUIRE(mb_at_call_of(&event, &call));
	check(!call.incoming && !call.voice);
	check_string(call.caller.number, "");
	event.text = "+CLCC: 1,1,6,0,0";
	check(!mb_at_call_of(&event, &call));
	event.text = "+CLCC: 1,2,0,0,0";
	check(!mb_at_call_of(&event, &call));
	event.text = "+CLCC: 1,1,0";
	check(!mb_at_call_of(&event, &call));
	event.text = "+CLCC: ,,,,,";
	check(!mb_at_call_of(&event, &call));
}

int
main(void)
{
	check_run("results are whole lines, however lines end", results_are_whole_lines);
	check_run("an OK in a name is none", an_ok_in_a_name_is_none);
	check_run("what nobody asked for comes between a command and its OK",
			  what_nobody_asked_for_comes_between);
	check_run("echoes are told from answers", echoes_are_told);
	check_run("codes behind a DLE are events", codes_behind_a_dle_are_events);
	check_run("data begin behind CONNECT", data_begin_behind_connect);
	check_run("lines that are too long are no results", long_lines_are_no_results);
	check_run("callers are known by what modems say", callers_are_known);
	check_run("long numbers and names are cut", long_callers_are_cut);
	check_run("calls are listed", calls_are_listed);
	return check_done();
}
