-- name:   rebuild_begin
-- params: none
-- result: none; a transaction is open
begin;
