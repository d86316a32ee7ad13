-- Several requests may add events to one run at the same time.
--
-- oldest-program: 3

drop index commands_open;
create unique index commands_open on commands (run_key, kind)
    where state in ('requested', 'running') and run_key is not null and kind <> 'append';
