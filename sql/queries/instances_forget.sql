-- name:   instances_forget
-- params: none
-- result: none; rows of instances that have been dead for a day
delete from observer_instances where alive_until < now() - interval '1 day';
