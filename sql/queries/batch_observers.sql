-- name:   batch_observers
-- params: arrays, one element per run; poll_remaining_ms null leaves the deadline alone; closing releases the run
-- result: none
update run_observers o
   set epoch = b.epoch,
       session_state = b.session_state,
       session_started_ms = b.session_started_ms,
       session_expires_ms = b.session_expires_ms,
       observer_state = b.observer_state,
       poll_deadline = coalesce(now() + b.poll_remaining_ms * interval '1 millisecond', o.poll_deadline),
       closed = b.closed,
       owner = case when b.closed then null else o.owner end
  from unnest($1::bigint[], $2::integer[], $3::text[], $4::bigint[], $5::bigint[], $6::text[],
              $7::bigint[], $8::boolean[])
       as b (run_key, epoch, session_state, session_started_ms, session_expires_ms, observer_state,
             poll_remaining_ms, closed)
 where o.run_key = b.run_key;
