-- name:   migration_record
-- params: name text, checksum text, oldest program integer
-- result: none
INSERT INTO schema_migrations (name, checksum, oldest_program)
VALUES ($1, $2, $3);
