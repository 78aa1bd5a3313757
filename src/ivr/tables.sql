-- Whom callers reach and what they hear: the settings of tenants, their numbers, and the calls that came in.

CREATE TABLE telephony_versions (
    tenant     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    version    integer NOT NULL CHECK (version > 0),
    settings   jsonb NOT NULL CHECK (jsonb_typeof(settings) = 'object'),
    role       text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, version)
);
COMMENT ON TABLE telephony_versions IS
    'telephony settings of tenants: the highest version is the one that holds, earlier ones are those that calls ran under';
COMMENT ON COLUMN telephony_versions.settings IS 'what set_telephony() was given, checked';
COMMENT ON COLUMN telephony_versions.role IS 'who wrote it';
SELECT pg_catalog.pg_extension_config_dump('telephony_versions', '');

CREATE TABLE phone_numbers (
    number     text COLLATE "C" NOT NULL,
    tenant     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (number, tenant)
);
CREATE INDEX phone_numbers_tenant ON phone_numbers (tenant);
COMMENT ON TABLE phone_numbers IS
    'the numbers of tenants, as the version of their settings that holds says. Several may name one: a call is the first one''s whose '
    'account signs it';
COMMENT ON COLUMN phone_numbers.number IS 'E.164';
SELECT pg_catalog.pg_extension_config_dump('phone_numbers', '');

CREATE TABLE inbound_calls (
    id         bigint PRIMARY KEY DEFAULT nextval('voice_call_id'),
    tenant     uuid NOT NULL REFERENCES tenants (id),
    sid        text COLLATE "C" NOT NULL,
    token      uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    number     text COLLATE "C" NOT NULL,
    caller     text COLLATE "C",
    version    integer NOT NULL,
    place      jsonb NOT NULL CHECK (jsonb_typeof(place) = 'object'),
    turn       integer NOT NULL DEFAULT 0,
    consent    boolean,
    recorded   boolean NOT NULL DEFAULT false,
    recordings text[] COLLATE "C" NOT NULL DEFAULT '{}',
    transcript text COLLATE "C",
    state      text COLLATE "C" NOT NULL DEFAULT 'in-progress'
               CHECK (state IN ('queued', 'ringing', 'in-progress', 'completed', 'busy', 'failed', 'no-answer', 'canceled')),
    sequence   integer,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    UNIQUE (tenant, sid),
    FOREIGN KEY (tenant, version) REFERENCES telephony_versions (tenant, version)
);
CREATE INDEX inbound_calls_created ON inbound_calls (tenant, created_at);
CREATE INDEX inbound_calls_version ON inbound_calls (tenant, version);
COMMENT ON TABLE inbound_calls IS 'telephone calls that came in, and how far each has come';
COMMENT ON COLUMN inbound_calls.id IS 'of the same sequence as voice_calls.id, because webhook_answers has both';
COMMENT ON COLUMN inbound_calls.sid IS 'Twilio''s name of it; what is heard in it is the call of that call_id';
COMMENT ON COLUMN inbound_calls.token IS 'names the call in the URLs of its webhooks';
COMMENT ON COLUMN inbound_calls.number IS 'the number that was called';
COMMENT ON COLUMN inbound_calls.caller IS 'who calls, as Twilio says it: E.164, client:, sip:, or anonymous';
COMMENT ON COLUMN inbound_calls.version IS 'of the settings that held when it began';
COMMENT ON COLUMN inbound_calls.place IS
    'where the caller is: {"node": "begin", "consent", "menu", "agent", "transfer", "record" or "over", "menu", "misses"}';
COMMENT ON COLUMN inbound_calls.turn IS 'number of the webhook that is next in its turn';
COMMENT ON COLUMN inbound_calls.consent IS 'what the caller said to the question; null: it was not asked, or not answered';
COMMENT ON COLUMN inbound_calls.recorded IS 'the whole call is recorded';
COMMENT ON COLUMN inbound_calls.recordings IS 'Twilio''s names of recordings that are there';
COMMENT ON COLUMN inbound_calls.transcript IS 'what Twilio transcribed';
COMMENT ON COLUMN inbound_calls.state IS 'as Twilio says';
COMMENT ON COLUMN inbound_calls.sequence IS 'SequenceNumber of the last status callback that counted';
SELECT pg_catalog.pg_extension_config_dump('inbound_calls', '');

CREATE TABLE emergencies (
    tenant   uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    call_id  text COLLATE "C" NOT NULL,
    phrase   text COLLATE "C" NOT NULL,
    language text COLLATE "C",
    source   text COLLATE "C" NOT NULL CHECK (source IN ('segment', 'partial', 'transcript', 'key')),
    track    text COLLATE "C",
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, call_id, phrase)
);
COMMENT ON TABLE emergencies IS 'what was taken for an emergency in calls, once for each call and phrase';
COMMENT ON COLUMN emergencies.call_id IS 'calls.call_id, or inbound_calls.sid';
COMMENT ON COLUMN emergencies.phrase IS 'as the list of words has it, or the key of a menu';
COMMENT ON COLUMN emergencies.source IS
    'where it was found: what is stored of a call, what was heard so far, what Twilio transcribed, a key';
SELECT pg_catalog.pg_extension_config_dump('emergencies', '');

CREATE INDEX inbound_calls_agent ON inbound_calls (tenant) WHERE place->>'node' = 'agent' AND ended_at IS NULL;

CREATE TABLE media_sessions (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    inbound  bigint NOT NULL REFERENCES inbound_calls (id) ON DELETE CASCADE,
    turn     integer NOT NULL,
    tenant   uuid NOT NULL,
    call_id  text COLLATE "C" NOT NULL,
    peer     text COLLATE "C" NOT NULL,
    encoding text COLLATE "C" NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    reason   text COLLATE "C",
    figures  jsonb,
    UNIQUE (inbound, turn)
);
CREATE INDEX media_sessions_begun ON media_sessions (tenant, begun_at);
CREATE INDEX media_sessions_open ON media_sessions (begun_at) WHERE ended_at IS NULL;
CREATE INDEX media_sessions_call ON media_sessions (tenant, call_id);
COMMENT ON TABLE media_sessions IS 'audio that a call that came in had with us, both ways: one for each time that it came to the agent';
COMMENT ON COLUMN media_sessions.turn IS 'inbound_calls.turn when it began: the token of a call opens one for each';
COMMENT ON COLUMN media_sessions.call_id IS
    'of the call that has its audio, where that is kept: the sid of the call, and from the second on its turn behind it';
COMMENT ON COLUMN media_sessions.peer IS 'who speaks to us: twilio, asterisk, audiosocket, jambonz';
COMMENT ON COLUMN media_sessions.encoding IS 'of the audio, both ways, with 8000 samples a second';
COMMENT ON COLUMN media_sessions.reason IS 'why it ended; null: it has not, or nobody could say so';
COMMENT ON COLUMN media_sessions.figures IS 'what went through it, as the gateway counted';
SELECT pg_catalog.pg_extension_config_dump('media_sessions', '');
SELECT pg_catalog.pg_extension_config_dump('media_sessions_id_seq', '');

CREATE TABLE prompts (
    tenant     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    digest     bytea NOT NULL,
    text       text COLLATE "C" NOT NULL,
    audio      bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, digest)
);
COMMENT ON TABLE prompts IS 'how sentences of tenants sound, where a call is spoken to as a stream';
COMMENT ON COLUMN prompts.digest IS 'SHA-256 of the text in UTF-8';
COMMENT ON COLUMN prompts.audio IS 'mu-law, 8000 samples a second';
SELECT pg_catalog.pg_extension_config_dump('prompts', '');
