-- Schema report: what people ask in SQL. Views owned by macp_owner, so that their readers need no
-- right on any table. Names are stable: a column that is shown stays.
--
-- oldest-program: 3

-- ------------------------------------------------------------------------------ fact tables

-- Acknowledgements name their signal by it. Too long for an index: its hash, as other keys.
alter table run_signals add column signal_id text collate "C";
create index run_signals_id on run_signals (run_key, signal_id, seq) where signal_id is not null;

-- What the caller said a call cost; estimated_cost_usd is by the price list.
alter table run_llm_calls add column reported_cost_usd numeric(18, 6);
create index run_llm_calls_day on run_llm_calls (((ts at time zone 'utc')::date));

create index runs_day on runs (day);

-- Facts are inserted under the guard of their run's observer row, which goes with the run: a check
-- of every row against runs would find nothing and cost more than the row itself.
alter table run_participants drop constraint run_participants_run_key_fkey;
alter table run_decisions drop constraint run_decisions_run_key_fkey;
alter table run_votes drop constraint run_votes_run_key_fkey;
alter table run_signals drop constraint run_signals_run_key_fkey;
alter table run_llm_calls drop constraint run_llm_calls_run_key_fkey;

-- They still go with their run, whoever deletes it.
create function forget_facts() returns trigger
language plpgsql set search_path = pg_catalog, macp, pg_temp as $$
begin
    delete from run_participants f using gone g where f.run_key = g.run_key;
    delete from run_decisions f using gone g where f.run_key = g.run_key;
    delete from run_votes f using gone g where f.run_key = g.run_key;
    delete from run_signals f using gone g where f.run_key = g.run_key;
    delete from run_llm_calls f using gone g where f.run_key = g.run_key;
    return null;
end
$$;
create trigger forget_facts after delete on runs
    referencing old table as gone for each statement execute function forget_facts();

-- An amount as the views show it; what no amount can be is null or cut, never an error.
create function usd(amount numeric) returns numeric(18, 6)
language sql immutable parallel safe as $$
    select case when amount <> 'NaN' then
               least(greatest(amount, -999999999999.999999), 999999999999.999999)::numeric(18, 6)
           end
$$;

-- ------------------------------------------------------------------------------------ views

create view report.runs as
select r.id as run_id,
       r.day,
       r.session_id,
       r.origin,
       r.status,
       r.mode_name as mode,
       r.mode = 'sandbox' as sandbox,
       r.runtime_kind,
       r.runtime_version,
       r.environment,
       r.scenario_ref as scenario,
       r.source_kind,
       r.source_ref,
       r.tags,
       r.trace_id,
       s.mode_version,
       s.configuration_version,
       s.policy_version,
       s.initiator,
       s.context_id,
       o.session_state,
       o.observer_state,
       r.outcome_positive,
       r.failure_reason,
       r.error_message,
       r.created_at,
       r.started_at,
       r.ended_at,
       extract(epoch from r.ended_at - r.started_at) * 1000 as duration_ms,
       r.archived_at,
       m.event_count as events,
       m.message_count as messages,
       m.signal_count as signals,
       m.proposal_count as proposals,
       m.tool_call_count as tool_calls,
       m.decision_count as decisions,
       m.stream_reconnect_count as reconnects,
       least(greatest(m.prompt_tokens, -1e15), 1e15) as prompt_tokens,
       least(greatest(m.completion_tokens, -1e15), 1e15) as completion_tokens,
       least(greatest(m.total_tokens, -1e15), 1e15) as total_tokens,
       usd(m.estimated_cost_usd::numeric) as estimated_cost_usd,
       m.first_event_at,
       m.last_event_at
  from runs r
  left join run_observers o using (run_key)
  left join run_sessions s using (run_key)
  left join run_metrics m using (run_key);
comment on view report.runs is
    'one row per run: what was observed, how it ended, its counters';
comment on column report.runs.run_id is
    'id of the run, as in the API';
comment on column report.runs.day is
    'UTC day on which the run was created';
comment on column report.runs.session_id is
    'session of the runtime that the run observes';
comment on column report.runs.origin is
    'how the run came about: posted, discovered, adopted, cloned or imported';
comment on column report.runs.status is
    'queued, starting, binding_session, running, suspended, completed, failed or cancelled';
