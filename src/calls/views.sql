-- Every track in the form of "tracks".
CREATE OR REPLACE VIEW all_tracks AS
    SELECT c.id AS call, 0::smallint AS number, c.id, c.track AS name, c.encoding, c.sample_rate, c.expected_total_packets,
           c.missing_count, coalesce(c.first_sequence, 0) AS first_sequence, c.counter_bits
      FROM calls c
    UNION ALL
    SELECT t.call, t.number, t.id, t.name, t.encoding, t.sample_rate, t.expected_total_packets,
           t.missing_count, coalesce(t.first_sequence, 0), t.counter_bits
      FROM tracks t;
COMMENT ON VIEW all_tracks IS 'every track of every call: the first, which is in calls, and those in tracks (internal)';

CREATE OR REPLACE VIEW mulberry.call_status WITH (security_barrier) AS
    SELECT t.name AS tenant,
           c.call_id,
           c.state,
           c.encoding,
           c.sample_rate,
           next.sequence - c.missing_count + others.received AS total_packets_received,
           next.sequence + coalesce(c.first_sequence, 0) AS expected_next_sequence,
           c.expected_total_packets,
           c.missing_count + tail.missing + others.missing AS missing_count,
           (SELECT coalesce(range_agg(int8range(c.first_sequence + g.first, c.first_sequence + g.last, '[]')), '{}')
              FROM gaps g
             WHERE g.call = c.id)
           + CASE WHEN tail.missing > 0
                  THEN int8multirange(int8range(coalesce(c.first_sequence, 0) + next.sequence,
                                                coalesce(c.first_sequence, 0) + c.expected_total_packets))
                  ELSE '{}' END AS missing_sequences,
           ARRAY(SELECT coalesce(c.first_sequence, 0) + s.sequence
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
           greatest(next.sequence - c.expected_total_packets, 0) + others.extra AS extra_packets,
           greatest(next.received_at, others.received_at) AS last_packet_at,
           c.created_at,
           c.updated_at,
           c.completed_at,
           c.grace_until,
           c.finished_at,
           c.transcription,
           c.sentiment,
           c.confidence,
           c.ai_result,
           c.failure_reason,
           coalesce(c.started_at, c.created_at) AS started_at,
           d.direction,
           CASE WHEN seen.numbers THEN d.from_number END AS from_number,
           CASE WHEN seen.numbers THEN d.to_number END AS to_number,
           CASE WHEN seen.numbers THEN d.attributes END AS attributes,
           c.track || others.names AS tracks,
           d.endpoint
      FROM calls c
      JOIN tenants t ON t.id = c.tenant
      LEFT JOIN call_details d ON d.call = c.id
           CROSS JOIN LATERAL (
               SELECT coalesce(max(l.sequence) + 1, 0)::bigint AS sequence, max(l.received_at) AS received_at
                 FROM (SELECT p.sequence, p.received_at
                         FROM packets p
                        WHERE p.call = c.id
                        ORDER BY p.sequence DESC
                        LIMIT 1) AS l) AS next
           CROSS JOIN LATERAL (
               SELECT greatest(c.expected_total_packets - next.sequence, 0) AS missing) AS tail
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(o.name ORDER BY o.number), '{}') AS names,
                      coalesce(sum(n.sequence - o.missing_count), 0)::bigint AS received,
                      coalesce(sum(o.missing_count + greatest(o.expected_total_packets - n.sequence, 0)), 0)::bigint AS missing,
                      coalesce(sum(greatest(n.sequence - o.expected_total_packets, 0)), 0)::bigint AS extra,
                      max(n.received_at) AS received_at
                 FROM tracks o
                      CROSS JOIN LATERAL (
                          SELECT coalesce(max(l.sequence) + 1, 0)::bigint AS sequence, max(l.received_at) AS received_at
                            FROM (SELECT p.sequence, p.received_at
                                    FROM packets p
                                   WHERE p.call = o.id
                                   ORDER BY p.sequence DESC
                                   LIMIT 1) AS l) AS n
                WHERE o.call = c.id) AS others
           CROSS JOIN LATERAL (
               SELECT c.tenant = ANY ((SELECT current_tenants(true, 'supervisor'))::uuid[]) AS numbers) AS seen
     WHERE c.tenant = ANY ((SELECT current_tenants(true, 'ingest', 'supervisor', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.call_status IS
    'the calls of the current role''s tenants, and what each has received: counts over all its tracks, encoding, total and sequences of '
    'its first; those of each are in call_tracks';
COMMENT ON COLUMN mulberry.call_status.total_packets_received IS 'packets stored; doubled ones count once';
COMMENT ON COLUMN mulberry.call_status.expected_next_sequence IS 'one more than the largest sequence received';
COMMENT ON COLUMN mulberry.call_status.missing_count IS
    'sequences that have not arrived: gaps, and announced packets behind the last one received';
COMMENT ON COLUMN mulberry.call_status.missing_sequences IS 'all of them';
COMMENT ON COLUMN mulberry.call_status.first_missing_sequences IS 'the first 100 of them, one by one';
COMMENT ON COLUMN mulberry.call_status.extra_packets IS 'how far the call went beyond expected_total_packets; null: no total was announced';
COMMENT ON COLUMN mulberry.call_status.last_packet_at IS 'when the packet with the largest sequence arrived';
COMMENT ON COLUMN mulberry.call_status.endpoint IS 'which must transcribe it; null: none was named';
COMMENT ON COLUMN mulberry.call_status.started_at IS 'as begin_call() says, else when its first packet came';
COMMENT ON COLUMN mulberry.call_status.from_number IS
    'shown to who has supervisor access, which operators and admins have, as are to_number and attributes';

CREATE OR REPLACE VIEW mulberry.call_tracks WITH (security_barrier) AS
    SELECT t.name AS tenant,
           c.call_id,
           k.name AS track,
           k.number,
           k.encoding,
           k.sample_rate,
           next.sequence - k.missing_count AS total_packets_received,
           k.first_sequence,
           k.counter_bits,
           k.first_sequence + next.sequence AS expected_next_sequence,
           k.expected_total_packets,
           k.missing_count + greatest(k.expected_total_packets - next.sequence, 0) AS missing_count,
           (SELECT coalesce(range_agg(int8range(k.first_sequence + g.first, k.first_sequence + g.last, '[]')), '{}')
              FROM gaps g
             WHERE g.call = k.id)
           + CASE WHEN k.expected_total_packets > next.sequence
                  THEN int8multirange(int8range(k.first_sequence + next.sequence, k.first_sequence + k.expected_total_packets))
                  ELSE '{}' END AS missing_sequences,
           greatest(next.sequence - k.expected_total_packets, 0) AS extra_packets,
           next.received_at AS last_packet_at
      FROM calls c
      JOIN tenants t ON t.id = c.tenant
      JOIN all_tracks k ON k.call = c.id
           CROSS JOIN LATERAL (
               SELECT coalesce(max(l.sequence) + 1, 0)::bigint AS sequence, max(l.received_at) AS received_at
                 FROM (SELECT p.sequence, p.received_at
                         FROM packets p
                        WHERE p.call = k.id
                        ORDER BY p.sequence DESC
                        LIMIT 1) AS l) AS next
     WHERE c.tenant = ANY ((SELECT current_tenants(true, 'ingest', 'supervisor', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.call_tracks IS
    'the tracks of the calls of the current role''s tenants, each with sequences of its own; columns as in call_status';
COMMENT ON COLUMN mulberry.call_tracks.number IS '0: the first track, which is meant where none is named';
COMMENT ON COLUMN mulberry.call_tracks.first_sequence IS 'the number of its first packet';
COMMENT ON COLUMN mulberry.call_tracks.counter_bits IS
    'the sender counts in so many bits and begins at 0 again, which is unwrapped here; null: its numbers do not wrap';

CREATE OR REPLACE VIEW mulberry.call_packets WITH (security_barrier) AS
    SELECT t.name AS tenant, c.call_id, k.first_sequence + p.sequence AS sequence, p.sent_at, p.received_at, length(p.data) AS size,
           p.data, k.name AS track
      FROM calls c
      JOIN tenants t ON t.id = c.tenant
      JOIN all_tracks k ON k.call = c.id
      JOIN packets p ON p.call = k.id
     WHERE c.tenant = ANY ((SELECT current_tenants(true, 'supervisor'))::uuid[]);
COMMENT ON VIEW mulberry.call_packets IS 'the packets of the calls of the current role''s tenants, as they arrived';
COMMENT ON COLUMN mulberry.call_packets.size IS 'bytes of data';

CREATE OR REPLACE FUNCTION mulberry.call_audio(call_id text, tenant text DEFAULT NULL, track text DEFAULT NULL) RETURNS bytea
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_call_audio';
COMMENT ON FUNCTION mulberry.call_audio(text, text, text) IS
    'a track of a call (null: the first) as a WAV file (16-bit PCM at its rate); each missing packet is silence of its usual packet '
    'length, at most 60 s for a run of them. All silence together is at most a minute and four times the audio: where there are more '
    'gaps, the end that '
    'never came is cut, then the longest of them. call_gaps() lists where they lie';

CREATE OR REPLACE FUNCTION mulberry.call_audio_part(call_id text, tenant text DEFAULT NULL, track text DEFAULT NULL,
    start bigint DEFAULT 0, max_bytes integer DEFAULT 1048576, OUT bytes bytea, OUT total_bytes bigint, OUT version text)
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_call_audio_part';
COMMENT ON FUNCTION mulberry.call_audio_part(text, text, text, bigint, integer) IS
    'bytes of the file that call_audio() makes, from start (negative: so many before its end; 0: its beginning) on, at most max_bytes (up '
    'to 16 MB), without making the rest of it. Parts of one version are of one file: it changes with each packet that comes. Files may '
    'have 4 GB here';

CREATE OR REPLACE FUNCTION mulberry.call_audio_stereo(call_id text, tenant text DEFAULT NULL, left_track text DEFAULT NULL,
    right_track text DEFAULT NULL) RETURNS bytea
LANGUAGE c STABLE PARALLEL RESTRICTED COST 10000 AS 'MODULE_PATHNAME', 'mulberry_call_audio_stereo';
COMMENT ON FUNCTION mulberry.call_audio_stereo(text, text, text, text) IS
    'two tracks of a call (null: its first and its second) as a stereo WAV file at the higher of their rates, in time: by sent_at where '
    'the first packet of each has it, else by arrival. A packet that is late moves nothing; where nothing was sent for more than 100 ms '
    'there is silence';

CREATE OR REPLACE FUNCTION mulberry.call_audio_mixed(call_id text, tenant text DEFAULT NULL, tracks text[] DEFAULT NULL) RETURNS bytea
LANGUAGE c STABLE PARALLEL RESTRICTED COST 10000 AS 'MODULE_PATHNAME', 'mulberry_call_audio_mixed';
COMMENT ON FUNCTION mulberry.call_audio_mixed(text, text, text[]) IS
    'tracks of a call (null: all) in one channel of a WAV file, their sum, in time as in call_audio_stereo()';

CREATE OR REPLACE FUNCTION track_times(call bigint) RETURNS TABLE (track bigint, place_ms bigint, time_ms bigint)
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 10000 ROWS 10 AS 'MODULE_PATHNAME', 'mulberry_track_times';
COMMENT ON FUNCTION track_times(bigint) IS
    'where the audio of each track (tracks.id) lies in the time of its call, as call_audio_stereo() has it: from place_ms of call_audio() '
    'on it is time_ms and what follows, until the next row (internal)';

CREATE OR REPLACE FUNCTION mulberry.call_gaps(call_id text, tenant text DEFAULT NULL, track text DEFAULT NULL)
RETURNS TABLE (first bigint, last bigint, packets bigint, start_ms bigint, duration_ms bigint)
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_call_gaps';
COMMENT ON FUNCTION mulberry.call_gaps(text, text, text) IS
    'runs of missing sequences of a track of a call (null: the first; both ends included), and where call_audio() has silence for them; '
    'times are null for a track of encoding text';

CREATE OR REPLACE FUNCTION mulberry.call_dtmf(call_id text, tenant text DEFAULT NULL, floor_dbm0 real DEFAULT NULL,
    track text DEFAULT NULL)
RETURNS TABLE (digit text, start_ms bigint, duration_ms bigint, level_dbm0 real, twist_db real)
LANGUAGE c STABLE PARALLEL RESTRICTED COST 10000 ROWS 20 AS 'MODULE_PATHNAME', 'mulberry_call_dtmf';
COMMENT ON FUNCTION mulberry.call_dtmf(text, text, real, text) IS
    'the DTMF digits in a track of a call (null: the first), as dtmf_detect() tells them; times are those of call_audio(); '
    'a digit goes on across missing packets of up to 40 ms together, what is longer is silence';

CREATE OR REPLACE FUNCTION mulberry.call_speech(call_id text, tenant text DEFAULT NULL, track text DEFAULT NULL)
RETURNS SETOF speech_segment
LANGUAGE c STABLE PARALLEL RESTRICTED COST 10000 ROWS 100 AS 'MODULE_PATHNAME', 'mulberry_call_speech';
COMMENT ON FUNCTION mulberry.call_speech(text, text, text) IS
    'where somebody speaks in a call, track by track (or only in the one named), as speech_segments() tells it with its own settings; what '
    'is missing is silence. Times are those of call_segments(): of call_audio() or, in a call of several tracks, of call_audio_stereo()';
