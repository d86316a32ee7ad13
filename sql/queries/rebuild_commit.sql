-- name:   rebuild_commit
-- params: none
-- result: none; the transaction is stored
commit;
