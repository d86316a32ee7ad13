-- name:   sizes_list
-- params: none
-- result: every table, the largest first: name, about how many rows, bytes of the rows, bytes of the indexes
select c.relname,
       greatest(coalesce(s.n_live_tup, 0), case when s.n_live_tup > 0 then 0 else c.reltuples end,
                0)::bigint,
       pg_table_size(c.oid), pg_indexes_size(c.oid)
  from pg_class c
  left join pg_stat_all_tables s on s.relid = c.oid
 where c.relnamespace = 'macp'::regnamespace
   and c.relkind = 'r'
 order by pg_total_relation_size(c.oid) desc, c.relname;
