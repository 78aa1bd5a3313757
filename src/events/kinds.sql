-- The kinds of events: what src/events/event_kinds.c defines.

CREATE OR REPLACE FUNCTION mulberry.event_kinds()
RETURNS TABLE (event text, subject text, delivery text, evidence boolean, meaning text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 35
AS 'MODULE_PATHNAME', 'mulberry_event_kinds';
COMMENT ON FUNCTION mulberry.event_kinds() IS
    'the events that subscribers hear: what each is about; delivery: stored (a row with a number, in events_since() as well), packet (from '
    'memory, may be lost) or control (about the subscription); evidence: has more fields than event_fields() names';

CREATE OR REPLACE FUNCTION mulberry.event_fields()
RETURNS TABLE (event text, field text, type text, optional boolean, meaning text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 200
AS 'MODULE_PATHNAME', 'mulberry_event_fields';
COMMENT ON FUNCTION mulberry.event_fields() IS
    'the fields of each event beside event, call_id, tenant, seq and prev: type in JSON, and whether it may be absent or null';
