-- The kinds of commands: what src/core/command/command_kinds.c defines.

CREATE OR REPLACE FUNCTION mulberry.command_kinds()
RETURNS TABLE (command text, code text, has_mandate boolean, least_argument integer, most_argument integer, changes_registry boolean,
               sets_status text, urgent boolean, final boolean, adds_up boolean, challenged boolean, asks boolean, announcement text,
               done text, confirmation text, meaning text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 6
AS 'MODULE_PATHNAME', 'mulberry_command_kinds';
COMMENT ON FUNCTION mulberry.command_kinds() IS
    'the commands that agents know: whether it is about a mandate, the range of its argument, the status that it gives the mandate; '
    'urgent: goes before others; final: cannot be taken back; adds_up: twice is not once; challenged: by keys made with '
    'challenge_extend; asks: the answer is compared with the registry; and the words that are spoken about it';

CREATE OR REPLACE FUNCTION command_kind(command text,
    OUT has_mandate boolean, OUT least_argument integer, OUT most_argument integer, OUT changes_registry boolean, OUT sets_status text,
    OUT urgent boolean, OUT final boolean, OUT adds_up boolean, OUT challenged boolean, OUT asks boolean, OUT announcement text,
    OUT done text, OUT confirmation text)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'mulberry_command_kind';
COMMENT ON FUNCTION command_kind(text) IS
    'properties of a command, as command_kinds() has them; 22023: there is no such command (internal)';

CREATE OR REPLACE FUNCTION command_reversible(command text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (mulberry_internal.command_kind(command)).sets_status IS NOT NULL AND NOT (mulberry_internal.command_kind(command)).final;
COMMENT ON FUNCTION command_reversible(text) IS
    'whether a command gives its mandate a status that another one may take away, so that the later one of two counts (internal)';

CREATE OR REPLACE FUNCTION command_means_something(command text, mandate text, argument integer) RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'mulberry_command_means_something';
COMMENT ON FUNCTION command_means_something(text, text, integer) IS
    'whether there is such a command, it has a mandate if it must, and the argument is in its range; for the table''s constraint '
    '(internal)';
