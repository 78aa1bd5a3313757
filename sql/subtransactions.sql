-- What a transaction remembers of a subtransaction goes with it: a loop with a savepoint in each
-- turn used to keep 1 to 2 kB of every turn until its end.
BEGIN;
DO $$
BEGIN
    FOR i IN 0 .. 4999 LOOP
        BEGIN
            PERFORM mulberry.ingest_packet('subtransactions', i, 'x', encoding => 'text');
        EXCEPTION WHEN program_limit_exceeded THEN
            RAISE;
        END;
        BEGIN
            PERFORM mulberry.ingest_packet('subtransactions', i + 1, 'x');
            RAISE check_violation;
        EXCEPTION WHEN check_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;
SELECT total_received, missing_count FROM mulberry.ingest_packet('subtransactions', 5000, 'x');
SELECT sum(used_bytes) < 2000000 AS flat FROM pg_backend_memory_contexts WHERE name = 'TopTransactionContext';
ROLLBACK;
