-- name:   export_raw
-- params: 1 runId uuid, 2 afterSeq integer, 3 limit bigint, 4 bytes bigint
-- result: the next raw rows by seq: seq, source, received_at, created_at, undecodable, body. At
--         most so many, and no more than about so many bytes, but at least one when there is one
select p.seq, p.source, p.received_at, p.created_at, p.undecodable, p.body
  from (select e.seq, e.source, e.received_at, e.created_at, e.undecodable, e.body,
               sum(octet_length(e.body)) over (order by e.seq) as gathered,
               octet_length(e.body) as own
          from run_events_raw e
         where e.day = (select r.day from runs r where r.id = $1::uuid)
           and e.run_key = (select r.run_key from runs r where r.id = $1::uuid)
           and e.seq > $2::integer
         order by e.seq
         limit $3::bigint) p
 where p.gathered - p.own <= $4::bigint
 order by p.seq;
