-- name:   db_timeout
-- params: milliseconds text, 0 for none
-- result: one row, ignored
--
-- Sent in front of the next pipeline when a connection's time limit was changed.
SELECT set_config('statement_timeout', $1, false);
