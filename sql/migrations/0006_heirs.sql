-- An instance that leaves, or has more than its share, gives runs to another one that reads their
-- sessions already. A program that does not know this table keeps its runs and frees them when it
-- ends, as before.
--
-- oldest-program: 3

-- Who is about to take a run over from its live owner.
create table run_heirs (
    run_key      bigint primary key references runs on delete cascade,
    heir         uuid not null,      -- observer_instances.instance_id; counts while that one is alive
    from_ordinal bigint              -- the heir holds everything behind it; null: it does not read yet
);
create index run_heirs_heir on run_heirs (heir);
grant select, insert, update, delete on run_heirs to macp_observer;
grant select on run_heirs to macp_api;
