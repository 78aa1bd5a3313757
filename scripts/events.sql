-- docs/events.md, out of the catalogue of events; see scripts/documents.
SELECT $$# Events

Written by `scripts/documents` from `event_kinds()` and `event_fields()`, that is from `src/events/event_kinds.c` and `event_fields.c`; change those.

A message is a JSON object. Beside the fields below it has `event`, the name; `time`, in ISO 8601, UTC, with microseconds (`2026-07-14T09:30:05.123456Z`);
`tenant`; `call_id`, where it is about a call; and, when it is stored, `seq`, its number within the tenant, and `prev`, the number before. A message that is too long for NOTIFY is cut and says
`"truncated": true`; `events_since()` has it whole. What is *optional* is absent or null where there is nothing to say. An event *with evidence*
has further fields: what the acknowledgement or the recording proves.

- *stored* events are rows of the transaction that causes them: none is lost, and who misses one sees it by `prev`. `time` is when it happened in that
  transaction (`created_at` of `events_since()`), which is before its commit: order them by `seq`.
- *packet* events come from memory and may be lost; then `resync` says so. `time` is when the last packet that the message stands for came to the server.
  They are kept only while a session is there that has subscribed to them and has not called `unsubscribe()`; who is still there is looked at every 5 s.
- *control* messages are about the subscription itself. `time` is when they were sent.

## Subscribing

`subscribe()` puts the session on LISTEN for every event of the tenants that its role may hear. A filter is applied by the server, which sends nothing else:
`subscribe(calls => '{call-17}')` events about these calls, which need not have begun (so an id that is nobody's is no error); `subscribe(kinds =>
'{state_changed,ai_completed}')` these events, of which an unknown one is an error (22023); `subscribe(tenant => 'north')` one tenant. What is
combined must all hold. Subscriptions of a session add up, and an event that several of them want comes to each of their channels; `unsubscribe()`
ends all. Who has a filter has a channel of his own, until his session ends.

There `prev` is the number of the event before *among those that are sent to him*. So one rule holds with and without a filter: keep the largest number you know,
beginning with `last_seq` of `subscribe()`; when a message has a `prev` beyond it, read `events_since()` from there.

Messages come to the session that subscribed. **A pooler of transactions** (pgbouncer's `pool_mode = transaction`) breaks that: it drops what
comes while no client uses the session, or gives it to another one. Subscribe by a connection of its own, or by a pool of sessions. `subscribe()` warns when the
session looks like a pooler's, which it does as soon as the client names itself (`application_name`); a client can make sure by comparing the column
`backend_pid` with what its library knows (`PQbackendPID()`), which differs behind any pooler. `events_since()` works through all of them.
$$;
SELECT format(E'## About a%s %s\n', CASE WHEN subject ~ '^[aeiou]' THEN 'n' END, subject)
       || E'\n' || string_agg(format(E'### %s\n\n%s. %s.%s', k.event, upper(left(k.meaning, 1)) || substr(k.meaning, 2),
                                     upper(left(k.delivery, 1)) || substr(k.delivery, 2) || CASE WHEN k.evidence THEN ', with evidence' ELSE '' END,
                                     f.list), E'\n' ORDER BY k.place)
  FROM (SELECT x.*, row_number() OVER () AS place FROM mulberry.event_kinds() x) AS k
 CROSS JOIN LATERAL (SELECT coalesce(E'\n\n| field | type | |\n| --- | --- | --- |\n' || string_agg(format('| `%s` | %s%s | %s |', f.field, f.type,
                                   CASE WHEN f.optional THEN ', optional' END, f.meaning), E'\n' ORDER BY f.place) || E'\n', E'\n') AS list
                       FROM (SELECT x.*, row_number() OVER () AS place FROM mulberry.event_fields() x) AS f WHERE f.event = k.event) AS f
 GROUP BY subject ORDER BY min(k.place);
