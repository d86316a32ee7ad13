-- Figures of participants are sums over all runs. What runs that are over add to them is summed up
-- once, in blocks of 16384 runs that follow each other: a request adds up the blocks, and reads rows
-- only of the runs in the others.
--
-- oldest-program: 3

create table agent_blocks (
    block          bigint not null, -- run_key >> 14
    participant_id text collate "C" not null,
    runs           bigint not null,
    messages       bigint not null,
    signals        bigint not null,
    confidences    bigint not null,           -- how many signals have one
    confidence     double precision not null, -- their sum
    latencies      bigint not null,           -- how many model calls have one
    latency_ms     double precision not null, -- their sum
    primary key (block, participant_id)
);
-- What stands in agent_blocks counts for the blocks in here. One leaves when rows of its runs do: when
-- a run is deleted, or folded anew.
create table agent_blocks_summed (block bigint primary key);

create function agents_of_block(block bigint)
returns table (participant_id text, runs bigint, messages bigint, signals bigint, confidences bigint,
               confidence double precision, latencies bigint, latency_ms double precision)
language sql stable set search_path = pg_catalog, macp, pg_temp as $$
    select f.participant_id, sum(f.run)::bigint, sum(f.messages)::bigint, sum(f.signal)::bigint,
           count(f.confidence), coalesce(sum(f.confidence), 0),
           count(f.latency_ms), coalesce(sum(f.latency_ms), 0)
      from (select p.participant_id, 1 as run, p.messages, 0 as signal,
                   null::double precision as confidence, null::double precision as latency_ms
              from run_participants p
             where p.run_key >= block << 14 and p.run_key < (block + 1) << 14
            union all
            select s.participant_id, 0, 0, 1, s.confidence, null
              from run_signals s
             where s.run_key >= block << 14 and s.run_key < (block + 1) << 14
               and s.participant_id is not null
            union all
            select c.participant_id, 0, 0, 0, null, c.latency_ms
              from run_llm_calls c
             where c.run_key >= block << 14 and c.run_key < (block + 1) << 14
               and c.participant_id is not null and c.latency_ms is not null) f
     group by f.participant_id
$$;

-- Sums up one block whose runs are all over, and that no run can be added to any more: a key behind it
-- was given an hour ago. False when there is none. Who takes rows of a block away waits for it, and it
-- for them, so what is summed up is what stays.
create function sum_up_agents() returns boolean
language plpgsql security definer
set search_path = pg_catalog, macp, pg_temp set lock_timeout = '2s' as $$
declare
    chosen bigint;
begin
    lock table agent_blocks_summed in share row exclusive mode;
    select b into chosen
      from generate_series(0, (select max(l.run_key)
                                 from run_list l
                                where l.created_at < now() - interval '1 hour') / 16384 - 1) b
     where not exists (select from agent_blocks_summed s where s.block = b)
       and not exists (select from run_observers o
                        where o.run_key >= b << 14 and o.run_key < (b + 1) << 14 and not o.closed)
     order by b
     limit 1;
    if chosen is null then
        return false;
    end if;
    delete from agent_blocks where block = chosen;
    insert into agent_blocks (block, participant_id, runs, messages, signals, confidences, confidence,
                              latencies, latency_ms)
    select chosen, a.participant_id, a.runs, a.messages, a.signals, a.confidences, a.confidence,
           a.latencies, a.latency_ms
      from agents_of_block(chosen) a;
    insert into agent_blocks_summed (block) values (chosen);
    return true;
end
$$;
revoke execute on function sum_up_agents() from public;
grant execute on function sum_up_agents() to macp_observer;

create function agents_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog, macp, pg_temp as $$
begin
    delete from agent_blocks_summed
     where block in (select g.run_key >> 14 from gone g);
    return null;
end
$$;
create trigger agents_changed after delete on run_participants
    referencing old table as gone for each statement execute function agents_changed();
create trigger agents_changed after delete on run_signals
    referencing old table as gone for each statement execute function agents_changed();
create trigger agents_changed after delete on run_llm_calls
    referencing old table as gone for each statement execute function agents_changed();
