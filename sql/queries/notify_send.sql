-- name:   notify_send
-- params: 1 channel text, 2 payload text
-- result: one row that says nothing
select pg_notify($1::text, $2::text);
