-- name:   command_request
-- params: 1 runKey bigint (null: about no run), 2 kind text, 3 args jsonb, 4 requester text,
--         5 requestId text, 6 token uuid, 7 how long it may take in ms bigint
-- result: its id; of the one that is open for the run, or was made by the same token, when there
--         is one. No row: that one has just ended, ask again
with made as (
    insert into commands (run_key, kind, args, requester, request_id, token, deadline)
    values ($1::bigint, $2::text, $3::jsonb, $4::text, $5::text, $6::uuid,
            now() + $7::bigint * interval '1 millisecond')
    on conflict do nothing
    returning id
)
select id
  from made
union all
select c.id
  from commands c
 where not exists (select from made)
   and (c.token = $6::uuid
        or (c.run_key = $1::bigint and c.kind = $2::text and c.state in ('requested', 'running')))
 limit 1;
