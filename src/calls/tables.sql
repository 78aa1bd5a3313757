-- The number in the low 40 bits of a call's id; see calls.id.
CREATE SEQUENCE call_number MAXVALUE 1099511627775 CYCLE;
COMMENT ON SEQUENCE call_number IS 'low 40 bits of calls.id';
SELECT pg_catalog.pg_extension_config_dump('call_number', '');

CREATE TABLE calls (
    id                     bigint PRIMARY KEY,
    tenant                 uuid NOT NULL REFERENCES tenants (id),
    call_id                text COLLATE "C" NOT NULL CHECK (octet_length(call_id) BETWEEN 1 AND 128),
    state                  text COLLATE "C" NOT NULL DEFAULT 'IN_PROGRESS'
                           CHECK (state IN ('IN_PROGRESS', 'COMPLETED', 'PROCESSING_AI', 'ARCHIVED', 'FAILED')),
    encoding               text COLLATE "C" NOT NULL CHECK (encoding IN ('mulaw', 'alaw', 's16le', 'text')),
    sample_rate            integer NOT NULL CHECK (sample_rate IN (8000, 16000, 44100, 48000)),
    expected_total_packets integer CHECK (expected_total_packets >= 0),
    missing_count          bigint NOT NULL DEFAULT 0 CHECK (missing_count >= 0),
    first_sequence         bigint DEFAULT 0 CHECK (first_sequence BETWEEN 0 AND 4294967295),
    counter_bits           smallint CHECK (counter_bits IN (16, 32)),
    tracks_named           boolean NOT NULL DEFAULT false,
    track                  text COLLATE "C" NOT NULL DEFAULT 'main' CHECK (octet_length(track) BETWEEN 1 AND 64),
    created_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at           timestamptz,
    grace_until            timestamptz,
    finished_at            timestamptz,
    transcription          text COLLATE "C",
    sentiment              text COLLATE "C" CHECK (sentiment IN ('positive', 'neutral', 'negative')),
    confidence             double precision CHECK (confidence BETWEEN 0 AND 1),
    ai_result              jsonb,
    failure_reason         text COLLATE "C",
    started_at             timestamptz,
    UNIQUE (tenant, call_id),
    CHECK (first_sequence IS NOT NULL OR counter_bits IS NOT NULL)
) WITH (fillfactor = 70);
COMMENT ON TABLE calls IS 'one row a call; a packet in order does not touch it';
COMMENT ON COLUMN calls.id IS
    'UTC day the call began (days since 1970-01-01) << 40 | call_number: names the partition of its packets; never leaves the server';
COMMENT ON COLUMN calls.missing_count IS 'how many sequences lie in the gaps of this call; changes with them, under the call lock';
COMMENT ON COLUMN calls.first_sequence IS
    'the sender''s number for packets.sequence 0 of the first track; null: a counter whose first packet says it';
COMMENT ON COLUMN calls.counter_bits IS 'the sender counts in so many bits and begins at 0 again; null: its numbers do not wrap';
COMMENT ON COLUMN calls.tracks_named IS 'begin_call() said which tracks there are';
COMMENT ON COLUMN calls.track IS
    'name of the first track, whose encoding, sample_rate, total, missing_count and sequences are in this row; the others are in tracks';
COMMENT ON COLUMN calls.started_at IS 'when it began as begin_call() says; null: nobody said it, so when its first packet came';
COMMENT ON COLUMN calls.ai_result IS
    'what the engines said beyond text and sentiment, and what was missing when they were asked: {"missing_packets", "missing_ranges", '
    '"endpoint", "model", "attempts", ...}';
SELECT pg_catalog.pg_extension_config_dump('calls', '');

-- "The calls of last Tuesday": every call has an entry, which a packet does not touch.
CREATE INDEX calls_started ON calls (tenant, coalesce(started_at, created_at));

-- Calls that silence may complete, and those that retention may take.
CREATE INDEX calls_in_progress ON calls (id) WHERE state = 'IN_PROGRESS';
CREATE INDEX calls_finished ON calls (tenant, finished_at) WHERE finished_at IS NOT NULL;
-- Those that metrics() counts each time.
CREATE INDEX calls_unfinished ON calls (tenant, state) WHERE finished_at IS NULL;

