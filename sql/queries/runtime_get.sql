-- name:   runtime_get
-- params: 1 kind text
-- result: zero or one row: what the runtime said last: body json (null: nothing ever), how many
--         seconds ago, whether any call succeeded within 15 s, detail of the last attempt
select c.body, floor(extract(epoch from now() - c.fetched_at))::bigint,
       coalesce((select max(k.fetched_at) > now() - interval '15 seconds' from runtime_catalog k),
                false),
       c.detail
  from runtime_catalog c
 where c.kind = $1::text;
