-- name:   migration_commit
-- params: none
-- result: none; the transaction is stored
COMMIT;
