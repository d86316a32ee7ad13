-- name:   tombstones_forget
-- params: none
-- result: none; sessions whose run was removed a month ago, longer than a runtime lists them
delete from session_tombstones where created_at < now() - interval '30 days';
