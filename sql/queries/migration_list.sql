-- name:   migration_list
-- params: none
-- result: one row per applied migration in order: name, checksum, oldest program
SELECT name, checksum, oldest_program
  FROM schema_migrations
 ORDER BY name;
