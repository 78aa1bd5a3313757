/*
 * fuzz_twiml.c
 *	  Any verbs in any order with any texts, into buffers of any size: a document that comes out is
 *	  well formed, clean and short enough, and what is no document is an empty string.
 *
 * Fuzz with: -max_len=4096
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "core/web/twiml.h"

/* The input, taken byte by byte and text by text. */
typedef struct input
{
	const uint8_t *at;
	const uint8_t *end;
} input;

static int
next_byte(input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* A text of up to 255 bytes in memory of its own; NULL for the length 0. */
static char *
next_text(input *in)
{
	size_t n = (size_t) next_byte(in);
	char *text;

	if (n == 0)
		return NULL;
	if (n > (size_t) (in->end - in->at))
		n = (size_t) (in->end - in->at);
	text = malloc(n + 1);
	memcpy(text, in->at, n);
	text[n] = '\0';
	in->at += n;
	return text;
}

/* Where the verb needs a text. */
static char *
next_full_text(input *in)
{
	char *text = next_text(in);

	return text != NULL ? text : calloc(1, 1);
}

static int
next_int(input *in)
{
	return (int8_t) next_byte(in) * 97;
}

static void
run_verb(mb_twiml *twiml, int verb, input *in)
{
	char *a = next_full_text(in);
	char *b = next_full_text(in);
	char *c = next_text(in);
	char *d = next_text(in);
	int i = next_int(in);
	int j = next_int(in);

	switch (verb % 17)
	{
		case 0:
			mb_twiml_say(twiml, a, &(mb_twiml_say_options){ .voice = c, .language = d, .loop = i });
			break;
		case 1:
			mb_twiml_play_digits(twiml, a);
			break;
		case 2:
			mb_twiml_play_url(twiml, a, i);
			break;
		case 3:
			mb_twiml_pause(twiml, i);
			break;
		case 4:
			mb_twiml_gather_begin(twiml,
								  &(mb_twiml_gather_options){
									  .action = c, .finish_on_key = d, .timeout = i, .hints = a });
			break;
		case 5:
			mb_twiml_gather_end(twiml);
			break;
		case 6:
			mb_twiml_record(twiml, &(mb_twiml_record_options){
									   .action = c, .finish_on_key = d, .max_length = i });
			break;
		case 7:
			mb_twiml_redirect(twiml, a, c);
			break;
		case 8:
			mb_twiml_hangup(twiml);
			break;
		case 9:
			mb_twiml_reject(twiml, c);
			break;
		case 10:
			mb_twiml_dial_begin(twiml,
								&(mb_twiml_dial_options){
									.action = c, .caller_id = d, .timeout = i, .time_limit = j });
			break;
		case 11:
			mb_twiml_number(twiml, a, &(mb_twiml_number_options){ .send_digits = c, .url = d });
			break;
		case 12:
			mb_twiml_dial_end(twiml);
			break;
		case 13:
			mb_twiml_connect_begin(twiml, c, d);
			mb_twiml_stream_begin(twiml, a, NULL);
			break;
		case 14:
			mb_twiml_parameter(twiml, a, b);
			break;
		case 15:
			mb_twiml_start_recording(
				twiml, &(mb_twiml_recording_options){
						   .recording_status_callback = a, .channels = c, .trim = d });
			break;
		default:
			mb_twiml_stream_end(twiml);
			mb_twiml_connect_end(twiml);
			break;
	}
	free(a);
	free(b);
	free(c);
	free(d);
}

static bool
starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Reads a document as strictly as it is to be written. */
static void
must_be_well_formed(const char *document, size_t length)
{
	static const char *const entities[] = { "&amp;", "&lt;",  "&gt;", "&quot;",
											"&#xA;", "&#x9;", "&#xD;" };
	static const char prolog[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
	bool in_tag = false;
	bool in_value = false;
	int depth = 0;

	require(strlen(document) == length && mb_xml_clean(document));
	require(starts_with(document, prolog));
	for (const char *at = document + strlen(prolog); *at != '\0'; at++)
	{
		if (*at == '&')
		{
			bool known = false;

			for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
				known = known || starts_with(at, entities[i]);
			require(known);
		}
		else if (in_value)
		{
			require(*at != '<' && *at != '\n' && *at != '\t' && *at != '\r');
			in_value = *at != '"';
		}
		else if (in_tag)
		{
			require(*at != '<');
			if (*at == '"')
				in_value = true;
			else if (*at == '>')
			{
				in_tag = false;
				if (at[-1] == '/')
					depth--;
			}
		}
		else if (*at == '<')
		{
			in_tag = true;
			depth += at[1] == '/' ? -1 : 1;
			require(depth >= 0);
		}
		else
			require(*at != '>' && depth > 0);
	}
	require(!in_tag && !in_value && depth == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input in = { data, data + size };
	size_t capacity = (size_t) next_byte(&in) * 48;
	char *buffer = malloc(capacity > 0 ? capacity : 1);
	mb_twiml twiml;
	size_t length = 1;

	mb_twiml_begin(&twiml, buffer, capacity);
	while (in.at < in.end)
		run_verb(&twiml, next_byte(&in), &in);
	if (mb_twiml_end(&twiml, &length) == MB_TWIML_OK)
	{
		require(length < capacity && twiml.xml.characters <= MB_TWIML_MAX_CHARACTERS);
		must_be_well_formed(buffer, length);
	}
	else
		require(length == 0 && (capacity == 0 || buffer[0] == '\0'));
	free(buffer);
	return 0;
}
