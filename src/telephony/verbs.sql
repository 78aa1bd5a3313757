-- The verbs of TwiML, one function each: what twiml() takes.  Null leaves an attribute to Twilio's default.

CREATE OR REPLACE FUNCTION mulberry.twiml_say(text text, voice text DEFAULT NULL, language text DEFAULT NULL, loop integer DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'say', 'text', nullif(text, ''), 'voice', nullif(voice, ''),
                                            'language', nullif(language, ''), 'loop', loop));
COMMENT ON FUNCTION mulberry.twiml_say(text, text, text, integer) IS
    'the TwiML verb Say, for twiml(): a sentence, the voice that says it, its language as in en-US, how often (0: until the call ends)';

CREATE OR REPLACE FUNCTION mulberry.twiml_play(url text DEFAULT NULL, digits text DEFAULT NULL, loop integer DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'play', 'url', nullif(url, ''), 'digits', nullif(digits, ''), 'loop', loop));
COMMENT ON FUNCTION mulberry.twiml_play(text, text, integer) IS
    'the TwiML verb Play, for twiml(): a sound file, or tones of 0-9 A-D * # with w for half a second of silence and W for a whole one';

CREATE OR REPLACE FUNCTION mulberry.twiml_pause(seconds integer DEFAULT 1) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_build_object('verb', 'pause', 'length', coalesce(seconds, 1));
COMMENT ON FUNCTION mulberry.twiml_pause(integer) IS 'the TwiML verb Pause, for twiml()';

CREATE OR REPLACE FUNCTION mulberry.twiml_gather(action text DEFAULT NULL, verbs jsonb DEFAULT NULL, num_digits integer DEFAULT NULL,
    timeout integer DEFAULT NULL, finish_on_key text DEFAULT NULL, input text DEFAULT NULL, action_on_empty_result boolean DEFAULT NULL,
    method text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'gather', 'action', nullif(action, ''), 'verbs', verbs, 'num_digits', num_digits,
    'timeout', timeout, 'finish_on_key', CASE finish_on_key COLLATE "C" WHEN '' THEN NULL WHEN 'none' THEN '' ELSE finish_on_key END,
    'input', nullif(input, ''), 'action_on_empty_result', action_on_empty_result, 'method', nullif(method, '')));
COMMENT ON FUNCTION mulberry.twiml_gather(text, jsonb, integer, integer, text, text, boolean, text) IS
    'the TwiML verb Gather, for twiml(): waits for keys and has them sent to action; verbs (say, play, pause) are heard meanwhile; '
    'finish_on_key is a key, or none, with which # is gathered like the others; input is dtmf, speech or both';

CREATE OR REPLACE FUNCTION mulberry.twiml_record(action text DEFAULT NULL, max_length integer DEFAULT NULL, timeout integer DEFAULT NULL,
    finish_on_key text DEFAULT NULL, play_beep boolean DEFAULT NULL, trim_silence boolean DEFAULT NULL,
    recording_status_callback text DEFAULT NULL, transcribe_callback text DEFAULT NULL, method text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'record', 'action', nullif(action, ''), 'max_length', max_length,
    'timeout', timeout,
    'finish_on_key', CASE finish_on_key COLLATE "C" WHEN '' THEN NULL WHEN 'none' THEN '' ELSE finish_on_key END,
    'play_beep', play_beep, 'trim', CASE trim_silence WHEN true THEN 'trim-silence' WHEN false THEN 'do-not-trim' END,
    'recording_status_callback', nullif(recording_status_callback, ''),
    'transcribe_callback', nullif(transcribe_callback, ''), 'method', nullif(method, '')));
COMMENT ON FUNCTION mulberry.twiml_record(text, integer, integer, text, boolean, boolean, text, text, text) IS
    'the TwiML verb Record, for twiml(): records what is said until a key or a silence, and then asks action how the call goes on';

CREATE OR REPLACE FUNCTION mulberry.twiml_dial(numbers text[], action text DEFAULT NULL, timeout integer DEFAULT NULL,
    time_limit integer DEFAULT NULL, caller_id text DEFAULT NULL, record text DEFAULT NULL, recording_status_callback text DEFAULT NULL,
    send_digits text DEFAULT NULL, answer_on_bridge boolean DEFAULT NULL, method text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'dial', 'number', array_replace(numbers, '', NULL), 'action', nullif(action, ''),
    'timeout', timeout, 'time_limit', time_limit, 'caller_id', nullif(caller_id, ''), 'record', nullif(record, ''),
    'recording_status_callback', nullif(recording_status_callback, ''), 'send_digits', nullif(send_digits, ''),
    'answer_on_bridge', answer_on_bridge, 'method', nullif(method, '')));
COMMENT ON FUNCTION mulberry.twiml_dial(text[], text, integer, integer, text, text, text, text, boolean, text) IS
    'the TwiML verb Dial, for twiml(): joins the call to whichever of these E.164 numbers answers first';

CREATE OR REPLACE FUNCTION mulberry.twiml_connect(url text, parameters jsonb DEFAULT NULL, name text DEFAULT NULL,
    status_callback text DEFAULT NULL, action text DEFAULT NULL, method text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'connect', 'url', nullif(url, ''), 'parameters', parameters, 'name', nullif(name, ''),
    'status_callback', nullif(status_callback, ''), 'action', nullif(action, ''), 'method', nullif(method, '')));
COMMENT ON FUNCTION mulberry.twiml_connect(text, jsonb, text, text, text, text) IS
    'the TwiML verb Connect with a media stream in both directions, for twiml(): url is wss:// and has no query; what the other side is to '
    'know goes into parameters, {"name": "value"} of less than 500 characters each';

CREATE OR REPLACE FUNCTION mulberry.twiml_start_recording(recording_status_callback text DEFAULT NULL, channels text DEFAULT NULL,
    track text DEFAULT NULL, trim_silence boolean DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'start_recording',
    'recording_status_callback', nullif(recording_status_callback, ''),
    'channels', nullif(channels, ''), 'track', nullif(track, ''),
    'trim', CASE trim_silence WHEN true THEN 'trim-silence' WHEN false THEN 'do-not-trim' END));
COMMENT ON FUNCTION mulberry.twiml_start_recording(text, text, text, boolean) IS
    'the TwiML verb Start with a recording of the whole call, for twiml(): mono, or dual with caller and the other side apart';

CREATE OR REPLACE FUNCTION mulberry.twiml_redirect(url text, method text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'redirect', 'url', nullif(url, ''), 'method', nullif(method, '')));
COMMENT ON FUNCTION mulberry.twiml_redirect(text, text) IS 'the TwiML verb Redirect, for twiml(): the call goes on with the TwiML of a URL';

CREATE OR REPLACE FUNCTION mulberry.twiml_reject(reason text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'reject', 'reason', nullif(reason, '')));
COMMENT ON FUNCTION mulberry.twiml_reject(text) IS
    'the TwiML verb Reject, for twiml(), as the only verb: a call is not answered; reason is rejected or busy';

CREATE OR REPLACE FUNCTION mulberry.twiml_hangup() RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_build_object('verb', 'hangup');
COMMENT ON FUNCTION mulberry.twiml_hangup() IS 'the TwiML verb Hangup, for twiml()';
