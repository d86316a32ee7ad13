-- name:   commands_notify
-- params: ids text[]
-- result: none
select pg_notify('macp_done', id) from unnest($1::text[]) as id;
