-- name:   migration_state
-- params: none
-- result: one row: encoding of the database, whether it was migrated before
--
-- Asked behind the lock, never together with it: a statement that waits keeps what it has
-- already learnt of the catalog.
SELECT pg_encoding_to_char(encoding), to_regclass('macp.schema_migrations') IS NOT NULL
  FROM pg_database
 WHERE datname = current_database();
