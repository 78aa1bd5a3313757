-- docs/metrics.md, out of the catalogue of metrics; see scripts/documents.
SELECT $$# Metrics

Written by `scripts/documents` from `metric_kinds()`, that is from `src/metrics/metric_kinds.c`, and from what a gateway says of itself (`gateway/health.c`); change those.

`metrics()` has a row for each sample, with its `name`, `labels` and `value`, and the `metric` it belongs to with `type` and `help`; `metrics_text()` is the same in
Prometheus' text format, to be served or written to a file as it is. Access `monitor` is enough: no metric tells of a call, a number, an agent or a text.
How to get them into Prometheus: [operations](operations.md#prometheus).

- **Whose.** They are of the tenants to which the caller has operator, auditor, admin or monitor access, added up. `metrics(by_tenant => true)` tells each apart by the label
  `tenant`, without counters that are 0; what is *of the server* has no tenant. 400 tenants are counted apart; those that come later together, as `(others)`, which only who has access to all tenants
  sees. What a dropped tenant has counted stays in the sums of those who have access to all tenants.
- **Counters** and histograms are in shared memory. They begin at 0 when the server starts, or comes back from a crash, and when `mulberry.databases` first names the database; `mulberry_counting_start_time_seconds` says
  when. Until then they never go down: a reload, processes that end, another `mulberry.worker_role`, or being out of `mulberry.databases` for a while changes
  nothing (unless another database needs the room, `mulberry.max_databases`). Nothing is kept through a restart: that begins anew is what `rate()` and `increase()` expect.
- **What counts** is what has been committed. Events, and the commands they tell of, are counted when they get their number, which is moments later. A transaction that has ended a job or verified a frame
  cannot be prepared (0A000), because the session that commits it could not count it.
- **Gauges** are read when they are asked for, by indexes: calls that are not finished, the queue, active mandates.
- **Absent is not 0.** Without preloading, and in a database that `mulberry.databases` has never named, there are gauges only. A standby counts nothing of what it replays.
$$;
SELECT format(E'## %s%s\n\n| metric | type | labels | |\n| --- | --- | --- | --- |\n', upper(left(subject, 1)), substr(subject, 2))
       || string_agg(format('| `%s` | %s%s | %s | %s |', k.metric, k.type, CASE WHEN k.of_server THEN ', of the server' END,
                            (SELECT string_agg('`' || l || '`', ', ') FROM unnest(k.labels) l), k.help), E'\n' ORDER BY k.place) || E'\n'
  FROM (SELECT x.*, row_number() OVER () AS place FROM mulberry.metric_kinds() x) AS k
 GROUP BY subject ORDER BY min(k.place);
