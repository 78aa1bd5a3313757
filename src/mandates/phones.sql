-- Agents: the devices on the edge that a mandate is spent by, and that voice commands reach.

CREATE OR REPLACE FUNCTION phone_valid(number text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_phone_valid';
COMMENT ON FUNCTION phone_valid(text) IS 'true for an international telephone number as ITU-T E.164 writes it, with its plus sign';

CREATE OR REPLACE FUNCTION refuse_phone(number text, place text DEFAULT '') RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'invalid phone number "%"%', left(number, 40), place
        USING ERRCODE = 'invalid_parameter_value',
              DETAIL = 'E.164 has a plus sign, a country code that does not begin with 0, and at most 15 digits in all.',
              HINT = 'Write it without spaces or dashes, as in +12025550100.';
END
$$;
COMMENT ON FUNCTION refuse_phone(text, text) IS 'raises the error of a number that phone_valid() refuses (internal)';
