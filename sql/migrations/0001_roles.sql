-- Group roles, kept when they exist already; people and programs log in with roles of their own
-- that are members of one of these. The schemas, and the list of what was migrated.
--
-- Runs as whoever migrates; every later migration runs as macp_owner.
--
-- oldest-program: 1

do $$
declare
    r text;
    -- What "may act as" is called since Postgres 16.
    acting text := case when current_setting('server_version_num')::integer >= 160000
                        then 'set' else 'member' end;
begin
    foreach r in array array['macp_owner', 'macp_observer', 'macp_api', 'macp_report'] loop
        if not exists (select from pg_roles where rolname = r) then
            begin
                execute format('create role %I nologin', r);
            exception when duplicate_object or unique_violation then
                null; -- roles are shared by all databases: another one was migrated just now
            end;
        end if;
    end loop;
    if not pg_has_role(current_user, 'macp_owner', acting) then
        execute format('grant macp_owner to %I', current_user);
    end if;
    foreach r in array array['macp', 'report'] loop
        -- "if not exists" would ask for the right to create schemas even when there is one.
        if to_regnamespace(r) is null then
            execute format('create schema %I authorization macp_owner', r);
        end if;
    end loop;
end
$$;

set local role macp_owner;

grant usage on schema macp to macp_observer, macp_api;
grant usage on schema report to macp_report;

-- One row per migration that was applied. What may run on this schema: programs of its own
-- version and older ones down to the highest oldest_program.
create table schema_migrations (
    name           text collate "C" primary key,
    checksum       text collate "C" not null,
    oldest_program integer not null,
    applied_at     timestamptz not null default now()
);
grant select on schema_migrations to macp_observer, macp_api, macp_report;
