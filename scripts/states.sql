-- The state machines as docs/architecture.md draws them; see scripts/documents.
WITH transitions AS (
    SELECT m.*, row_number() OVER () AS place FROM mulberry.state_machines() AS m
), states AS (
    SELECT t.table_name, t.to_state AS state, min(t.place) AS place,
           NOT EXISTS (SELECT FROM transitions x WHERE x.table_name = t.table_name AND x.from_state = t.to_state) AS last
      FROM transitions t GROUP BY t.table_name, t.to_state
)
SELECT format(E'### %s (`%s`)\n\n```mermaid\nstateDiagram-v2\n%s%s%s\n```\n',
              upper(left(t.machine, 1)) || substr(t.machine, 2), t.table_name,
              -- an id has no hyphen
              (SELECT string_agg(format(E'    state "%s" as %s\n', s.state, replace(s.state, '-', '_')), '' ORDER BY s.place)
                 FROM states s WHERE s.table_name = t.table_name AND s.state ~ '-'),
              -- nor a label a colon
              string_agg(format('    %s --> %s : %s%s', coalesce(replace(t.from_state, '-', '_'), '[*]'), replace(t.to_state, '-', '_'),
                                CASE WHEN t.conditional THEN 'only ' END, replace(t.description, ':', ',')), E'\n' ORDER BY t.place),
              (SELECT string_agg(format(E'\n    %s --> [*]', replace(s.state, '-', '_')), '' ORDER BY s.place)
                 FROM states s WHERE s.table_name = t.table_name AND s.last))
  FROM transitions t
 GROUP BY t.machine, t.table_name
 ORDER BY min(t.place);
