/*
 * media_jambonz.c
 *	  The verb listen of jambonz, /jambonz/media: the first message is about the call, in JSON, then binary ones are audio, 16 bits with 8000
 *	  samples a second, both ways (bidirectionalAudio with streaming).
 *
 * It plays what comes when it comes.  It has marks and a way to clear, but answers marks at once or not at all: so it is fed as it plays,
 * a frame each 20 ms and little ahead, and what was sent was heard.
 */
#include <string.h>

#include <jansson.h>

#include "media_line.h"

#define STEP_MS 20
#define LEAD_MS 60
#define WIDTH 2 /* bytes of a sample */

/* Its application goes on behind the verb. */
static void
close_line(void *link, int code, const char *reason)
{
	static const char disconnect[] = "{\"type\":\"disconnect\"}";

	gw_media_line_send(link, true, disconnect, sizeof(disconnect) - 1);
	gw_media_line_close(link, code, reason);
}

static const gw_media_peer peer = { .name = "jambonz",
									.lead_ms = LEAD_MS,
									.step_ms = STEP_MS,
									.keeps_no_time = true,
									.tells_digits = true,
									.send = gw_media_line_send_audio,
									.close = close_line };

static void
hear(gw_media_line *l, const char *bytes, size_t n)
{
	if (l->session == NULL)
		gw_media_line_refuse(l, "it has not begun");
	else
		gw_media_line_heard(l, bytes, n, WIDTH);
}

static void
take_start(gw_media_line *l, const json_t *message)
{
	const char *mix = json_string_value(json_object_get(message, "mixType"));

	if (json_integer_value(json_object_get(message, "sampleRate")) != GW_MEDIA_RATE ||
		(mix != NULL && strcmp(mix, "mono") != 0))
		gw_media_line_refuse(l, "its audio is not of one side with 8000 samples a second");
	else
		gw_media_line_begin(l, MB_S16LE);
}

static void
take(gw_media_line *l, const json_t *message)
{
	const char *event = json_string_value(json_object_get(message, "event"));

	if (l->session == NULL)
		take_start(l, message);
	/* others tell of what is nothing to us, such as marks */
	else if (event != NULL && strcmp(event, "dtmf") == 0)
		gw_media_line_digit(l, json_string_value(json_object_get(message, "dtmf")));
}

/* GET /jambonz/media?uuid=… */
void
gw_handle_jambonz_media(gw_call *call)
{
	static const gw_media_line_form form = { .peer = &peer,
											 .subprotocol = "audio.jambonz.org",
											 .size = sizeof(gw_media_line),
											 .hear = hear,
											 .take = take };

	gw_media_line_request(call, &form);
}
