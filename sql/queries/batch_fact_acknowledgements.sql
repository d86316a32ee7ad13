-- name:   batch_fact_acknowledgements
-- params: arrays run_key bigint, seq int, ts timestamptz, signal_id text, acknowledged_by text
-- result: none; one that knows no earlier signal of its run changes nothing
--
-- Runs behind the signals of the same batch. The first signal of an id is meant; of several
-- acknowledgements the last one tells when, and the last one that says so tells by whom.
with given as (
    select a.*,
           (select min(s.seq)
              from run_signals s
             where s.run_key = a.run_key and s.signal_id = a.signal_id and s.seq < a.seq) as signal_seq
      from unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::text[], $5::text[])
               as a (run_key, seq, ts, signal_id, acknowledged_by)
), latest as (
    select run_key, signal_seq, (array_agg(ts order by seq desc))[1] as ts,
           (array_agg(acknowledged_by order by seq desc)
                filter (where acknowledged_by is not null))[1] as acknowledged_by
      from given
     where signal_seq is not null
     group by run_key, signal_seq
)
update run_signals s
   set acknowledged_at = l.ts, acknowledged_by = coalesce(l.acknowledged_by, s.acknowledged_by)
  from latest l
 where s.run_key = l.run_key and s.seq = l.signal_seq;
