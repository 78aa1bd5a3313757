CREATE OR REPLACE FUNCTION mulberry.ingest_packet(
    call_id        text,
    sequence       bigint,
    data           bytea,
    sent_at        timestamptz DEFAULT NULL,
    encoding       text DEFAULT NULL,
    sample_rate    integer DEFAULT NULL,
    tenant         text DEFAULT NULL,
    track          text DEFAULT NULL,
    counter_bits   integer DEFAULT NULL,
    first_sequence bigint DEFAULT NULL
) RETURNS packet_result
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_ingest_packet';
COMMENT ON FUNCTION mulberry.ingest_packet(text, bigint, bytea, timestamptz, text, integer, text, text, integer, bigint) IS
    'takes one packet of a track of a call; both begin with their first packet. track null: the call''s first. Encoding and sample rate '
    'null: the track''s, for a new track the call''s, for a new call its tenant''s default. first_sequence is what the sender begins to '
    'count at (null: 0). A counter of 16 or 32 counter_bits begins anywhere and wraps: each number is taken for the one nearest to the '
    'expected one, and answers and views tell it unwrapped';

CREATE OR REPLACE FUNCTION mulberry.ingest_packets(
    call_ids       text[],
    sequences      bigint[],
    data           bytea[],
    sent_at        timestamptz[] DEFAULT NULL,
    encoding       text DEFAULT NULL,
    sample_rate    integer DEFAULT NULL,
    tenant         text DEFAULT NULL,
    tracks         text[] DEFAULT NULL,
    counter_bits   integer DEFAULT NULL
) RETURNS SETOF batch_result
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 50 AS 'MODULE_PATHNAME', 'mulberry_ingest_packets';
COMMENT ON FUNCTION mulberry.ingest_packets(text[], bigint[], bytea[], timestamptz[], text, integer, text, text[], integer) IS
    'takes packets of several calls; one row each, in the order of the arrays. tracks has one element for each, or one for all. A track''s '
    'packets are taken by sequence, those of a counter in the order of the arrays. A bad packet is a row with status error, a malformed '
    'array fails the batch';

CREATE OR REPLACE FUNCTION ingest_packets_of(
    call_ids text[], sequences bigint[], data bytea[], sent_at timestamptz[], encoding text, sample_rate integer, owner uuid,
    tracks text[] DEFAULT NULL, counter_bits integer DEFAULT NULL
) RETURNS SETOF batch_result
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 50 AS 'MODULE_PATHNAME', 'mulberry_ingest_packets_of';
COMMENT ON FUNCTION ingest_packets_of(text[], bigint[], bytea[], timestamptz[], text, integer, uuid, text[], integer) IS
    'ingest_packets() for a tenant by its id: whoever calls it has looked who asks (internal)';

CREATE OR REPLACE FUNCTION complete_call_of(call_id text, total_packets integer, owner uuid, track text, totals jsonb)
RETURNS completion_result
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_complete_call_of';
COMMENT ON FUNCTION complete_call_of(text, integer, uuid, text, jsonb) IS
    'complete_call() for a tenant by its id: whoever calls it has looked who asks (internal)';

CREATE OR REPLACE FUNCTION mulberry.complete_call(
    call_id        text,
    total_packets  integer DEFAULT NULL,
    tenant         text DEFAULT NULL,
    track          text DEFAULT NULL,
    totals         jsonb DEFAULT NULL
) RETURNS completion_result
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_complete_call';
COMMENT ON FUNCTION mulberry.complete_call(text, integer, text, text, jsonb) IS
    'the sender has sent everything in a track (null: the first), or in those that totals names with their numbers, {"caller": 1200, '
    '"agent": 0}. When all tracks are complete the call is COMPLETED and transcribed after mulberry.grace_period, at once when nothing is '
    'missing. Said again with the same total it answers the same';
