-- seq is given after commit by number_events().  id respects causality: who
-- begins after an event was committed gets a larger one.
CREATE TABLE events (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant     uuid NOT NULL REFERENCES tenants (id),
    seq        bigint CHECK (seq > 0),
    event      text COLLATE "C" NOT NULL CHECK (octet_length(event) BETWEEN 1 AND 63),
    call       bigint,
    call_id    text COLLATE "C",
    payload    jsonb NOT NULL CHECK (jsonb_typeof(payload) = 'object'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (tenant, seq)
);
CREATE INDEX events_unnumbered ON events (id) WHERE seq IS NULL;
COMMENT ON TABLE events IS 'events worth keeping, written by the transaction that causes them and numbered after its commit';
COMMENT ON COLUMN events.seq IS 'number within the tenant, without gaps; null until number_events() has seen the row';
COMMENT ON COLUMN events.payload IS 'fields of the message beside event, call_id, seq and prev';
SELECT pg_catalog.pg_extension_config_dump('events', '');
SELECT pg_catalog.pg_extension_config_dump('events_id_seq', '');

CREATE INDEX events_created_at ON events USING brin (created_at) WITH (pages_per_range = 16);

CREATE TABLE event_counters (
    tenant   uuid PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    last_seq bigint NOT NULL CHECK (last_seq > 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE event_counters IS 'the last number given to an event of a tenant; outlives the events';
SELECT pg_catalog.pg_extension_config_dump('event_counters', '');

-- One for all who want all of a tenant's events, several only when its first subscribers came at once: nobody waits for
-- another's commit.  Who wants some of them has one of his own, which goes with his session.
CREATE TABLE event_channels (
    tenant     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    channel    text COLLATE "C" PRIMARY KEY CHECK (channel ~ '^mulberry_[0-9a-f]{32}$'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    listener   integer,
    calls      text[] COLLATE "C",
    kinds      text[] COLLATE "C",
    CHECK (listener IS NOT NULL OR (calls IS NULL AND kinds IS NULL))
);
CREATE INDEX event_channels_tenant ON event_channels (tenant);
CREATE INDEX event_channels_listener ON event_channels (listener) WHERE listener IS NOT NULL;
COMMENT ON TABLE event_channels IS
    'NOTIFY channel of a tenant, made by the first subscribe() and dropped by revoke_access(); a secret, because any role may LISTEN to '
    'what it can name';
COMMENT ON COLUMN event_channels.listener IS 'process of the only session that listens there; null: all who want everything';
COMMENT ON COLUMN event_channels.calls IS 'call ids that it wants to hear of, sorted; null: all';
COMMENT ON COLUMN event_channels.kinds IS 'events that it wants to hear, sorted; null: all';
-- elsewhere these sessions do not exist
SELECT pg_catalog.pg_extension_config_dump('event_channels', 'WHERE listener IS NULL');

CREATE TYPE mulberry.subscription AS (
    tenant      text,
    channel     text,
    last_seq    bigint,
    backend_pid integer
);
COMMENT ON TYPE mulberry.subscription IS 'answer of subscribe(): where the events of a tenant come';
COMMENT ON COLUMN mulberry.subscription.channel IS 'that the session listens to';
COMMENT ON COLUMN mulberry.subscription.last_seq IS
    'number of the last event so far: what comes later is sent, what came before is in events_since()';
COMMENT ON COLUMN mulberry.subscription.backend_pid IS
    'process of the server that listens. A client whose library knows another one (PQbackendPID()) is connected through a pooler';

-- A session writes rows of its own only, and they refer to nothing, so that an open subscribe() is in nobody's way.
CREATE TABLE channel_listeners (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel  text COLLATE "C" NOT NULL,
    tenant   uuid NOT NULL,
    role     oid NOT NULL,
    listener integer
);
CREATE INDEX channel_listeners_channel ON channel_listeners (channel);
COMMENT ON TABLE channel_listeners IS
    'roles to which subscribe() has said the name of a channel, and in which session; for a while also of one that is gone';
COMMENT ON COLUMN channel_listeners.listener IS 'process of a session that listens there; null: one that has called unsubscribe()';
-- elsewhere roles have other oids: there the channels get new names
SELECT pg_catalog.pg_extension_config_dump('channel_listeners', '');
SELECT pg_catalog.pg_extension_config_dump('channel_listeners_id_seq', '');
