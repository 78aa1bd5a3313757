-- Whole recordings: a WAV file that becomes the packets of a call.

CREATE OR REPLACE FUNCTION recording_rate(rate integer) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN rate <= 8000 THEN 8000 WHEN rate <= 16000 THEN 16000 WHEN rate IN (22050, 44100) THEN 44100 ELSE 48000 END;
COMMENT ON FUNCTION recording_rate(integer) IS
    'at which rate a recording of another is kept: a higher one, as far as there is one (internal)';

CREATE OR REPLACE FUNCTION ingest_channel(call_id text, track all_tracks, audio bytea, packet_ms integer, first_sent_at timestamptz,
    owner uuid) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    samples CONSTANT integer := track.sample_rate * packet_ms / 1000;
    size    CONSTANT integer := samples * CASE track.encoding WHEN 's16le' THEN 2 ELSE 1 END;
    total   CONSTANT integer := (length(audio) + size - 1) / size;
    many    CONSTANT integer := least(200, current_setting('mulberry.max_batch_packets')::integer);
    refused record;
BEGIN
    FOR start IN 0 .. total - 1 BY many LOOP
        SELECT r.status, r.message, r.sqlstate INTO refused
          FROM (SELECT array_agg(CASE WHEN track.counter_bits IS NULL THEN track.first_sequence + s
                                      ELSE (track.first_sequence + s) % (1::bigint << track.counter_bits) END ORDER BY s) AS sequences,
                       array_agg(substr(audio, s * size + 1, size) ORDER BY s) AS data,
                       array_agg(first_sent_at + s * (samples::double precision / track.sample_rate) * interval '1 s' ORDER BY s) AS sent_at
                  FROM generate_series(start, least(start + many, total) - 1) AS s) AS b
               CROSS JOIN LATERAL mulberry_internal.ingest_packets_of(
                   array_fill(ingest_channel.call_id, ARRAY[cardinality(b.sequences)]), b.sequences, b.data, b.sent_at,
                   track.encoding, track.sample_rate, ingest_channel.owner, tracks => ARRAY[track.name]) AS r
         WHERE r.status <> 'accepted'
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION '%', CASE refused.status
                    WHEN 'duplicate' THEN format('track "%s" of call "%s" has packets already', track.name, ingest_channel.call_id)
                    ELSE refused.message END
                USING ERRCODE = coalesce(refused.sqlstate, '55000');
        END IF;
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION ingest_channel(text, all_tracks, bytea, integer, timestamptz, uuid) IS
    'cuts audio into the packets of a track that has none, and returns how many (internal)';

CREATE OR REPLACE FUNCTION store_recording(owner uuid, call_id text, wav bytea, tracks text[], encoding text, sample_rate integer,
    started_at timestamptz, complete boolean, packet_ms integer, allow_truncated boolean) RETURNS SETOF mulberry.recording_track
LANGUAGE plpgsql AS $$
DECLARE
    names  text[] := store_recording.tracks;
    file   record;
    known  record;
    track  mulberry_internal.all_tracks;
    part   record;
    made   mulberry.recording_track;
    totals jsonb := jsonb '{}';
