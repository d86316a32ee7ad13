-- Every table of the program. Status, kinds and states are short texts, because people read them
-- in SQL; ids of the protocol compare byte by byte (collation C) and have no length limit.
--
-- oldest-program: 2

-- --------------------------------------------------------------------------------------- runs

create table runs (
    run_key         bigint generated always as identity primary key,
    id              uuid not null unique,
    day             date not null default (now() at time zone 'utc')::date, -- partition of its events
    session_id      text collate "C" not null,
    idempotency_key text collate "C" unique,
    origin          text collate "C" not null
        check (origin in ('posted', 'discovered', 'adopted', 'cloned', 'imported')),
    status          text collate "C" not null default 'queued'
        check (status in ('queued', 'starting', 'binding_session', 'running', 'suspended',
                          'completed', 'failed', 'cancelled')),
    version         integer not null default 0, -- +1 per transition
    mode            text collate "C" not null check (mode in ('live', 'sandbox')),
    mode_name       text collate "C" not null,
    runtime_kind    text collate "C" not null,
    runtime_version text,
    trace_id        text collate "C" not null,
    source_kind     text,
    source_ref      text,
    environment     text,
    scenario_ref    text,
    tags            text[] not null default '{}',
    descriptor      json,    -- as accepted, session id filled in, secrets replaced
    metadata        jsonb not null default '{}', -- without the descriptor
    callback_url    text,
    callback_bearer text,    -- secret: in no view, no response
    cancel_delegated boolean not null default false,
    cancel_requested_at timestamptz,
    outcome_positive boolean,
    error_code      text,
    error_message   text,
    failure_reason  text collate "C",
    created_at      timestamptz not null default now(),
    started_at      timestamptz,
    ended_at        timestamptz,
    updated_at      timestamptz not null default now(),
    archived_at     timestamptz
);
-- At most one live run per session; terminal ones keep theirs.
create unique index runs_session_live on runs (session_id)
    where status not in ('completed', 'failed', 'cancelled');
create index runs_session on runs (session_id);
create index runs_created on runs (created_at desc, id);
create index runs_updated on runs (updated_at desc, id);
create index runs_status on runs (status, created_at desc);
create index runs_tags on runs using gin (tags);
create index runs_source_ref on runs (source_ref) where source_ref is not null;

