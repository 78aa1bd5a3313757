-- Every text that enters is bounded: each argument of each function that users see, found in the catalog.
SET search_path = mulberry, mulberry_internal;
SET client_min_messages = warning;

CREATE TEMP VIEW arguments AS
    SELECT p.oid, p.proname AS function, p.provolatile AS volatility, a.name AS argument, a.type, a.number,
           row_number() OVER (PARTITION BY p.oid ORDER BY a.number) AS place
      FROM pg_proc p
     CROSS JOIN LATERAL (SELECT coalesce(p.proargnames[n], '') AS name, t::regtype AS type, n AS number
                           FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY AS u (t, n)
                          WHERE coalesce(p.proargmodes[n], 'i') IN ('i', 'b', 'v')) AS a
     WHERE p.pronamespace = 'mulberry'::regnamespace AND p.prokind = 'f'
       AND obj_description(p.oid, 'pg_proc') !~ '\(internal\)$';
-- what only computes stores nothing; it is bounded by what a text may be
SELECT function, argument FROM arguments a
 WHERE type::text ~ '^(text|jsonb)(\[\])?$' AND volatility = 'v'
   AND NOT EXISTS (SELECT FROM text_limits() l WHERE l.argument = a.argument) ORDER BY 1, 2;
SELECT argument FROM text_limits() l WHERE NOT EXISTS (SELECT FROM arguments a WHERE a.argument = l.argument) ORDER BY 1;

-- Calls each function with one argument that is a byte too long, and nulls for all others.
CREATE FUNCTION pg_temp.too_long(of_function oid, long_argument text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    statement text;
BEGIN
    SELECT format('SELECT FROM mulberry.%I(%s)', min(a.function), string_agg(format('%I => %s', a.argument,
               CASE WHEN a.argument <> long_argument THEN format('NULL::%s', a.type)
                    WHEN a.type = 'jsonb'::regtype THEN format('jsonb_build_object(''x'', repeat(''x'', %s))', l.max_bytes)
                    WHEN a.type = 'text[]'::regtype THEN format('ARRAY[repeat(''x'', %s)]', l.max_bytes + 1)
                    ELSE format('repeat(''x'', %s)', l.max_bytes + 1) END), ', ' ORDER BY a.number))
      INTO statement
      FROM arguments a LEFT JOIN text_limits() l ON l.argument = a.argument
     WHERE a.oid = of_function;
    EXECUTE statement;
    RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
CREATE TEMP TABLE outcomes AS
    SELECT function, argument, pg_temp.too_long(oid, argument) AS outcome FROM arguments
     WHERE type::text ~ '^(text|jsonb)(\[\])?$' AND volatility = 'v' AND function !~ '^authenticate';
-- these leave nobody for the rest of their transaction
INSERT INTO outcomes SELECT function, argument, pg_temp.too_long(oid, argument) FROM arguments WHERE function = 'authenticate';
INSERT INTO outcomes SELECT function, argument, pg_temp.too_long(oid, argument) FROM arguments WHERE function = 'authenticate_anonymous' AND argument = 'access';
INSERT INTO outcomes SELECT function, argument, pg_temp.too_long(oid, argument) FROM arguments WHERE function = 'authenticate_anonymous' AND argument = 'tenant';
SELECT count(*) > 60 AS many_are_refused FROM outcomes WHERE outcome = '22001';
-- refused for another reason first, or because nothing has such a name
SELECT function, argument, outcome FROM outcomes WHERE outcome <> '22001' ORDER BY 1, 2;

-- A row of the audit log and an event that could not be rendered fail who writes them.
\set VERBOSITY terse
SELECT record_audit('6d756c62-6572-7279-8000-000000000001', 'TEST', 'large', NULL, NULL, NULL, NULL, jsonb_build_object('x', repeat(E'\x01', 5000000)));
SELECT emit_event('6d756c62-6572-7279-8000-000000000001', 'large', NULL, NULL, jsonb_build_object('x', repeat('x', 70000000)));
-- what is long is cut, without being written out first
SELECT length(event_message('e', NULL, 't', 1, 'epoch', jsonb_build_object('small', 1, 'long', repeat(E'\x01', 20000000)), 8000)::text) <= 8000 AS cut;
