-- Conversations of callers with a tenant's agent: what they were conducted by, what went into the turn engine, and its turns.

CREATE TABLE conversation_versions (
    tenant     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    version    integer NOT NULL CHECK (version > 0),
    settings   jsonb NOT NULL CHECK (jsonb_typeof(settings) = 'object'),
    role       text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    owners     jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(owners) = 'object'),
    PRIMARY KEY (tenant, version)
);
COMMENT ON TABLE conversation_versions IS
    'settings of tenants for conversations: the highest version is the one that holds, earlier ones are those that calls ran under';
COMMENT ON COLUMN conversation_versions.settings IS 'what set_conversation() was given, checked';
COMMENT ON COLUMN conversation_versions.role IS 'who wrote it';
COMMENT ON COLUMN conversation_versions.owners IS
    'whose the functions were that it names: one of the same name that is somebody else''s is not called';
SELECT pg_catalog.pg_extension_config_dump('conversation_versions', '');

CREATE SEQUENCE conversation_id;
COMMENT ON SEQUENCE conversation_id IS 'conversations.id';
SELECT pg_catalog.pg_extension_config_dump('conversation_id', '');

CREATE TABLE conversations (
    id         bigint PRIMARY KEY DEFAULT nextval('conversation_id'),
    tenant     uuid NOT NULL REFERENCES tenants (id),
    call_id    text COLLATE "C" NOT NULL CHECK (octet_length(call_id) BETWEEN 1 AND 128),
    version    integer,
    numbers    integer[] NOT NULL,
    lists      text[] COLLATE "C" NOT NULL,
    line       boolean[] NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    reason     text COLLATE "C",
    UNIQUE (tenant, call_id)
);
CREATE INDEX conversations_started ON conversations (tenant, started_at);
CREATE INDEX conversations_open ON conversations (started_at) WHERE ended_at IS NULL;
COMMENT ON TABLE conversations IS 'conversations with agents, one a call; what is heard in it is the call of that name';
COMMENT ON COLUMN conversations.version IS 'of the settings of its tenant that held when it began; null: it had none';
COMMENT ON COLUMN conversations.numbers IS 'what the turn engine was given, in the order of turn_numbers(), so that a replay has the same';
COMMENT ON COLUMN conversations.lists IS 'its lists of phrases, in the order of turn_lists(), one a line';
COMMENT ON COLUMN conversations.line IS 'what the peer can: clear, pause, marks, marks that tell, exact queue, paced by us';
COMMENT ON COLUMN conversations.reason IS 'why it ended, as the turn engine says; lost: its gateway was gone';
SELECT pg_catalog.pg_extension_config_dump('conversations', '');

CREATE TABLE turn_log (
    conversation bigint NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    number       integer NOT NULL CHECK (number >= 0),
    record       bytea NOT NULL CHECK (octet_length(record) BETWEEN 1 AND 3072),
    PRIMARY KEY (conversation, number)
);
COMMENT ON TABLE turn_log IS 'the inputs of turn engines, about a row a second, from which their decisions follow';
COMMENT ON COLUMN turn_log.number IS 'their order';
COMMENT ON COLUMN turn_log.record IS 'in the form of core/conversation/turn_log.h';
SELECT pg_catalog.pg_extension_config_dump('turn_log', '');

-- The times are ms of the session, null when it did not happen.
CREATE TABLE conversation_turns (
    conversation       bigint NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    turn               integer NOT NULL,
    onset_ms           integer NOT NULL,
    speech_end_ms      integer,
    final_text_ms      integer,
    asked_ms           integer,
    committed_ms       integer,
    first_piece_ms     integer,
    first_sent_ms      integer,
    interrupt_onset_ms integer,
    interrupted_ms     integer,
    reply_end_ms       integer,
    text_class         text COLLATE "C" NOT NULL,
    interrupt_reason   text COLLATE "C",
    speculations       integer NOT NULL,
    reopened           integer NOT NULL,
    cut_offs           integer NOT NULL,
    pauses             integer NOT NULL,
    false_pauses       integer NOT NULL,
    backchannels       integer NOT NULL,
    filler             boolean NOT NULL,
    apology            boolean NOT NULL,
    said               text COLLATE "C" NOT NULL,
    heard              text COLLATE "C" NOT NULL,
    heard_cut          boolean NOT NULL,
    fallbacks          integer NOT NULL DEFAULT 0,
    whole_utterances   integer NOT NULL DEFAULT 0,
    hedges             integer NOT NULL DEFAULT 0,
    hedges_won         integer NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation, turn)
);
COMMENT ON TABLE conversation_turns IS
    'turns of callers in conversations that are over, each with the reply to it; times are ms of the session';