comment on column report.runs.mode is
    'coordination mode, such as macp.mode.decision.v1';
comment on column report.runs.sandbox is
    'true for a trial run, which lists leave out by default';
comment on column report.runs.runtime_kind is
    'kind of runtime';
comment on column report.runs.runtime_version is
    'version of the runtime that was asked for';
comment on column report.runs.environment is
    'environment given with the run';
comment on column report.runs.scenario is
    'scenario given with the run';
comment on column report.runs.source_kind is
    'kind of system that asked for the run';
comment on column report.runs.source_ref is
    'reference in that system';
comment on column report.runs.tags is
    'labels given with the run';
comment on column report.runs.trace_id is
    'trace id of the run and its events';
comment on column report.runs.mode_version is
    'version of the mode, as the runtime says';
comment on column report.runs.configuration_version is
    'version of the configuration, as the runtime says';
comment on column report.runs.policy_version is
    'policy of the session, as the runtime says';
comment on column report.runs.initiator is
    'participant that opened the session';
comment on column report.runs.context_id is
    'context that the session belongs to';
comment on column report.runs.session_state is
    'state of the session as last seen';
comment on column report.runs.observer_state is
    'ok, degraded, forbidden or disconnected: how well the run is observed';
comment on column report.runs.outcome_positive is
    'true or false as decided; null when undecided or unknown';
comment on column report.runs.failure_reason is
    'short reason of a failed run';
comment on column report.runs.error_message is
    'the same for people';
comment on column report.runs.created_at is
    'when the run was asked for or discovered';
comment on column report.runs.started_at is
    'when observation started';
comment on column report.runs.ended_at is
    'when it ended; null while it lives';
comment on column report.runs.duration_ms is
    'milliseconds from started_at to ended_at';
comment on column report.runs.archived_at is
    'when it was archived';
comment on column report.runs.events is
    'events of the run';
comment on column report.runs.messages is
    'messages, sent and received';
comment on column report.runs.signals is
    'signals';
comment on column report.runs.proposals is
    'proposals and answers to them';
comment on column report.runs.tool_calls is
    'tool calls and their results';
comment on column report.runs.decisions is
    'commitments';
comment on column report.runs.reconnects is
    'how often the session''s stream had to be opened again';
comment on column report.runs.prompt_tokens is
    'tokens sent to models';
comment on column report.runs.completion_tokens is
    'tokens received from models';
comment on column report.runs.total_tokens is
    'their sum';
comment on column report.runs.estimated_cost_usd is
    'cost of the model calls by the price list, in US dollars';
comment on column report.runs.first_event_at is
    'time of the first event';
comment on column report.runs.last_event_at is
    'time of the last event that counts for the duration';

create view report.run_timeline as
select r.id as run_id,
       r.day,
       e.seq,
       e.ts,
       e.type,
       e.subject_kind,
       e.subject_id,
       e.sender as participant_id,
       e.raw_type as message_type,
       e.source_kind,
       e.source_name,
       e.trace_id,
       e.span_id,
       e.data
  from runs r
  join run_events_canonical e on e.day = r.day and e.run_key = r.run_key;
comment on view report.run_timeline is
    'one row per event of a run, in order of seq';
comment on column report.run_timeline.run_id is
    'the run';
comment on column report.run_timeline.day is
    'UTC day on which the run was created; filter by it when many runs are read';
comment on column report.run_timeline.seq is
    'number of the event inside its run';
comment on column report.run_timeline.ts is
    'when it was observed';
comment on column report.run_timeline.type is
    'what happened, such as proposal.created';
comment on column report.run_timeline.subject_kind is
    'kind of thing it happened to';
comment on column report.run_timeline.subject_id is
    'id of that thing';
comment on column report.run_timeline.participant_id is
    'who sent the message behind it';
comment on column report.run_timeline.message_type is
    'type of that message; null for events of the observer itself';
comment on column report.run_timeline.source_kind is
    'runtime, or the observer itself';
comment on column report.run_timeline.source_name is
    'which part of it';
comment on column report.run_timeline.trace_id is
    'trace id';
comment on column report.run_timeline.span_id is
    'span id, when there was one';
