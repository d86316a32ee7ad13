-- name:   batch_artifacts
-- params: arrays run_key bigint, id uuid, kind text, label text, inline json
-- result: none
insert into run_artifacts (run_key, id, kind, label, inline)
select * from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::json[])
on conflict (id) do nothing;
