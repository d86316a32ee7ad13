-- An agent may give its session an id of any length, and an entry of a B-tree has room for so much:
-- where it must be unique its hash stands for a long one, as for other ids.
--
-- oldest-program: 3

create function session_key(session_id text) returns text
language sql immutable parallel safe as $$
    select case when octet_length(session_id) <= 512 then session_id
                else 'sha256:' || encode(sha256(convert_to(session_id, 'UTF8')), 'hex') end
$$;

drop index runs_session_live;
create unique index runs_session_live on runs (session_key(session_id))
    where status not in ('completed', 'failed', 'cancelled');
-- Its entries are hashes anyway, so it finds ids of any length.
drop index runs_session;
create index runs_session on runs using hash (session_id);

comment on column session_tombstones.session_id is 'session_key of the session';
