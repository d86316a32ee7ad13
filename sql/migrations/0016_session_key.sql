-- A function in SQL that an index uses is parsed anew by every statement that stores a row there; one
-- in PL/pgSQL is only called. What it says is the same.
--
-- oldest-program: 3

create or replace function session_key(session_id text) returns text
language plpgsql immutable parallel safe as $$
begin
    return case when octet_length(session_id) <= 512 then session_id
                else 'sha256:' || encode(sha256(convert_to(session_id, 'UTF8')), 'hex') end;
end
$$;
