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
    expected_total_packets integer CHECK (expected_total_packets > 0),
    missing_count          bigint NOT NULL DEFAULT 0 CHECK (missing_count >= 0),
    created_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at           timestamptz,
    grace_until            timestamptz,
    finished_at            timestamptz,
    transcription          text,
    sentiment              text CHECK (sentiment IN ('positive', 'neutral', 'negative')),
    confidence             double precision CHECK (confidence BETWEEN 0 AND 1),
    ai_result              jsonb,
    failure_reason         text,
    UNIQUE (tenant, call_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE calls IS 'one row a call; a packet in order does not touch it';
COMMENT ON COLUMN calls.id IS
    'UTC day the call began (days since 1970-01-01) << 40 | call_number: names the partition of its packets; never leaves the server';
COMMENT ON COLUMN calls.missing_count IS 'how many sequences lie in the gaps of this call; changes with them, under the call lock';
COMMENT ON COLUMN calls.ai_result IS
    'what the engines said beyond text and sentiment, and what was missing when they were asked: {"missing_packets", "missing_ranges", '
    '"endpoint", "model", "attempts", ...}';
SELECT pg_catalog.pg_extension_config_dump('calls', '');

-- Calls that silence may complete, and those that retention may take.
CREATE INDEX calls_in_progress ON calls (id) WHERE state = 'IN_PROGRESS';
CREATE INDEX calls_finished ON calls (tenant, finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE gaps (
    call  bigint NOT NULL,
    first integer NOT NULL CHECK (first >= 0),
    last  integer NOT NULL CHECK (last >= first),
    PRIMARY KEY (call, first)
) WITH (fillfactor = 70);
COMMENT ON TABLE gaps IS 'sequences first..last (both included) of a call that have not arrived although a later one has';
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
SELECT pg_catalog.pg_extension_config_dump('packets', '');

CREATE TYPE mulberry.packet_result AS (
    status            text,
    message           text,
    call_id           text,
    sequence          integer,
    total_received    bigint,
    missing_count     bigint,
    missing_sequences text,
    duplicate         boolean
);
COMMENT ON TYPE mulberry.packet_result IS 'answer to a packet: status is accepted, duplicate or rejected';
COMMENT ON COLUMN mulberry.packet_result.missing_count IS 'sequences below the largest one received that have not arrived';
COMMENT ON COLUMN mulberry.packet_result.missing_sequences IS 'the first 100 ranges of them, in the form of an int4multirange';

CREATE TYPE mulberry.batch_result AS (
    status            text,
    message           text,
    call_id           text,
    sequence          integer,
    total_received    bigint,
    missing_count     bigint,
    missing_sequences text,
    duplicate         boolean,
    sqlstate          text
);
COMMENT ON TYPE mulberry.batch_result IS
    'answer to one packet of a batch: as packet_result, with the figures of its call after the whole batch; status is also error, and '
    'then sqlstate says which';

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