comment on column report.run_timeline.data is
    'what the event says, as in the API, redacted as configured';

create view report.participants as
select r.id as run_id,
       r.day,
       p.participant_id,
       p.declared,
       p.status,
       p.messages,
       p.first_seen_at,
       p.last_active_at
  from runs r
  join run_participants p using (run_key);
comment on view report.participants is
    'one row per participant of a run, at most 1000 of a run';
comment on column report.participants.run_id is
    'the run';
comment on column report.participants.day is
    'UTC day on which the run was created; filter by it when many runs are read';
comment on column report.participants.participant_id is
    'the participant; an id of more than 512 bytes as sha256:<hex>, as in all views but run_timeline and runs';
comment on column report.participants.declared is
    'true when known as the session was bound, false when it appeared later';
comment on column report.participants.status is
    'idle, waiting, active, completed, failed or skipped, as in the state of the run; up to 250 ms behind while it lives';
comment on column report.participants.messages is
    'messages it sent in the session; up to 250 ms behind while the run lives';
comment on column report.participants.first_seen_at is
    'when it was first named';
comment on column report.participants.last_active_at is
    'when it last sent a message; null when never';

create view report.decisions as
select r.id as run_id,
       r.day,
       d.seq,
       d.ts,
       d.commitment_id,
       d.action,
       d.outcome_positive,
       d.confidence,
       d.decided_by,
       d.reason,
       d.final
  from runs r
  join run_decisions d using (run_key);
comment on view report.decisions is
    'one row per commitment of a run';
comment on column report.decisions.run_id is
    'the run';
comment on column report.decisions.day is
    'UTC day on which the run was created; filter by it when many runs are read';
comment on column report.decisions.seq is
    'number of the event inside its run';
comment on column report.decisions.ts is
    'when it was observed';
comment on column report.decisions.commitment_id is
    'id of the commitment, when it has one';
comment on column report.decisions.action is
    'what was decided';
comment on column report.decisions.outcome_positive is
    'true or false as said, else by the action''s last word; null when neither tells';
comment on column report.decisions.confidence is
    'as said; for the one that stands, else the share of votes for';
comment on column report.decisions.decided_by is
    'participant that committed';
comment on column report.decisions.reason is
    'why, in its words';
comment on column report.decisions.final is
    'true for the first commitment of the run: the one that stands';

create view report.votes as
select r.id as run_id,
       r.day,
       v.seq,
       v.ts,
       v.proposal_id,
       v.participant_id,
       v.message_type,
       v.vote,
       not exists (select from run_votes l
                    where l.run_key = v.run_key and l.seq > v.seq
                      and l.proposal_id is not distinct from v.proposal_id
                      and l.participant_id is not distinct from v.participant_id
                      and l.message_type is not distinct from v.message_type) as latest
  from runs r
  join run_votes v using (run_key);
comment on view report.votes is
    'one row per vote for or against; abstentions are none';
comment on column report.votes.run_id is
    'the run';
comment on column report.votes.day is
    'UTC day on which the run was created; filter by it when many runs are read';
comment on column report.votes.seq is
    'number of the event inside its run';
comment on column report.votes.ts is
    'when it was observed';
comment on column report.votes.proposal_id is
    'what was voted on: a proposal, request, task or handoff';
comment on column report.votes.participant_id is
    'who voted';
comment on column report.votes.message_type is
    'how: Vote, Evaluation, Accept, Reject and the like';
comment on column report.votes.vote is
    'allow or deny';
comment on column report.votes.latest is
    'true unless the participant voted on the same by the same type of message again: the one that counts';

create view report.signals as
select r.id as run_id,
       r.day,
       g.seq,
       g.ts,
       g.signal_id,
       g.name,
       g.participant_id,
       g.confidence,
       g.acknowledged_at,
       g.acknowledged_by
  from runs r
  join run_signals g using (run_key);
comment on view report.signals is
    'one row per signal of a run';
comment on column report.signals.run_id is
    'the run';
comment on column report.signals.day is
    'UTC day on which the run was created; filter by it when many runs are read';
comment on column report.signals.seq is
    'number of the event inside its run';
comment on column report.signals.ts is
    'when it was observed';
comment on column report.signals.signal_id is
    'id of the signal';
