-- name:   catalog_store
-- params: kind text, ok bool, body json (null: keep the last one), detail text
-- result: none
insert into runtime_catalog as c (kind, ok, body, detail, fetched_at)
values ($1, $2::boolean, $3::json, $4, case when $2::boolean then now() end)
on conflict (kind) do update
   set ok = excluded.ok, body = coalesce(excluded.body, c.body), detail = excluded.detail,
       fetched_at = coalesce(excluded.fetched_at, c.fetched_at), checked_at = now();
