-- The state machines, which src/core/state/machine.c defines.

CREATE OR REPLACE FUNCTION mulberry.state_machines()
RETURNS TABLE (table_name text, machine text, from_state text, to_state text, conditional boolean, description text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 70
AS 'MODULE_PATHNAME', 'mulberry_state_machines';
COMMENT ON FUNCTION mulberry.state_machines() IS
    'every change of a state that there is, of calls, mandates, commands, voice calls and the breakers of endpoints; from_state null:'
    ' where it begins; conditional: only under the condition that the description names';

CREATE OR REPLACE FUNCTION guard_state() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_guard_state';
COMMENT ON FUNCTION guard_state() IS
    'trigger: keeps every statement to the state machine of its table, see state_machines(); 55000 names both states';