-- What the first track of a call has in the row of the call, so that a call with one track is one row.
CREATE TABLE tracks (
    call                   bigint NOT NULL,
    number                 smallint NOT NULL CHECK (number BETWEEN 1 AND 15),
    id                     bigint NOT NULL UNIQUE,
    name                   text COLLATE "C" NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 64),
    encoding               text COLLATE "C" NOT NULL CHECK (encoding IN ('mulaw', 'alaw', 's16le', 'text')),
    sample_rate            integer NOT NULL CHECK (sample_rate IN (8000, 16000, 44100, 48000)),
    expected_total_packets integer CHECK (expected_total_packets >= 0),
    missing_count          bigint NOT NULL DEFAULT 0 CHECK (missing_count >= 0),
    first_sequence         bigint DEFAULT 0 CHECK (first_sequence BETWEEN 0 AND 4294967295),
    counter_bits           smallint CHECK (counter_bits IN (16, 32)),
    updated_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (call, number),
    UNIQUE (call, name),
    CHECK (first_sequence IS NOT NULL OR counter_bits IS NOT NULL)
) WITH (fillfactor = 70);
COMMENT ON TABLE tracks IS 'tracks of calls beside the first, each with sequences of its own; changes under the lock of the call';
COMMENT ON COLUMN tracks.call IS 'calls.id';
COMMENT ON COLUMN tracks.number IS 'the first track, 0, is the row of the call';
COMMENT ON COLUMN tracks.id IS
    'names its packets and gaps as calls.id does those of the first track: of the same day as the call, with a call_number of its own';
SELECT pg_catalog.pg_extension_config_dump('tracks', '');

-- Beside calls, whose rows change with every state: metadata comes once or twice.
CREATE TABLE call_details (
    call        bigint PRIMARY KEY,
    tenant      uuid NOT NULL,
    direction   text COLLATE "C" CHECK (direction IN ('inbound', 'outbound', 'internal')),
    from_number text COLLATE "C" CHECK (octet_length(from_number) BETWEEN 1 AND 255),
    to_number   text COLLATE "C" CHECK (octet_length(to_number) BETWEEN 1 AND 255),
    attributes  jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    endpoint    text COLLATE "C" CHECK (octet_length(endpoint) BETWEEN 1 AND 255)
);
COMMENT ON TABLE call_details IS 'what begin_call() and describe_call() say of a call; no row: nothing';
COMMENT ON COLUMN call_details.from_number IS 'E.164, a SIP URI, or text as it came';
COMMENT ON COLUMN call_details.attributes IS 'whatever the sender wants to find calls by: {"queue": "sales"}';
COMMENT ON COLUMN call_details.endpoint IS 'which transcribes it; null: the first for the purpose that is there';
SELECT pg_catalog.pg_extension_config_dump('call_details', '');

CREATE INDEX call_details_from ON call_details (tenant, from_number) WHERE from_number IS NOT NULL;
CREATE INDEX call_details_to ON call_details (tenant, to_number) WHERE to_number IS NOT NULL;
CREATE INDEX call_details_attributes ON call_details USING gin (attributes jsonb_path_ops);

CREATE TABLE gaps (
    call  bigint NOT NULL,
    first integer NOT NULL CHECK (first >= 0),
    last  integer NOT NULL CHECK (last >= first),
    PRIMARY KEY (call, first)
) WITH (fillfactor = 70);
COMMENT ON TABLE gaps IS
    'sequences first..last (both included) of a track (call is calls.id or tracks.id) that have not arrived although a later one has';
SELECT pg_catalog.pg_extension_config_dump('gaps', '');

-- No key on the parent: each partition carries its own unique (call, sequence).
-- The partitions are made at run time and are no members of the extension, so
-- that dumps keep them.
CREATE TABLE packets (
    call        bigint NOT NULL,
    sequence    integer NOT NULL,
    sent_at     timestamptz,
    received_at timestamptz NOT NULL,
    data        bytea NOT NULL
) PARTITION BY RANGE (call);
ALTER TABLE packets ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE packets IS 'the audio as it arrived; one partition a UTC day of calls';
COMMENT ON COLUMN packets.call IS 'calls.id or tracks.id';
COMMENT ON COLUMN packets.sequence IS
    'counted from 0 whatever number the sender begins at: first_sequence is taken off, and counters are unwrapped';
SELECT pg_catalog.pg_extension_config_dump('packets', '');