-- What changes while a run is observed, kept narrow so that updates stay inside their page.
create table run_observers (
    run_key        bigint primary key references runs on delete cascade,
    day            date not null,
    owner          uuid,               -- observer_instances.instance_id; null: nobody
    fence          bigint not null default 0, -- +1 per claim: a stale owner's writes match nothing
    next_poll_at   timestamptz not null default now(), -- orders claims
    poll_deadline  timestamptz,        -- until when the session must have opened
    epoch          integer not null default 0,
    cursor         bigint not null default 0,  -- ordinal of the last stored session envelope
    last_seq       integer not null default 0, -- last sequence number handed out
    session_state  text collate "C" not null default 'SESSION_STATE_UNSPECIFIED',
    session_started_ms bigint,
    session_expires_ms bigint,
    observer_state text collate "C" not null default 'ok'
        check (observer_state in ('ok', 'degraded', 'forbidden', 'disconnected')),
    closed         boolean not null default false
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
create index run_observers_open on run_observers (run_key) where not closed;

create table run_sessions (
    run_key               bigint primary key references runs on delete cascade,
    session_id            text collate "C" not null,
    runtime_kind          text collate "C" not null,
    mode_name             text collate "C" not null,
    mode_version          text,
    configuration_version text,
    policy_version        text,
    initiator             text,
    participants          text[] not null default '{}',
    context_id            text,
    extension_keys        text[] not null default '{}',
    session_state         text collate "C" not null,
    capabilities          json,
    started_at            timestamptz,
    expires_at            timestamptz,
    last_seen_at          timestamptz,
    created_at            timestamptz not null default now(),
    updated_at            timestamptz not null default now()
);

-- ------------------------------------------------------------------------------------- events

-- Partitioned by the day its run was created: a run never straddles partitions, and dropping one
-- drops whole runs. seq is shared with the canonical events: one counter per run.
create table run_events_raw (
    day          date not null,
    run_key      bigint not null,
    seq          integer not null,
    source       text collate "C" not null
        check (source in ('session', 'ambient', 'snapshot', 'inline-error', 'status')),
    epoch        integer not null default 0,
    ordinal      bigint,
    message_id   text collate "C",
    sender       text collate "C",
    message_type text collate "C",
    mode         text collate "C",
    received_at  timestamptz not null,
    sent_at      timestamptz,
    undecodable  boolean not null default false,
    body         bytea not null, -- the protobuf message as it travelled; JSON for a status
    created_at   timestamptz not null default now(),
    primary key (day, run_key, seq)
) partition by range (day);
alter table run_events_raw alter column body set compression lz4;
create unique index run_events_raw_ordinal on run_events_raw (day, run_key, epoch, ordinal)
    where source = 'session';
create unique index run_events_raw_message
    on run_events_raw (day, run_key, epoch, message_id, message_type, sender)
    where message_id <> '';

create table run_events_canonical (
    day            date not null,
    run_key        bigint not null,
    seq            integer not null,
    ts             timestamptz not null,
    type           text collate "C" not null,
    subject_kind   text collate "C",
    subject_id     text collate "C",
    source_kind    text collate "C" not null,
    source_name    text collate "C" not null,
    raw_type       text collate "C",
    sender         text collate "C",
    trace_id       text collate "C",
    span_id        text collate "C",
    parent_span_id text collate "C",
    schema_version smallint not null default 3,
    data           jsonb not null,
    id             uuid, -- only imported ids; null: computed from run id and seq
    created_at     timestamptz not null default now(),
    primary key (day, run_key, seq)
) partition by range (day);
alter table run_events_canonical alter column data set compression lz4;
create index run_events_canonical_ts on run_events_canonical using brin (ts)
    with (pages_per_range = 32, autosummarize = on);
create index run_events_canonical_type on run_events_canonical (type, ts);

create table run_projections (
    run_key           bigint primary key references runs on delete cascade,
    version           integer not null,  -- last folded seq
    schema_version    smallint not null,
    run_summary       json not null,
    participants      json not null,
    graph             json not null,
    decision          json not null,
    signals           json not null,
    progress          json not null,
    timeline          json not null,
    trace_summary     json not null,
    outbound_messages json not null,
    policy            json not null,
    llm               json not null,
    updated_at        timestamptz not null default now()
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02);
alter table run_projections
    alter column participants set compression lz4, alter column graph set compression lz4,
    alter column decision set compression lz4, alter column signals set compression lz4,
    alter column timeline set compression lz4, alter column policy set compression lz4,
    alter column llm set compression lz4, alter column progress set compression lz4;

create table run_metrics (
    run_key                bigint primary key references runs on delete cascade,
    event_count            bigint not null default 0,
    message_count          bigint not null default 0,
    signal_count           bigint not null default 0,
    proposal_count         bigint not null default 0,
    tool_call_count        bigint not null default 0,
    decision_count         bigint not null default 0,
    stream_reconnect_count bigint not null default 0,
    prompt_tokens          double precision not null default 0,
    completion_tokens      double precision not null default 0,
    total_tokens           double precision not null default 0,
    estimated_cost_usd     double precision not null default 0,
    first_event_at         timestamptz,
    last_event_at          timestamptz,
    session_state          text collate "C",
    frozen                 boolean not null default false,
    ended                  boolean not null default false,
    updated_at             timestamptz not null default now()
) with (fillfactor = 70);

create table run_artifacts (
    id         uuid primary key,
    run_key    bigint not null references runs on delete cascade,
    kind       text collate "C" not null check (kind in ('trace', 'json', 'report', 'log', 'bundle')),
    label      text not null,
    uri        text,
    inline     json,
    created_at timestamptz not null default now()
);
create index run_artifacts_run on run_artifacts (run_key, created_at);

-- What the runtime could not give us (any more): never silence.
create table observer_gaps (
    gap_key      bigint generated always as identity primary key,
    run_key      bigint references runs on delete cascade, -- null: the signal watch
    kind         text collate "C" not null
        check (kind in ('compacted', 'signals', 'forgotten', 'reset', 'oversize')),
    epoch        integer,
    from_ordinal bigint,
    to_ordinal   bigint,
    from_ts      timestamptz,
    to_ts        timestamptz,
    detail       text,
    noted_at     timestamptz not null default now()
);
create index observer_gaps_run on observer_gaps (run_key);

-- Signals and progress that no run owner has made events of (yet).
create table ambient_envelopes (
    ambient_key  bigint generated always as identity primary key,
    session_id   text collate "C" not null, -- '' when uncorrelated
    sender       text collate "C" not null,
    message_type text collate "C" not null,
    message_id   text collate "C" not null,
    received_at  timestamptz not null,
    body         bytea not null,
    unique (session_id, sender, message_type, message_id)
);

-- ------------------------------------------------------------------------------------- facts

create table run_participants (
    run_key        bigint not null references runs on delete cascade,
    participant_id text collate "C" not null,
    declared       boolean not null,
    status         text collate "C" not null,
    messages       bigint not null default 0,
    first_seen_at  timestamptz,
    last_active_at timestamptz,
    primary key (run_key, participant_id)
);

create table run_decisions (
    run_key          bigint not null references runs on delete cascade,
    seq              integer not null,
    ts               timestamptz not null,
    commitment_id    text,
    action           text not null,
    outcome_positive boolean,
    confidence       double precision,
    decided_by       text,
    reason           text,
    final            boolean not null, -- the first one stands
    primary key (run_key, seq)
);

create table run_votes (
    run_key        bigint not null references runs on delete cascade,
    seq            integer not null,
    ts             timestamptz not null,
    proposal_id    text,
    participant_id text,
    message_type   text,
    vote           text collate "C" not null check (vote in ('allow', 'deny')),
    primary key (run_key, seq)
);

create table run_signals (
    run_key         bigint not null references runs on delete cascade,
    seq             integer not null,
    ts              timestamptz not null,
    name            text not null,
    participant_id  text,
    confidence      double precision,
    acknowledged_at timestamptz,
    acknowledged_by text,
    primary key (run_key, seq)
);

create table run_llm_calls (
    run_key            bigint not null references runs on delete cascade,
    seq                integer not null,
    ts                 timestamptz not null,
    participant_id     text,
    model              text,
    provider           text,
    prompt_tokens      double precision not null,
    completion_tokens  double precision not null,
    total_tokens       double precision not null,
    latency_ms         double precision,
    estimated_cost_usd numeric(18, 6) not null,
    primary key (run_key, seq)
);
create index run_llm_calls_ts on run_llm_calls (ts);

-- ------------------------------------------------------------------------- handlers and daemon

-- A request to do something outside Postgres; the daemon does it and writes the result.
create table commands (
    id          bigint generated always as identity primary key,
    run_key     bigint references runs on delete cascade, -- null: policies, breaker
    kind        text collate "C" not null,
    args        jsonb not null default '{}',
    requester   text,
    request_id  text,
    state       text collate "C" not null default 'requested'
        check (state in ('requested', 'running', 'done', 'failed', 'expired')),
    owner       uuid,
    lease_until timestamptz not null default '-infinity',
    deadline    timestamptz not null,
    result      jsonb,
    created_at  timestamptz not null default now(),
    finished_at timestamptz
);
create unique index commands_open on commands (run_key, kind)
    where state in ('requested', 'running') and run_key is not null;
create index commands_due on commands (id) where state in ('requested', 'running');

create table webhooks (
    webhook_key bigint generated always as identity primary key,
    id          uuid not null unique,
    url         text not null,
    events      text[] not null default '{}', -- empty: all
    secret      text not null,                -- secret: in no view, no response
    active      boolean not null default true,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now()
);

create table webhook_deliveries (
    id              bigint generated always as identity primary key,
    public_id       uuid not null unique,
    webhook_key     bigint not null references webhooks on delete cascade,
    run_key         bigint not null,
    run_version     integer not null,
    event           text collate "C" not null,
    body            text not null,  -- final bytes: what is signed is what is sent
    status          text collate "C" not null default 'pending'
        check (status in ('pending', 'delivered', 'failed')),
    attempts        integer not null default 0,
    next_attempt_at timestamptz not null default now(),
    lease_until     timestamptz not null default '-infinity',
    last_attempt_at timestamptz,
    response_status integer,
    response_head   text,
    error_message   text,
    created_at      timestamptz not null default now(),
    delivered_at    timestamptz,
    unique (webhook_key, run_key, run_version, event)
);
create index webhook_deliveries_due on webhook_deliveries (next_attempt_at) where status = 'pending';

create table audit_log (
    audit_key   bigint generated always as identity primary key,
    id          uuid not null unique,
    actor       text not null,
    actor_type  text not null,
    action      text collate "C" not null,
    resource    text collate "C" not null,
    resource_id text,
    details     jsonb not null default '{}',
    request_id  text,
    created_at  timestamptz not null default now()
);
create index audit_log_created on audit_log (created_at desc, id);
create index audit_log_resource on audit_log (resource, resource_id);

-- One row per running daemon; its runs are its own while alive_until has not passed.
create table observer_instances (
    instance_id     uuid primary key,
    alive_until     timestamptz not null,
    draining        boolean not null default false,
    host            text not null,
    version         text not null,
    started_at      timestamptz not null default now(),
    runs            integer not null default 0, -- observed now
    streams_wanted  integer not null default 0, -- runs that should have an open stream
    streams_open    integer not null default 0,
    breaker_state   text collate "C" not null default 'CLOSED'
        check (breaker_state in ('CLOSED', 'HALF_OPEN', 'OPEN')),
    breaker_history json not null default '[]',
    breaker_reset_at timestamptz,
    metrics         json not null default '{}',
    config          json not null default '{}',  -- effective values without secrets
    config_hash     text not null default ''
);

-- What the runtime offers, as last seen; handlers read it here.
create table runtime_catalog (
    kind       text collate "C" primary key
        check (kind in ('initialize', 'manifest', 'modes', 'roots', 'policies')),
    body       json,                 -- null: never known
    ok         boolean not null,     -- the last attempt succeeded
    detail     text not null default '',
    fetched_at timestamptz,          -- last success
    checked_at timestamptz not null default now()
);

-- Sessions whose run was deleted or purged: discovery must not bring them back.
create table session_tombstones (
    session_id text collate "C" primary key,
    ended_at   timestamptz,
    created_at timestamptz not null default now()
);
