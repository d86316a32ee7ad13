-- name:   json_check
-- params: data jsonb in binary form
-- result: none; fails when Postgres cannot read it
select $1::jsonb is not null;