comment on column report.signals.name is
    'type of the signal';
comment on column report.signals.participant_id is
    'who sent it';
comment on column report.signals.confidence is
    'as said';
comment on column report.signals.acknowledged_at is
    'when it was last acknowledged; null when never';
comment on column report.signals.acknowledged_by is
    'who acknowledged it last';

create view report.llm_calls as
select r.id as run_id,
       r.day,
       c.seq,
       c.ts,
       c.participant_id,
       c.model,
       c.provider,
       c.prompt_tokens,
       c.completion_tokens,
       c.total_tokens,
       c.latency_ms,
       c.estimated_cost_usd,
       c.reported_cost_usd
  from runs r
  join run_llm_calls c using (run_key);
comment on view report.llm_calls is
    'one row per model call';
comment on column report.llm_calls.run_id is
    'the run';
comment on column report.llm_calls.day is
    'UTC day on which the run was created; filter by it when many runs are read';
comment on column report.llm_calls.seq is
    'number of the event inside its run';
comment on column report.llm_calls.ts is
    'when it was observed';
comment on column report.llm_calls.participant_id is
    'who called';
comment on column report.llm_calls.model is
    'model, as said';
comment on column report.llm_calls.provider is
    'provider, as said';
comment on column report.llm_calls.prompt_tokens is
    'tokens sent';
comment on column report.llm_calls.completion_tokens is
    'tokens received';
comment on column report.llm_calls.total_tokens is
    'their sum, as said or added up';
comment on column report.llm_calls.latency_ms is
    'milliseconds it took, as said';
comment on column report.llm_calls.estimated_cost_usd is
    'cost by the price list, in US dollars';
comment on column report.llm_calls.reported_cost_usd is
    'cost as the caller said, in US dollars';

create view report.llm_usage as
select (c.ts at time zone 'utc')::date as day,
       c.model,
       c.provider,
       count(*) as calls,
       count(distinct c.run_key) as runs,
       sum(c.prompt_tokens) as prompt_tokens,
       sum(c.completion_tokens) as completion_tokens,
       sum(c.total_tokens) as total_tokens,
       usd(sum(c.estimated_cost_usd)) as estimated_cost_usd,
       usd(sum(c.reported_cost_usd)) as reported_cost_usd,
       avg(c.latency_ms) as latency_ms_avg,
       percentile_cont(0.95) within group (order by c.latency_ms) as latency_ms_p95
  from run_llm_calls c
 group by (c.ts at time zone 'utc')::date, c.model, c.provider;
comment on view report.llm_usage is
    'one row per UTC day, model and provider with calls';
comment on column report.llm_usage.day is
    'UTC day of the calls';
comment on column report.llm_usage.model is
    'model, as said';
comment on column report.llm_usage.provider is
    'provider, as said';
comment on column report.llm_usage.calls is
    'model calls';
comment on column report.llm_usage.runs is
    'runs with such calls';
comment on column report.llm_usage.prompt_tokens is
    'tokens sent';
comment on column report.llm_usage.completion_tokens is
    'tokens received';
comment on column report.llm_usage.total_tokens is
    'their sum';
comment on column report.llm_usage.estimated_cost_usd is
    'cost by the price list, in US dollars';
comment on column report.llm_usage.reported_cost_usd is
    'cost as callers said, in US dollars; null when nobody did';
comment on column report.llm_usage.latency_ms_avg is
    'mean latency of the calls that said one, milliseconds';
comment on column report.llm_usage.latency_ms_p95 is
    '95 of 100 calls were at most that slow';

create view report.policy_evaluations as
select r.id as run_id,
       r.day,
       e.seq,
       e.ts,
       case e.type when 'policy.denied' then 'denied' else 'evaluated' end as kind,
       coalesce(e.data -> 'decodedPayload' ->> 'decision',
                case e.type when 'policy.denied' then 'deny' end) as decision,
       coalesce(e.data -> 'decodedPayload' ->> 'commitmentId',
                case e.type when 'policy.commitment.evaluated' then e.subject_id end) as commitment_id,
       e.data ->> 'messageId' as message_id,
       e.sender as participant_id,
       array(select jsonb_array_elements_text(
                 case jsonb_typeof(e.data -> 'decodedPayload' -> 'reasons')
                     when 'array' then e.data -> 'decodedPayload' -> 'reasons' else '[]' end)) as reasons,
       e.data ->> 'errorMessage' as error_message
  from runs r
  join run_events_canonical e on e.day = r.day and e.run_key = r.run_key
 where e.type in ('policy.commitment.evaluated', 'policy.denied');
