-- name:   events_notify
-- params: payloads text[]
-- result: none
select pg_notify('macp_evt', p) from unnest($1::text[]) as p;
