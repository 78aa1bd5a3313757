CREATE OR REPLACE FUNCTION mulberry.ingest_packet(
    call_id     text,
    sequence    integer,
    data        bytea,
    sent_at     timestamptz DEFAULT NULL,
    encoding    text DEFAULT NULL,
    sample_rate integer DEFAULT NULL,
    tenant      text DEFAULT NULL
) RETURNS packet_result
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_ingest_packet';
COMMENT ON FUNCTION mulberry.ingest_packet(text, integer, bytea, timestamptz, text, integer, text) IS
    'takes one packet of a call, which begins with its first packet; encoding and sample rate null: the call''s, for a new call its '
    'tenant''s default';

CREATE OR REPLACE FUNCTION mulberry.ingest_packets(
    call_ids    text[],
    sequences   integer[],
    data        bytea[],
    sent_at     timestamptz[] DEFAULT NULL,
    encoding    text DEFAULT NULL,
    sample_rate integer DEFAULT NULL,
    tenant      text DEFAULT NULL
) RETURNS SETOF batch_result
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 50 AS 'MODULE_PATHNAME', 'mulberry_ingest_packets';
COMMENT ON FUNCTION mulberry.ingest_packets(text[], integer[], bytea[], timestamptz[], text, integer, text) IS
    'takes packets of several calls; one row each, in the order of the arrays. A call''s packets are taken by sequence. A bad packet is '
    'a row with status error, a malformed array fails the batch';

CREATE OR REPLACE FUNCTION mulberry.complete_call(call_id text, total_packets integer, tenant text DEFAULT NULL) RETURNS completion_result
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_complete_call';
COMMENT ON FUNCTION mulberry.complete_call(text, integer, text) IS
    'the sender has sent everything: the call is COMPLETED and transcribed after mulberry.grace_period, at once when nothing is missing. '
    'Said again with the same total it answers the same';
