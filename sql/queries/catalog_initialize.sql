-- name:   catalog_initialize
-- params:
-- result: zero or one row: reachable (a call succeeded within 15 s), body json, detail
select (select max(k.fetched_at) > now() - interval '15 seconds' from runtime_catalog k),
       c.body,
       c.detail
  from runtime_catalog c
 where c.kind = 'initialize';
