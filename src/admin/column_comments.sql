-- A column that a view takes over from a table means there what it means here.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT v.attrelid::regclass AS view, v.attname, col_description(t.attrelid, t.attnum) AS meaning
          FROM (VALUES ('mulberry.command_status', 'mulberry_internal.commands'), ('mulberry.voice_call_status',
              'mulberry_internal.voice_calls'),
                       ('mulberry.voice_key_status', 'mulberry_internal.voice_keys'), ('mulberry.agent_status', 'mulberry_internal.agents'),
                       ('mulberry.mandate_status', 'mulberry_internal.mandates'), ('mulberry.mandate_history',
                           'mulberry_internal.mandate_versions'),
                       ('mulberry.edge_status', 'mulberry_internal.edge_programs'),
                       ('mulberry.escalation_contact_status', 'mulberry_internal.escalation_contacts')) AS pair (view, base)
          JOIN pg_attribute v ON v.attrelid = pair.view::regclass
          JOIN pg_attribute t ON t.attrelid = pair.base::regclass AND t.attname = v.attname AND t.atttypid = v.atttypid
         WHERE v.attnum > 0 AND t.attnum > 0 AND col_description(t.attrelid, t.attnum) IS NOT NULL
           AND col_description(v.attrelid, v.attnum) IS NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', c.view, c.attname, c.meaning);
    END LOOP;
END
$$;
