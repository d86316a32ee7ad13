-- name:   migration_begin
-- params: none
-- result: none; a transaction is open
BEGIN;
