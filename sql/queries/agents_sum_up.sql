-- name:   agents_sum_up
-- params: none
-- result: one row: whether a block of runs was summed up, and another one may be next
select sum_up_agents();