BEGIN
    IF store_recording.call_id IS NULL OR store_recording.wav IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN store_recording.call_id IS NULL THEN 'call id' ELSE 'wav' END
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF store_recording.packet_ms IS NULL OR store_recording.packet_ms NOT BETWEEN 10 AND 1000 THEN
        RAISE EXCEPTION 'packet_ms must lie between 10 and 1000' USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    IF NOT isfinite(store_recording.started_at) THEN
        RAISE EXCEPTION 'started_at must be finite' USING ERRCODE = 'datetime_field_overflow';
    END IF;
    IF store_recording.encoding NOT IN ('mulaw', 'alaw', 's16le') THEN
        RAISE EXCEPTION 'a recording cannot be kept in encoding "%"', store_recording.encoding
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It can be kept as mulaw, alaw or s16le.';
    END IF;
    SELECT d.encoding, d.sample_rate, d.channels INTO file
      FROM mulberry.wav_decode(store_recording.wav, 1, store_recording.allow_truncated) AS d;
    IF names IS NULL THEN
        names := CASE file.channels WHEN 1 THEN ARRAY[NULL] WHEN 2 THEN ARRAY['left', 'right']
                                    ELSE ARRAY(SELECT 'channel ' || c FROM generate_series(1, file.channels) AS c) END;
    END IF;
    IF cardinality(names) NOT IN (1, file.channels) OR array_ndims(names) <> 1 THEN
        RAISE EXCEPTION 'the recording has % channels, and % tracks are named', file.channels, cardinality(names)
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'One name is for all channels together, else each needs one.';
    END IF;
    IF cardinality(names) > 1 AND (array_position(names, NULL) IS NOT NULL
                                   OR (SELECT count(DISTINCT n) FROM unnest(names) AS n) < cardinality(names)) THEN
        RAISE EXCEPTION 'each channel needs a track of its own' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT c.id, coalesce(c.started_at, c.created_at) AS began INTO known
      FROM mulberry_internal.calls c WHERE c.tenant = owner AND c.call_id = store_recording.call_id;
    FOR channel IN 1 .. cardinality(names) LOOP
        track := NULL;
        SELECT t.* INTO track
          FROM mulberry_internal.all_tracks t
          JOIN mulberry_internal.calls c ON c.id = t.call
         WHERE c.tenant = owner AND c.call_id = store_recording.call_id
           AND CASE WHEN names[channel] IS NULL THEN t.number = 0 ELSE t.name = names[channel] END;
        track.name := coalesce(names[channel], track.name, 'main');
        track.first_sequence := coalesce(track.first_sequence, 0);
        track.encoding := coalesce(store_recording.encoding, track.encoding,
            CASE WHEN file.encoding IN ('mulaw', 'alaw') THEN file.encoding ELSE 's16le' END);
        track.sample_rate := coalesce(store_recording.sample_rate, track.sample_rate,
            mulberry_internal.recording_rate(file.sample_rate));
        SELECT mulberry.audio_convert(d.audio, d.encoding, d.sample_rate, track.encoding, track.sample_rate) AS audio, d.duration_ms
          INTO part
          FROM mulberry.wav_decode(store_recording.wav, CASE WHEN cardinality(names) > 1 THEN channel END,
                   store_recording.allow_truncated) AS d;
        made := (track.name, track.encoding, track.sample_rate,
                 mulberry_internal.ingest_channel(store_recording.call_id, track, part.audio, store_recording.packet_ms,
                     coalesce(store_recording.started_at, known.began, statement_timestamp()), owner),
                 part.duration_ms);
        totals := totals || jsonb_build_object(made.track, made.packets);
        RETURN NEXT made;
    END LOOP;
    IF known.id IS NULL THEN
        UPDATE mulberry_internal.calls c SET started_at = store_recording.started_at
         WHERE c.tenant = owner AND c.call_id = store_recording.call_id AND store_recording.started_at IS NOT NULL;
    END IF;
    IF store_recording.complete THEN
        PERFORM mulberry_internal.complete_call_of(store_recording.call_id, NULL, owner, NULL, totals);
    END IF;
END
$$;
COMMENT ON FUNCTION store_recording(uuid, text, bytea, text[], text, integer, timestamptz, boolean, integer, boolean) IS
    'ingest_recording() for a tenant by its id: whoever calls it has looked who asks (internal)';

CREATE OR REPLACE FUNCTION mulberry.ingest_recording(
    call_id         text,
    wav             bytea,
    tracks          text[] DEFAULT NULL,
    encoding        text DEFAULT NULL,
    sample_rate     integer DEFAULT NULL,
    started_at      timestamptz DEFAULT NULL,
    complete        boolean DEFAULT false,
    packet_ms       integer DEFAULT 100,
    tenant          text DEFAULT NULL,
    allow_truncated boolean DEFAULT false
) RETURNS SETOF mulberry.recording_track
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(ingest_recording.tenant, 'ingest');
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', ingest_recording.call_id, 'encoding', ingest_recording.encoding);
    RETURN QUERY SELECT r.* FROM mulberry_internal.store_recording(owner, ingest_recording.call_id, ingest_recording.wav,
        ingest_recording.tracks, ingest_recording.encoding, ingest_recording.sample_rate, ingest_recording.started_at,
        ingest_recording.complete, ingest_recording.packet_ms, ingest_recording.allow_truncated) AS r;
END
$$;
COMMENT ON FUNCTION mulberry.ingest_recording(text, bytea, text[], text, integer, timestamptz, boolean, integer, text, boolean) IS
    'takes a whole WAV file: cuts it into packets of packet_ms, which become a track for each channel (tracks null: the first track of a '
    'mono file, left and right of a stereo one), or one of the mean of all channels where tracks has one name. Encoding and rate null: '
    'those of the track, for a new one the file''s as far as calls can have them. started_at is when it begins (null: when the call '
    'began). complete: the tracks have nothing further. allow_truncated as in wav_decode(). Needs ingest access';
