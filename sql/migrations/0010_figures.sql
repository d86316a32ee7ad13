-- What the dashboard's figures are made of, in indexes: a month of runs is read without touching
-- their wide rows.
--
-- oldest-program: 3

create index runs_figures on runs (created_at)
    include (run_key, status, mode, archived_at, started_at, ended_at, source_ref, error_code);
drop index runs_ended;
create index runs_ended on runs (ended_at) include (created_at, status, mode, archived_at)
    where ended_at is not null;
-- The few runs that are in no figure.
create index runs_left_out on runs (run_key) where mode = 'sandbox' or archived_at is not null;
create index run_signals_ts on run_signals (ts) include (run_key);
create index run_decisions_ts on run_decisions (ts) include (run_key, outcome_positive);

-- A name may be longer than an entry of an index: its beginning finds it.
drop index runs_environment;
create index runs_environment on runs (left(environment, 100), created_at desc)
    where environment is not null;
