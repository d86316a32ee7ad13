-- name:   gaps_list
-- params: 1 runId uuid
-- result: what is missing of a run, in the order it was noted: kind, epoch, from_ordinal,
--         to_ordinal, from_ts, to_ts, detail, noted_at
select g.kind, g.epoch, g.from_ordinal, g.to_ordinal, g.from_ts, g.to_ts, g.detail, g.noted_at
  from observer_gaps g
 where g.run_key = (select r.run_key from runs r where r.id = $1::uuid)
 order by g.gap_key;
