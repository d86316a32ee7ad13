-- What lists need to answer at once, however much is stored.
--
-- oldest-program: 3

-- Absent filters and arrays given as JSON become constants when a statement is planned with its
-- arguments, so that the planner knows how much each of them leaves.
create function json_texts(texts json) returns text[]
language sql immutable parallel safe as $$
    select array(select json_array_elements_text(texts))
$$;

-- Text that LIKE takes for itself.
create function like_escape(words text) returns text
language sql immutable parallel safe as $$
    select replace(replace(replace(words, '\', '\\'), '%', '\%'), '_', '\_')
$$;

-- ------------------------------------------------------------------------------------- runs

-- What a search looks at, in lower case, apart from the wide rows: any pattern, also one letter, is
-- looked for in all of them without an index that every change of status would pay for.
create table run_search (
    run_key bigint primary key references runs on delete cascade,
    words   text not null -- id, scenario, environment, tags as JSON, policy version
);
alter table run_search alter column words set compression lz4;

create function keep_words() returns trigger
language plpgsql security definer set search_path = pg_catalog, macp, pg_temp as $$
begin
    insert into run_search (run_key, words)
    values (new.run_key,
            lower(concat_ws(chr(1), new.id, new.scenario_ref, new.environment, to_json(new.tags),
                            new.descriptor #>> '{session,policyVersion}')))
    on conflict (run_key) do update set words = excluded.words;
    return null;
end
$$;
create trigger keep_words after insert or update of id, scenario_ref, environment, tags, descriptor
    on runs for each row execute function keep_words();
insert into run_search (run_key, words)
select run_key, lower(concat_ws(chr(1), id, scenario_ref, environment, to_json(tags),
                                descriptor #>> '{session,policyVersion}'))
  from runs;

create index runs_environment on runs (environment, created_at desc) where environment is not null;

-- ----------------------------------------------------------------------------------- events

-- Events of all runs are listed in the order of time: a tree finds where a page begins and reads
-- on from there; ranges of blocks do not. Times grow, so new entries go to its last page.
create index run_events_canonical_time on run_events_canonical (ts);
drop index run_events_canonical_ts;

-- ------------------------------------------------------------------------------------ audit

create index audit_log_actor on audit_log (actor, created_at desc);
create index audit_log_action on audit_log (action, created_at desc);