CREATE TABLE segments (
    call                 bigint NOT NULL,
    track                smallint NOT NULL CHECK (track >= 0),
    number               integer NOT NULL CHECK (number >= 0),
    speaker              text COLLATE "C",
    start_ms             integer CHECK (start_ms >= 0),
    end_ms               integer CHECK (end_ms >= start_ms),
    text                 text COLLATE "C" NOT NULL,
    confidence           double precision CHECK (confidence BETWEEN 0 AND 1),
    sentiment            text COLLATE "C" CHECK (sentiment IN ('positive', 'neutral', 'negative')),
    sentiment_confidence double precision CHECK (sentiment_confidence BETWEEN 0 AND 1),
    words                jsonb CHECK (jsonb_typeof(words) = 'array'),
    PRIMARY KEY (call, track, number),
    CHECK ((start_ms IS NULL) = (end_ms IS NULL))
);
COMMENT ON TABLE segments IS 'what was said in a call, piece by piece, and when';
COMMENT ON COLUMN segments.track IS 'whose packets it was heard in: 0 is the first track';
COMMENT ON COLUMN segments.number IS 'from 0, in the order of what was said in the track';
COMMENT ON COLUMN segments.speaker IS 'as the engine tells speakers of one track apart; null: it does not';
COMMENT ON COLUMN segments.start_ms IS 'in the audio of the call; null: it is a text';
COMMENT ON COLUMN segments.words IS '[{"word", "start_ms", "end_ms", "confidence"}, ...]; null: the engine told none';
SELECT pg_catalog.pg_extension_config_dump('segments', '');

-- Apart from calls, whose rows stay small.
CREATE TABLE transcripts (
    call     bigint PRIMARY KEY,
    tenant   uuid NOT NULL,
    language text COLLATE "C" NOT NULL,
    search   tsvector NOT NULL
);
-- At once: what is searched is seconds old, and nobody waits for a list of pending entries.
CREATE INDEX transcripts_search ON transcripts USING gin (search) WITH (fastupdate = off);
CREATE INDEX transcripts_newest ON transcripts (tenant, language, call);
COMMENT ON TABLE transcripts IS 'what search_calls() looks in';
COMMENT ON COLUMN transcripts.language IS 'text search configuration that made search: the tenant''s, when the call was finished';
COMMENT ON COLUMN transcripts.search IS
    'the words of the transcript, what stands for pairs of them (search_pair()), and one that stands for tenant and language, so that the '
    'index finds what one tenant''s calls say';
SELECT pg_catalog.pg_extension_config_dump('transcripts', '');

CREATE TYPE mulberry.packet_result AS (
    status            text,
    message           text,
    call_id           text,
    sequence          bigint,
    total_received    bigint,
    missing_count     bigint,
    missing_sequences text,
    duplicate         boolean
);
COMMENT ON TYPE mulberry.packet_result IS 'answer to a packet: status is accepted, duplicate or rejected';
COMMENT ON COLUMN mulberry.packet_result.missing_count IS 'sequences below the largest one received that have not arrived';
COMMENT ON COLUMN mulberry.packet_result.missing_sequences IS 'the first 100 ranges of them, in the form of an int8multirange';

CREATE TYPE mulberry.batch_result AS (
    status            text,
    message           text,
    call_id           text,
    sequence          bigint,
    total_received    bigint,
    missing_count     bigint,
    missing_sequences text,
    duplicate         boolean,
    sqlstate          text,
    received_at       timestamptz
);
COMMENT ON TYPE mulberry.batch_result IS
    'answer to one packet of a batch: as packet_result, with the figures of its call after the whole batch; status is also error, and '
    'then sqlstate says which. received_at: when the packet came that is stored, which for a duplicate is the one before';

CREATE TYPE mulberry.completion_result AS (
    status                 text,
    message                text,
    call_id                text,
    expected_total_packets integer,
    total_received         bigint,
    missing_count          bigint,
    extra_packets          bigint
);
COMMENT ON TYPE mulberry.completion_result IS
    'answer to complete_call(): missing_count includes announced packets behind the last one received, extra_packets came beyond the total';

CREATE TYPE mulberry.call_summary AS (
    tenant       text,
    call_id      text,
    state        text,
    direction    text,
    from_number  text,
    to_number    text,
    attributes   jsonb,
    tracks       text[],
    started_at   timestamptz,
    completed_at timestamptz,
    finished_at  timestamptz,
    sentiment    text
);
COMMENT ON TYPE mulberry.call_summary IS 'a call that calls() found; more of it is in call_status';

CREATE TYPE mulberry.recording_track AS (
    track       text,
    encoding    text,
    sample_rate integer,
    packets     integer,
    duration_ms bigint
);
COMMENT ON TYPE mulberry.recording_track IS 'what ingest_recording() made of a channel';

CREATE TYPE mulberry.speech_segment AS (
    track      text,
    start_ms   bigint,
    end_ms     bigint,
    level_dbfs double precision
);
COMMENT ON TYPE mulberry.speech_segment IS
    'where somebody speaks, as call_speech() tells it; track is null for the only one that nobody named';
