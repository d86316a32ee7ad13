-- What bench_lists asks about: runs of the last 90 days, more of them lately, and about 25 events of
-- each, what was called and noted about them. :runs: is replaced by a number. Deterministic, except for ids and the time of day.
set search_path = macp;
set synchronous_commit = off;
select setseed(0.42);

select ensure_partitions((now() at time zone 'utc')::date - 7 * w, 1) from generate_series(0, 14) w;

-- One row per run with all that is chosen about it.
create temporary table dice as
select n, gen_random_uuid() as id,
       now() - interval '90 days' * power(random(), 1.3) - interval '1 minute' as created_at,
       random() as fate, random() as kind, random() as place,
       -- Some scenarios are run all the time, most of them rarely.
       floor(60 * power(random(), 3))::integer as scenario,
       (2 + floor(60 * power(random(), 5)))::integer as envelopes,
       interval '1 second' * (1 + 600 * power(random(), 4)) as took
  from generate_series(1, :runs:) n;

insert into runs (id, day, session_id, idempotency_key, origin, status, version, mode, mode_name,
                  runtime_kind, trace_id, source_kind, source_ref, environment, scenario_ref, tags,
                  descriptor, metadata, outcome_positive, error_code, error_message,
                  failure_reason, created_at, started_at, ended_at, updated_at, archived_at)
select id, (created_at at time zone 'utc')::date, id::text, case when fate < 0.5 then 'key-' || n end,
       case when fate < 0.6 then 'posted' else 'discovered' end, s.status, 4,
       case when kind < 0.05 then 'sandbox' else 'live' end,
       'macp.mode.' || (array['decision', 'proposal', 'task', 'handoff', 'quorum'])[1 + n % 5] || '.v1',
       'rust', md5(n::text), case when fate < 0.6 then 'scenario' end,
       case when fate < 0.6 then 'pack-' || scenario % 12 || '/scenario-' || scenario end,
       case when place < 0.6 then 'production' when place < 0.85 then 'staging'
            when place < 0.95 then 'development' end,
       case when fate < 0.6 then 'pack-' || scenario % 12 || '/scenario-' || scenario || '@1.' || n % 4 end,
       array['team-' || n % 9] || case when n % 3 = 0 then array['nightly'] else '{}' end
           || case when n % 1000 = 0 then array['rare'] else '{}' end,
       json_build_object(
           'mode', 'live', 'runtime', json_build_object('kind', 'rust', 'version', '1.0.0'),
           'session', json_build_object(
               'sessionId', id, 'modeName', 'macp.mode.decision.v1', 'modeVersion', '1.0.0',
               'configurationVersion', 'config.default', 'policyVersion', 'policy.v' || scenario % 7,
               'ttlMs', 60000,
               'participants', json_build_array(
                   json_build_object('id', 'agent://planner-' || n % 50, 'role', 'planner'),
                   json_build_object('id', 'agent://reviewer-' || n % 70, 'role', 'reviewer'),
                   json_build_object('id', 'agent://critic-' || n % 80, 'role', 'critic')),
               'metadata', json_build_object('source', 'bench', 'note', repeat('x', 200))),
           'execution', json_build_object('tags', json_build_array('team-' || n % 9))),
       jsonb_build_object('totalTokens', n % 5000, 'estimatedCostUsd', 0.01),
       case when s.status = 'completed' then n % 5 > 0 end,
       case when s.status = 'failed' then 'RUN_FAILED' end,
       case when s.status = 'failed' then 'the session expired' end,
       case when s.status = 'failed' then 'session_expired' end,
       created_at, created_at + interval '80 milliseconds',
       case when s.status in ('completed', 'failed', 'cancelled') then created_at + took end,
       created_at + took, case when n % 12 = 0 then created_at + took + interval '1 day' end
  from dice
 cross join lateral (select case when created_at > now() - interval '1 hour' and fate < 0.5 then 'running'
                                 when fate < 0.8 then 'completed' when fate < 0.93 then 'failed'
                                 when fate < 0.995 then 'cancelled' when fate < 0.997 then 'suspended'
                                 else 'queued' end as status) s
 order by created_at;

create temporary table chosen as
select r.run_key, r.day, r.status, d.*
  from dice d
  join runs r using (id);
create index on chosen (n);
analyze chosen;

insert into run_observers (run_key, day, last_seq, cursor, session_state, closed)
select run_key, day, envelopes * 4, envelopes, 'SESSION_STATE_RESOLVED',
       true -- no observer shall go on with them
  from chosen;
