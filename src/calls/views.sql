CREATE OR REPLACE VIEW mulberry.call_status WITH (security_barrier) AS
    SELECT t.name AS tenant,
           c.call_id,
           c.state,
           c.encoding,
           c.sample_rate,
           next.sequence - c.missing_count AS total_packets_received,
           next.sequence AS expected_next_sequence,
           c.expected_total_packets,
           c.missing_count + tail.missing AS missing_count,
           (SELECT coalesce(range_agg(int4range(g.first, g.last, '[]')), '{}')
              FROM gaps g
             WHERE g.call = c.id)
           + CASE WHEN tail.missing > 0
                  THEN int4multirange(int4range(next.sequence::integer, c.expected_total_packets))
                  ELSE '{}' END AS missing_sequences,
           ARRAY(SELECT s.sequence
                   FROM ((SELECT generate_series(g.first, g.last) AS sequence
                            FROM gaps g
                           WHERE g.call = c.id
                           ORDER BY g.first
                           LIMIT 100)
                         UNION ALL
                         SELECT generate_series(next.sequence::integer, next.sequence::integer
                                                + least(tail.missing, 100)::integer - 1)) AS s
                  ORDER BY s.sequence
                  LIMIT 100) AS first_missing_sequences,
           greatest(next.sequence - c.expected_total_packets, 0) AS extra_packets,
           next.received_at AS last_packet_at,
           c.created_at,
           c.updated_at,
           c.completed_at,
           c.grace_until,
           c.finished_at,
           c.transcription,
           c.sentiment,
           c.confidence,
           c.ai_result,
           c.failure_reason
      FROM calls c
      JOIN tenants t ON t.id = c.tenant
           CROSS JOIN LATERAL (
               SELECT coalesce(max(l.sequence) + 1, 0)::bigint AS sequence, max(l.received_at) AS received_at
                 FROM (SELECT p.sequence, p.received_at
                         FROM packets p
                        WHERE p.call = c.id
                        ORDER BY p.sequence DESC
                        LIMIT 1) AS l) AS next
           CROSS JOIN LATERAL (
               SELECT greatest(c.expected_total_packets - next.sequence, 0) AS missing) AS tail
     WHERE c.tenant = ANY ((SELECT current_tenants(true, 'ingest', 'supervisor', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.call_status IS 'the calls of the current role''s tenants, and what each has received';
COMMENT ON COLUMN mulberry.call_status.total_packets_received IS 'packets stored; doubled ones count once';
COMMENT ON COLUMN mulberry.call_status.expected_next_sequence IS 'one more than the largest sequence received';
COMMENT ON COLUMN mulberry.call_status.missing_count IS
    'sequences that have not arrived: gaps, and announced packets behind the last one received';
COMMENT ON COLUMN mulberry.call_status.missing_sequences IS 'all of them';
COMMENT ON COLUMN mulberry.call_status.first_missing_sequences IS 'the first 100 of them, one by one';
COMMENT ON COLUMN mulberry.call_status.extra_packets IS 'how far the call went beyond expected_total_packets; null: no total was announced';
COMMENT ON COLUMN mulberry.call_status.last_packet_at IS 'when the packet with the largest sequence arrived';

CREATE OR REPLACE VIEW mulberry.call_packets WITH (security_barrier) AS
    SELECT t.name AS tenant, c.call_id, p.sequence, p.sent_at, p.received_at, length(p.data) AS size, p.data
      FROM calls c
      JOIN tenants t ON t.id = c.tenant
      JOIN packets p ON p.call = c.id
     WHERE c.tenant = ANY ((SELECT current_tenants(true, 'supervisor'))::uuid[]);
COMMENT ON VIEW mulberry.call_packets IS 'the packets of the calls of the current role''s tenants, as they arrived';
COMMENT ON COLUMN mulberry.call_packets.size IS 'bytes of data';

CREATE OR REPLACE FUNCTION mulberry.call_audio(call_id text, tenant text DEFAULT NULL) RETURNS bytea
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_call_audio';
COMMENT ON FUNCTION mulberry.call_audio(text, text) IS
    'a call as a WAV file (16-bit PCM at the call''s rate); each missing packet is silence of the call''s usual packet length, at most '
    '60 s for a run of them. All silence together is at most a minute and four times the audio: where there are more gaps, the end that '
    'never came is cut, then the longest of them. call_gaps() lists where they lie';

CREATE OR REPLACE FUNCTION mulberry.call_gaps(call_id text, tenant text DEFAULT NULL)
RETURNS TABLE (first integer, last integer, packets bigint, start_ms bigint, duration_ms bigint)
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_call_gaps';
COMMENT ON FUNCTION mulberry.call_gaps(text, text) IS
    'runs of missing sequences of a call (both ends included), and where call_audio() has silence for them; times are null for a call of '
    'encoding text';

CREATE OR REPLACE FUNCTION mulberry.call_dtmf(call_id text, tenant text DEFAULT NULL, floor_dbm0 real DEFAULT NULL)
RETURNS TABLE (digit text, start_ms bigint, duration_ms bigint, level_dbm0 real, twist_db real)
LANGUAGE c STABLE PARALLEL RESTRICTED COST 10000 ROWS 20 AS 'MODULE_PATHNAME', 'mulberry_call_dtmf';
COMMENT ON FUNCTION mulberry.call_dtmf(text, text, real) IS
    'the DTMF digits in a call, as dtmf_detect() tells them; times are those of call_audio(), so a missing packet is silence';
