-- name:   rebuild_rollback
-- params: none
-- result: none; the transaction is undone
rollback;
