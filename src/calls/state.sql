CREATE OR REPLACE FUNCTION guard_call() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_guard_call';
COMMENT ON FUNCTION guard_call() IS
    'keeps statements written by hand to the state machine and to the call lock; a deleted call takes its packets along';

CREATE OR REPLACE TRIGGER guard_call BEFORE UPDATE OR DELETE ON calls
    FOR EACH ROW EXECUTE FUNCTION guard_call();
