-- Lists and the dashboard filter, sort and count in one narrow row per run: a wide row of runs is
-- read only when it is shown. The indexes that served them move there, so that a change of status
-- pays for about as many as before.
--
-- oldest-program: 3

-- A name of any length as one that fits into an index: equal when the names are.
create function list_name(name text) returns text
language sql immutable parallel safe as $$
    select case when length(name) > 100 then left(name, 60) || md5(name) else name end
$$;

create table run_list (
    run_key     bigint primary key references runs on delete cascade,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    ended_at    timestamptz,
    took_ms     double precision, -- from start to end of a completed run
    tokens      double precision, -- null while run_metrics may still change
    cost_usd    double precision,
    source      bigint,           -- source_ref in short: equal when the references are
    day         date not null,
    sandbox     boolean not null,
    archived    boolean not null,
    id          uuid not null,
    status      text collate "C" not null,
    error_code  text collate "C",
    environment text collate "C", -- as list_name says it
    source_ref  text collate "C",
    scenario    text collate "C", -- lower case
    tags        text[] not null,
    words       text collate "C" not null -- lower case: id, scenario, environment, tags as JSON, policy version
);
alter table run_list alter column words set compression lz4;

create function keep_list() returns trigger
language plpgsql security definer set search_path = pg_catalog, macp, pg_temp as $$
begin
    insert into run_list (run_key, created_at, updated_at, ended_at, took_ms, source, day, sandbox,
                          archived, id, status, error_code, environment, source_ref, scenario, tags,
                          words)
    values (new.run_key, new.created_at, new.updated_at, new.ended_at,
            case when new.status = 'completed'
                 then date_part('epoch', new.ended_at - new.started_at) * 1000 end,
            hashtextextended(new.source_ref, 0), new.day, new.mode = 'sandbox',
            new.archived_at is not null, new.id, new.status, new.error_code,
            list_name(new.environment), new.source_ref, lower(new.scenario_ref), new.tags,
            lower(concat_ws(chr(1), new.id, new.scenario_ref, new.environment, to_json(new.tags),
                            new.descriptor #>> '{session,policyVersion}')))
    on conflict (run_key) do update
       set created_at = excluded.created_at, source = excluded.source, day = excluded.day,
           sandbox = excluded.sandbox, id = excluded.id, environment = excluded.environment,
           source_ref = excluded.source_ref, scenario = excluded.scenario, tags = excluded.tags,
           words = excluded.words;
    return null;
end
$$;
-- What a run's life changes, without a look at its descriptor.
create function keep_status() returns trigger
language plpgsql security definer set search_path = pg_catalog, macp, pg_temp as $$
begin
    update run_list l
       set updated_at = new.updated_at, ended_at = new.ended_at,
           took_ms = case when new.status = 'completed'
                          then date_part('epoch', new.ended_at - new.started_at) * 1000 end,
           archived = new.archived_at is not null, status = new.status, error_code = new.error_code
     where l.run_key = new.run_key;
    return null;
end
$$;
-- Figures that stand when the run has ended; until then readers look at run_metrics.
create function keep_figures() returns trigger
language plpgsql security definer set search_path = pg_catalog, macp, pg_temp as $$
begin
    update run_list l
       set tokens = case when new.ended then new.total_tokens end,
           cost_usd = case when new.ended then new.estimated_cost_usd end
     where l.run_key = new.run_key
       and (new.ended or l.tokens is not null);
    return null;
end
$$;
drop trigger keep_words on runs;
drop function keep_words();
create trigger keep_list
    after insert or update of created_at, day, mode, id, environment, source_ref, scenario_ref, tags,
                              descriptor
    on runs for each row execute function keep_list();
create trigger keep_status
    after update of updated_at, started_at, ended_at, archived_at, status, error_code
    on runs for each row execute function keep_status();
create trigger keep_figures_of_new after insert on run_metrics
    for each row when (new.ended) execute function keep_figures();
create trigger keep_figures after update on run_metrics
    for each row when (new.ended or old.ended) execute function keep_figures();
insert into run_list (run_key, created_at, updated_at, ended_at, took_ms, tokens, cost_usd, source, day,
                      sandbox, archived, id, status, error_code, environment, source_ref, scenario,
                      tags, words)
select r.run_key, r.created_at, r.updated_at, r.ended_at,
       case when r.status = 'completed'
            then date_part('epoch', r.ended_at - r.started_at) * 1000 end,
       m.total_tokens, m.estimated_cost_usd, hashtextextended(r.source_ref, 0), r.day,
       r.mode = 'sandbox', r.archived_at is not null, r.id, r.status, r.error_code,
       list_name(r.environment), r.source_ref, lower(r.scenario_ref), r.tags, s.words
  from runs r
  join run_search s using (run_key)
  left join run_metrics m on m.run_key = r.run_key and m.ended
 order by r.run_key;

-- Programs of before look for words here.
drop table run_search;
create view run_search as select run_key, words from run_list;

-- What lists without a rare filter and the dashboard's figures are made of, without the row.
create index run_list_created on run_list (created_at desc, id)
    include (run_key, ended_at, took_ms, tokens, cost_usd, source, sandbox, archived, status,
             error_code, environment);
create index run_list_updated on run_list (updated_at desc, id)
    include (run_key, sandbox, archived, status, environment);
create index run_list_ended on run_list (ended_at)
    include (run_key, created_at, took_ms, sandbox, archived, status, environment)
    where ended_at is not null;
create index run_list_status on run_list (status, created_at desc);
create index run_list_environment on run_list (environment, created_at desc)
    include (run_key, sandbox, archived) where environment is not null;
-- The few runs that are in no figure.
create index run_list_left_out on run_list (run_key) where sandbox or archived;
create index run_list_tags on run_list using gin (tags);
drop index runs_created, runs_updated, runs_status, runs_tags, runs_environment, runs_figures,
    runs_left_out, runs_source_ref;
drop index runs_ended; -- what it had besides was for the dashboard
create index runs_ended on runs (ended_at) where ended_at is not null;
