-- name:   migration_lock
-- params: none
-- result: one row, ignored
--
-- Waits for another migrator. The lock ends with the transaction, also when its holder dies.
SELECT pg_advisory_xact_lock(7230165410);