COMMENT ON COLUMN conversation_turns.onset_ms IS 'the caller began to speak';
COMMENT ON COLUMN conversation_turns.speech_end_ms IS 'his last frame of speech';
COMMENT ON COLUMN conversation_turns.final_text_ms IS 'the last final text of the recogniser before the reply';
COMMENT ON COLUMN conversation_turns.asked_ms IS 'the reply that was said was asked for, perhaps before the turn was over';
COMMENT ON COLUMN conversation_turns.committed_ms IS 'the turn was taken to be over';
COMMENT ON COLUMN conversation_turns.first_piece_ms IS 'the first piece of the reply had its text and audio';
COMMENT ON COLUMN conversation_turns.first_sent_ms IS 'its first frame was sent';
COMMENT ON COLUMN conversation_turns.interrupt_onset_ms IS 'the speech began that interrupted it';
COMMENT ON COLUMN conversation_turns.interrupted_ms IS 'and was taken to be an interruption';
COMMENT ON COLUMN conversation_turns.reply_end_ms IS 'its sound ended, where it was cut too; or it was given up before it was heard';
COMMENT ON COLUMN conversation_turns.text_class IS 'how what was said ended, which says how long was waited';
COMMENT ON COLUMN conversation_turns.reopened IS 'times that it went on after it had been taken to be over';
COMMENT ON COLUMN conversation_turns.cut_offs IS 'of them after the reply had begun';
COMMENT ON COLUMN conversation_turns.false_pauses IS 'pauses of the agent that were for nothing';
COMMENT ON COLUMN conversation_turns.heard IS 'of the reply, to the last whole word';
COMMENT ON COLUMN conversation_turns.heard_cut IS 'it was not heard to its end';
COMMENT ON COLUMN conversation_turns.fallbacks IS 'times in it that a service failed, and another one, or another form of it, was asked';
COMMENT ON COLUMN conversation_turns.whole_utterances IS 'times that what was said went to a service as a whole, for want of a stream';
COMMENT ON COLUMN conversation_turns.hedges IS 'times that a service had not begun to answer, so that another one was asked as well';
COMMENT ON COLUMN conversation_turns.hedges_won IS 'of them, those in which the other one answered first';
SELECT pg_catalog.pg_extension_config_dump('conversation_turns', '');

CREATE TABLE conversation_lines (
    conversation bigint NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    number       integer NOT NULL CHECK (number BETWEEN 0 AND 200001),
    speaker      text COLLATE "C" NOT NULL CHECK (speaker IN ('caller', 'agent', 'supervisor')),
    text         text COLLATE "C" NOT NULL,
    cut          boolean NOT NULL DEFAULT false,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (conversation, number)
);
COMMENT ON TABLE conversation_lines IS 'what was said in a conversation, in its order, as far as it was heard: the agent''s memory of it';
COMMENT ON COLUMN conversation_lines.speaker IS 'supervisor: a word to the agent that the caller does not hear';
COMMENT ON COLUMN conversation_lines.cut IS 'the caller interrupted it: what was not heard is not in it';
SELECT pg_catalog.pg_extension_config_dump('conversation_lines', '');

CREATE TABLE conversation_attributes (
    conversation bigint NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    name         text COLLATE "C" NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 63),
    value        text COLLATE "C" NOT NULL CHECK (octet_length(value) <= 1000),
    PRIMARY KEY (conversation, name)
);
COMMENT ON TABLE conversation_attributes IS 'what the tenant''s replies have noted of a conversation, and digits that a caller has entered';
SELECT pg_catalog.pg_extension_config_dump('conversation_attributes', '');

CREATE TABLE speech_cache (
    tenant  uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    digest  bytea NOT NULL CHECK (octet_length(digest) = 32),
    audio   bytea NOT NULL CHECK (octet_length(audio) BETWEEN 1 AND 960000),
    used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    words   integer[] CHECK (cardinality(words) BETWEEN 2 AND 128),
    PRIMARY KEY (tenant, digest)
);
CREATE INDEX speech_cache_used ON speech_cache (tenant, used_at);
COMMENT ON TABLE speech_cache IS 'sentences of agents as they sound, mu-law with 8000 samples a second; made anew when they are gone';
COMMENT ON COLUMN speech_cache.digest IS 'SHA-256 of voice and text';
COMMENT ON COLUMN speech_cache.used_at IS 'about when it was said last';
COMMENT ON COLUMN speech_cache.words IS 'of each word, where it ends in the text, in bytes, and when it is over, in ms; null: who spoke did not tell';
SELECT pg_catalog.pg_extension_config_dump('speech_cache', 'WHERE false');

CREATE SEQUENCE call_order_id;
COMMENT ON SEQUENCE call_order_id IS 'call_orders.id';
SELECT pg_catalog.pg_extension_config_dump('call_order_id', '');

CREATE TABLE call_orders (
    id           bigint PRIMARY KEY DEFAULT nextval('call_order_id'),
    conversation bigint NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    session      bigint NOT NULL,
    kind         text COLLATE "C" NOT NULL CHECK (kind IN ('say', 'leave')),
    text         text COLLATE "C" NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX call_orders_conversation ON call_orders (conversation, id);
COMMENT ON TABLE call_orders IS
    'what supervisors want of calls that are under way, for the gateway that has the call; an order is good for a minute';
COMMENT ON COLUMN call_orders.session IS 'media_sessions.id: who goes on as another stream is not meant';
COMMENT ON COLUMN call_orders.kind IS 'say: a sentence to the caller; leave: the stream ends, and the call goes on as its row says';
COMMENT ON COLUMN call_orders.text IS 'the sentence, or why the stream ends';
SELECT pg_catalog.pg_extension_config_dump('call_orders', '');
