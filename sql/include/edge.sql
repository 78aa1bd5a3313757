-- What tests of commands share: the edge's part, made with pgcrypto and nothing of ours, as VOICE_COMMANDS.md
-- section 2 has it, so that any answer can be given to any signature.  Included with \i; the
-- psql variable "key" holds the 64 hexadecimal digits of the key that was exported.

CREATE TEMP TABLE edge_key (agent uuid, tenant uuid, key_id integer, key bytea);

-- An acknowledgement of a signature of a command (null: the last one).
CREATE FUNCTION pg_temp.ack(command bigint, status integer, state integer, signature integer DEFAULT NULL) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    s      mulberry_internal.command_signatures;
    k      edge_key;
    ma     bytea;
    mac    bytea;
    tag    numeric := 0;
    digits text;
BEGIN
    SELECT x.* INTO STRICT s FROM mulberry_internal.command_signatures x
     WHERE x.command = ack.command AND x.signature = coalesce(ack.signature,
           (SELECT max(y.signature) FROM mulberry_internal.command_signatures y WHERE y.command = ack.command));
    SELECT x.* INTO STRICT k FROM edge_key x WHERE x.agent = s.agent AND x.key_id = s.key_id;
    ma := convert_to('MLB2', 'UTF8') || '\x02' || uuid_send(k.tenant) || uuid_send(k.agent)
          || set_byte('\x00', 0, s.key_id) || set_byte('\x00', 0, ack.status) || set_byte('\x00', 0, ack.state)
          || int8send(s.counter) || s.message_digest;
    mac := public.hmac(ma, public.hmac('mulberry/dtmf/2/ack'::bytea, k.key, 'sha256'), 'sha256');
    FOR i IN 0 .. 7 LOOP
        tag := tag * 256 + get_byte(mac, i);
    END LOOP;
    digits := lpad(s.key_id::text, 2, '0') || lpad(ack.status::text, 2, '0') || lpad(ack.state::text, 2, '0')
              || lpad((s.counter % 10000)::text, 4, '0') || lpad((tag % 100000000)::text, 8, '0');
    RETURN '*' || digits || lpad((98 - (digits || '00')::numeric % 97)::text, 2, '0') || '#';
END
$$;

-- The same with a wrong tag and check digits that fit it.
CREATE FUNCTION pg_temp.forged(genuine text) RETURNS text
LANGUAGE sql AS $$
    SELECT '*' || digits || lpad((98 - (digits || '00')::numeric % 97)::text, 2, '0') || '#'
      FROM (SELECT left(substr(genuine, 2), 10) || lpad(((substr(genuine, 12, 8)::bigint + 1) % 100000000)::text, 8, '0')) AS f (digits)
$$;

\set errors :srcdir '/sql/include/errors.sql'
\i :errors
