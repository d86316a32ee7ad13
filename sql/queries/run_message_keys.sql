-- name:   run_message_keys
-- params: arrays run_key bigint, day (days since 1970) int, epoch int
-- result: run_key, message_id, message_type, sender of the envelopes stored in that epoch
--
-- Ambient envelopes without an id are told apart by their bytes.
select e.run_key,
       case when e.source = 'ambient' and e.message_id = ''
            then 'sha256:' || encode(sha256(e.body), 'hex') else e.message_id end,
       e.message_type, e.sender, e.source
  from unnest($1::bigint[], $2::integer[], $3::integer[]) as v (run_key, day, epoch)
  join run_events_raw e
    on e.day = date '1970-01-01' + v.day and e.run_key = v.run_key and e.epoch = v.epoch
 where e.message_type is not null;