comment on view report.policy_evaluations is
    'one row per judgement of a policy on a commitment or message';
comment on column report.policy_evaluations.run_id is
    'the run';
comment on column report.policy_evaluations.day is
    'UTC day on which the run was created; filter by it when many runs are read';
comment on column report.policy_evaluations.seq is
    'number of the event inside its run';
comment on column report.policy_evaluations.ts is
    'when it was observed';
comment on column report.policy_evaluations.kind is
    'evaluated, or denied when something was refused';
comment on column report.policy_evaluations.decision is
    'allow or deny, as said';
comment on column report.policy_evaluations.commitment_id is
    'commitment that was judged, when named';
comment on column report.policy_evaluations.message_id is
    'message that was refused, when it is one';
comment on column report.policy_evaluations.participant_id is
    'who sent the judgement; null when it was the runtime''s answer to a message';
comment on column report.policy_evaluations.reasons is
    'why, as said';
comment on column report.policy_evaluations.error_message is
    'the runtime''s words for a refusal';

create view report.outcomes_daily as
select r.day,
       r.mode_name as mode,
       r.environment,
       r.scenario_ref as scenario,
       r.mode = 'sandbox' as sandbox,
       count(*) as runs,
       count(*) filter (where r.status = 'completed') as completed,
       count(*) filter (where r.status = 'failed') as failed,
       count(*) filter (where r.status = 'cancelled') as cancelled,
       count(*) filter (where r.status not in ('completed', 'failed', 'cancelled')) as unfinished,
       count(*) filter (where r.outcome_positive) as positive,
       count(*) filter (where not r.outcome_positive) as negative,
       avg(extract(epoch from r.ended_at - r.started_at) * 1000) as duration_ms_avg,
       percentile_cont(0.5)
           within group (order by extract(epoch from r.ended_at - r.started_at) * 1000) as duration_ms_p50,
       percentile_cont(0.95)
           within group (order by extract(epoch from r.ended_at - r.started_at) * 1000) as duration_ms_p95,
       coalesce(sum(least(greatest(m.total_tokens, -1e15), 1e15)), 0) as total_tokens,
       usd(coalesce(sum(usd(m.estimated_cost_usd::numeric)), 0)) as estimated_cost_usd
  from runs r
  left join run_metrics m using (run_key)
 group by r.day, r.mode_name, r.environment, r.scenario_ref, r.mode = 'sandbox';
comment on view report.outcomes_daily is
    'one row per UTC day, mode, environment, scenario and sandbox flag with runs';
comment on column report.outcomes_daily.day is
    'UTC day on which the runs were created';
comment on column report.outcomes_daily.mode is
    'coordination mode';
comment on column report.outcomes_daily.environment is
    'environment given with the runs';
comment on column report.outcomes_daily.scenario is
    'scenario given with the runs';
comment on column report.outcomes_daily.sandbox is
    'true for trial runs';
comment on column report.outcomes_daily.runs is
    'runs';
comment on column report.outcomes_daily.completed is
    'of them completed';
comment on column report.outcomes_daily.failed is
    'of them failed';
comment on column report.outcomes_daily.cancelled is
    'of them cancelled';
comment on column report.outcomes_daily.unfinished is
    'of them still alive';
comment on column report.outcomes_daily.positive is
    'runs with a positive outcome';
comment on column report.outcomes_daily.negative is
    'runs with a negative outcome';
comment on column report.outcomes_daily.duration_ms_avg is
    'mean milliseconds from start to end';
comment on column report.outcomes_daily.duration_ms_p50 is
    'half of the runs took at most that long';
comment on column report.outcomes_daily.duration_ms_p95 is
    '95 of 100 runs took at most that long';
comment on column report.outcomes_daily.total_tokens is
    'tokens of all model calls';
comment on column report.outcomes_daily.estimated_cost_usd is
    'their cost by the price list, in US dollars';

