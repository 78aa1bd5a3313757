CREATE OR REPLACE FUNCTION mulberry.notifier_lives() RETURNS boolean
LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_notifier_lives_sql';
COMMENT ON FUNCTION mulberry.notifier_lives() IS 'true when a notifier serves this database, so that events are sent';

CREATE OR REPLACE FUNCTION mulberry.process_statistics()
RETURNS TABLE (place integer, type text, pid integer, started_at timestamptz, starts bigint, in_flight integer,
               done bigint, failed bigint, last_activity timestamptz)
LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_process_statistics';
COMMENT ON FUNCTION mulberry.process_statistics() IS
    'the notifier (place 0) and the workers of this database, alive (pid) or not, with what they did since the server started: a '
    'notifier sends messages, a worker does jobs (internal)';

CREATE OR REPLACE FUNCTION require_durable_commit() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_require_durable_commit_sql';
COMMENT ON FUNCTION require_durable_commit() IS
    'has this transaction on disk, and on synchronous standbys, when it has committed, whatever synchronous_commit says (internal)';

CREATE OR REPLACE FUNCTION mulberry.in_transaction_block() RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mulberry_in_transaction_block';
COMMENT ON FUNCTION mulberry.in_transaction_block() IS 'whether the session is between BEGIN and COMMIT (internal)';

-- Shared work waits for nobody.  A function of it says SET lock_timeout, so that its limit ends with it,
-- calls limit_waits() first, and blocked() where it has caught lock_not_available.
CREATE OR REPLACE FUNCTION limit_waits() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mulberry_limit_waits_sql';
COMMENT ON FUNCTION limit_waits() IS
    'sets lock_timeout to what shared work may still wait, at most 100 ms and a tenth of the time in all, until the function ends '
    '(internal)';

CREATE OR REPLACE FUNCTION blocked() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mulberry_blocked';
COMMENT ON FUNCTION blocked() IS 'counts a wait that was in vain, and limits the next ones (internal)';

CREATE OR REPLACE FUNCTION try_maintenance_lock() RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_try_maintenance_lock';
COMMENT ON FUNCTION try_maintenance_lock() IS
    'internal: false when another session does maintenance or retention; held until the end of the transaction';