insert into run_metrics (run_key, event_count, message_count, signal_count, prompt_tokens,
                         completion_tokens, total_tokens, estimated_cost_usd, first_event_at,
                         last_event_at, ended)
select run_key, envelopes * 2, envelopes, envelopes / 4, 900, 100, 1000, random() / 10,
       created_at, created_at + took, status in ('completed', 'failed', 'cancelled')
  from chosen;
insert into run_participants (run_key, participant_id, declared, status, messages, first_seen_at)
select run_key, 'agent://' || p.role || '-' || n % p.many, true, 'completed', envelopes / 3,
       created_at
  from chosen, (values ('planner', 50), ('reviewer', 70), ('critic', 80)) p (role, many);

-- Of each envelope two events, some of them signals, decisions and calls of models.
insert into run_events_canonical (day, run_key, seq, ts, type, subject_kind, subject_id,
                                  source_kind, source_name, raw_type, sender, trace_id, data,
                                  created_at)
select day, run_key, s,
       date_trunc('milliseconds', created_at + took * s / (2 * envelopes + 1)),
       t.type, 'message', md5((n * 1000 + s)::text), 'runtime', 'rust-runtime', 'Proposal',
       'agent://planner-' || n % 50, md5(n::text),
       jsonb_build_object('messageId', md5((n * 1000 + s)::text), 'sender', 'agent://planner-' || n % 50,
                          'sessionId', id, 'sentAt', created_at,
                          'decodedPayload', jsonb_build_object('outcomePositive', n % 5 > 0,
                              'text', repeat('lorem ipsum ', (n + s) % 12))),
       created_at + took * s / (2 * envelopes + 1) + interval '5 milliseconds'
  from chosen
 cross join lateral generate_series(1, 2 * envelopes) s
 cross join lateral (select case when s = 1 then 'run.created' when s = 2 then 'session.bound'
                                 when s = 2 * envelopes and status = 'completed' then 'decision.finalized'
                                 when s % 9 = 0 then 'signal.emitted'
                                 when s % 31 = 0 then 'policy.denied'
                                 when s % 7 = 0 then 'llm.call.completed'
                                 else (array['message.sent', 'message.received', 'proposal.created',
                                             'proposal.updated', 'participant.seen'])[1 + s % 5]
                            end as type) t
 order by created_at, s;

insert into run_signals (run_key, seq, ts, name, participant_id, confidence, signal_id)
select run_key, seq, ts, 'anomaly', sender, random(), subject_id
  from run_events_canonical where type = 'signal.emitted';
insert into run_decisions (run_key, seq, ts, action, outcome_positive, decided_by, final)
select run_key, seq, ts, 'decision.selected',
       (data #> '{decodedPayload,outcomePositive}')::boolean, sender, true
  from run_events_canonical where type = 'decision.finalized';
insert into run_llm_calls (run_key, seq, ts, participant_id, model, provider, prompt_tokens,
                           completion_tokens, total_tokens, latency_ms, estimated_cost_usd)
select run_key, seq, ts, sender, 'gpt-4o', 'openai', 900, 100, 1000, 100 + seq, 0.01
  from run_events_canonical where type = 'llm.call.completed';
insert into audit_log (id, actor, actor_type, action, resource, resource_id, created_at)
select gen_random_uuid(), 'key-' || substr(md5((n % 17)::text), 1, 8), 'api-key',
       (array['run.created', 'run.archived', 'run.cancelled', 'webhook.created'])
           [case when n % 500 = 0 then 4 when n % 12 = 0 then 2 when n % 40 = 0 then 3 else 1 end],
       case when n % 500 = 0 then 'webhook' else 'run' end, id::text, created_at
  from dice
 order by created_at;

-- One webhook that heard of everything, one of little.
insert into webhooks (id, url, secret, created_at)
select gen_random_uuid(), 'https://example.com/' || n, 's', now() - interval '90 days' * (2 - n)
  from generate_series(1, 2) n;
insert into webhook_deliveries (public_id, webhook_key, run_key, run_version, event, body, status,
                                attempts, last_attempt_at, response_status, error_message, created_at,
                                delivered_at)
select gen_random_uuid(), case when n % 400 = 0 then 2 else 1 end, run_key, 4, 'run.' || c.status, '{}',
       case when n % 50 = 0 then 'failed' else 'delivered' end, 1, created_at, 200,
       case when n % 50 = 0 then 'the endpoint answered 500' end, created_at, created_at + took
  from chosen c
 order by created_at;
