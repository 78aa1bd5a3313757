-- Calls that were placed for a command.

CREATE SEQUENCE voice_call_id;
COMMENT ON SEQUENCE voice_call_id IS 'voice_calls.id';
SELECT pg_catalog.pg_extension_config_dump('voice_call_id', '');

CREATE TABLE voice_calls (
    id               bigint PRIMARY KEY DEFAULT nextval('voice_call_id'),
    tenant           uuid NOT NULL REFERENCES tenants (id),
    command          bigint NOT NULL REFERENCES commands (id),
    purpose          text COLLATE "C" NOT NULL DEFAULT 'command' CHECK (purpose IN ('command', 'escalation')),
    attempt          integer NOT NULL,
    to_number        text COLLATE "C" NOT NULL,
    from_number      text COLLATE "C" NOT NULL,
    token            uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    frame            text COLLATE "C",
    job              bigint,
    state            text COLLATE "C" NOT NULL DEFAULT 'planned'
                     CHECK (state IN ('planned', 'requested', 'uncertain', 'queued', 'ringing', 'in-progress',
                                      'completed', 'busy', 'failed', 'no-answer', 'canceled')),
    sid              text COLLATE "C" UNIQUE,
    stray_sids       text[] COLLATE "C" NOT NULL DEFAULT '{}',
    answered_by      text COLLATE "C",
    sequence         integer,
    request          text COLLATE "C",
    page             text COLLATE "C",
    placings         integer NOT NULL DEFAULT 0,
    looks            integer NOT NULL DEFAULT 0,
    failures         integer NOT NULL DEFAULT 0,
    turn             integer NOT NULL DEFAULT 0,
    acknowledged     boolean NOT NULL DEFAULT false,
    recording_sid    text COLLATE "C",
    recording        bytea,
    listen_job       bigint,
    transcript       text COLLATE "C",
    delete_recording boolean NOT NULL DEFAULT false,
    due_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    give_up_at       timestamptz,
    requested_at     timestamptz,
    uncertain_since  timestamptz,
    answered_at      timestamptz,
    ended_at         timestamptz,
    successor_at     timestamptz,
    outcome          text COLLATE "C",
    detail           text COLLATE "C",
    finished_at      timestamptz,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX voice_calls_live ON voice_calls (command, purpose) WHERE finished_at IS NULL;
CREATE INDEX voice_calls_line ON voice_calls (tenant, to_number) WHERE finished_at IS NULL;
CREATE INDEX voice_calls_command ON voice_calls (command);
COMMENT ON TABLE voice_calls IS 'telephone calls that were placed for commands, from before the request on';
COMMENT ON COLUMN voice_calls.purpose IS 'command: to the agent; escalation: to the person who must act';
COMMENT ON COLUMN voice_calls.token IS 'names the call in the URLs of its webhooks';
COMMENT ON COLUMN voice_calls.frame IS 'what it plays; when the command has another one, or is settled, the call is of no use';
COMMENT ON COLUMN voice_calls.job IS 'the job of kind "call" that drives it';
COMMENT ON COLUMN voice_calls.state IS
    'planned; requested: the request is under way; uncertain: it is not known whether there is a call; then as Twilio says';
COMMENT ON COLUMN voice_calls.sid IS 'Twilio''s name of it';
COMMENT ON COLUMN voice_calls.stray_sids IS 'calls that were placed beside it, unknown to us at the time, and are to be ended';
COMMENT ON COLUMN voice_calls.sequence IS 'SequenceNumber of the last status callback that counted';
COMMENT ON COLUMN voice_calls.request IS 'what Twilio is being asked; left behind by a worker that died, it says what is not known';
COMMENT ON COLUMN voice_calls.page IS 'where the list of calls goes on';
COMMENT ON COLUMN voice_calls.placings IS 'requests to place it that were sent';
COMMENT ON COLUMN voice_calls.looks IS 'times that the list of calls was read and it was not in it';
COMMENT ON COLUMN voice_calls.failures IS 'requests in a row that failed';
COMMENT ON COLUMN voice_calls.turn IS 'number of the last gathering of digits in its TwiML';
COMMENT ON COLUMN voice_calls.acknowledged IS 'its acknowledgement settled the command';
COMMENT ON COLUMN voice_calls.recording IS 'WAV file that is being transcribed, then null';
COMMENT ON COLUMN voice_calls.delete_recording IS 'the recording is to be deleted at Twilio';
COMMENT ON COLUMN voice_calls.give_up_at IS
    'when no more is tried to place it; later, until when the transcript of its recording is waited for';
COMMENT ON COLUMN voice_calls.successor_at IS 'another call was asked for while this one was under way, and is placed after it';
COMMENT ON COLUMN voice_calls.outcome IS
    'what it brought, once it is finished: acknowledged, delivered, no acknowledgement, machine, spoken confirmation, challenged (the '
    'next call answers), refused, superseded, or as Twilio says';
COMMENT ON COLUMN voice_calls.finished_at IS 'when that was known: after the end of the call, because recordings come late';
SELECT pg_catalog.pg_extension_config_dump('voice_calls', '');

-- The telephone.

-- Webhooks that were answered.  Twilio's signature has no nonce: what comes twice gets the same answer.
CREATE TABLE webhook_answers (
    voice_call   bigint NOT NULL,
    key          text COLLATE "C" NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    status       integer NOT NULL,
    content_type text COLLATE "C" NOT NULL,
    body         text COLLATE "C" NOT NULL,
    PRIMARY KEY (voice_call, key)
);
CREATE INDEX webhook_answers_at ON webhook_answers (at);
COMMENT ON TABLE webhook_answers IS 'what webhooks were answered, for a day, so that a replay gets the same';
COMMENT ON COLUMN webhook_answers.key IS
    'I-Twilio-Idempotency-Token, and what the webhook itself says that is not repeated: path with step, or event with SequenceNumber';
SELECT pg_catalog.pg_extension_config_dump('webhook_answers', '');

CREATE TABLE escalation_contacts (
    tenant     uuid PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    phone      text COLLATE "C",
    endpoint   text COLLATE "C",
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (phone IS NOT NULL OR endpoint IS NOT NULL)
);
COMMENT ON TABLE escalation_contacts IS 'who is told when a command reached nobody';
COMMENT ON COLUMN escalation_contacts.phone IS 'E.164 number that is called and told';
COMMENT ON COLUMN escalation_contacts.endpoint IS 'name of an endpoint of kind json that is sent a report';
SELECT pg_catalog.pg_extension_config_dump('escalation_contacts', '');