create view report.observer_gaps as
select r.id as run_id,
       r.day,
       g.kind,
       g.epoch,
       g.from_ordinal,
       g.to_ordinal,
       g.from_ts,
       g.to_ts,
       g.detail,
       g.noted_at
  from observer_gaps g
  left join runs r using (run_key);
comment on view report.observer_gaps is
    'one row per stretch of envelopes that could not be had';
comment on column report.observer_gaps.run_id is
    'the run; null for a gap of the watch on signals';
comment on column report.observer_gaps.day is
    'UTC day on which the run was created';
comment on column report.observer_gaps.kind is
    'compacted, signals, forgotten, reset or oversize';
comment on column report.observer_gaps.epoch is
    'how often the session had begun anew';
comment on column report.observer_gaps.from_ordinal is
    'first envelope that is missing';
comment on column report.observer_gaps.to_ordinal is
    'last envelope that is missing';
comment on column report.observer_gaps.from_ts is
    'when the gap began, as far as known';
comment on column report.observer_gaps.to_ts is
    'when it ended';
comment on column report.observer_gaps.detail is
    'what is known about it';
comment on column report.observer_gaps.noted_at is
    'when it was noted';

create view report.ingest_lag as
select r.id as run_id,
       r.day,
       r.status,
       count(*) as envelopes,
       min(e.received_at) as first_received_at,
       max(e.received_at) as last_received_at,
       avg(extract(epoch from e.created_at - e.received_at) * 1000) as store_ms_avg,
       percentile_cont(0.95)
           within group (order by extract(epoch from e.created_at - e.received_at) * 1000) as store_ms_p95,
       max(extract(epoch from e.created_at - e.received_at) * 1000) as store_ms_max,
       avg(extract(epoch from e.received_at - e.sent_at) * 1000) as send_ms_avg,
       percentile_cont(0.95)
           within group (order by extract(epoch from e.received_at - e.sent_at) * 1000) as send_ms_p95
  from runs r
  join run_events_raw e on e.day = r.day and e.run_key = r.run_key
 where e.source in ('session', 'ambient')
 group by r.id, r.day, r.status;
comment on view report.ingest_lag is
    'one row per run with envelopes: how long they were on their way';
comment on column report.ingest_lag.run_id is
    'the run';
comment on column report.ingest_lag.day is
    'UTC day on which the run was created; filter by it when many runs are read';
comment on column report.ingest_lag.status is
    'status of the run';
comment on column report.ingest_lag.envelopes is
    'envelopes received from the runtime';
comment on column report.ingest_lag.first_received_at is
    'when the first one was received';
comment on column report.ingest_lag.last_received_at is
    'when the last one was received';
comment on column report.ingest_lag.store_ms_avg is
    'mean milliseconds from being received to the start of the transaction that stored it';
comment on column report.ingest_lag.store_ms_p95 is
    '95 of 100 took at most that long';
comment on column report.ingest_lag.store_ms_max is
    'the longest';
comment on column report.ingest_lag.send_ms_avg is
    'mean milliseconds from being sent, by the sender''s clock, to being received; envelopes read later count in full';
comment on column report.ingest_lag.send_ms_p95 is
    '95 of 100 took at most that long';

-- ----------------------------------------------------------------------------------- rights

grant select on all tables in schema report to macp_report;
alter default privileges in schema report grant select on tables to macp_report;
revoke all on schema_migrations from macp_report; -- nothing outside report is theirs

-- Makes a login role a reader of the reports. Settings of a group do not reach its members, so
-- they are made for the login itself, in this database. They are defaults against accidents that
-- a session may change; what holds in any case is that the role may only select from the views.
-- For whoever may alter roles and is a member of macp_owner.
create function report_login(login name, statement_timeout text default '60s') returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    setting text[];
begin
    execute format('grant macp_report to %I', login);
    foreach setting slice 1 in array array[
        ['statement_timeout', statement_timeout],
        ['idle_in_transaction_session_timeout', '5min'],
        ['default_transaction_read_only', 'on'],
        ['search_path', 'report']]
    loop
        execute format('alter role %I in database %I set %I = %L', login, current_database(),
                       setting[1], setting[2]);
    end loop;
end
$$;
revoke all on function report_login(name, text) from public;
