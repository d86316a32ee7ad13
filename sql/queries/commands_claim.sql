-- name:   commands_claim
-- params: 1 instance_id uuid, 2 lease_ms int, 3 limit int
-- result: commands that are ours to carry out now: id, kind, args, result (null: nobody has
--         accepted it yet); of its run, null when it is about none: run_key, id, session_id,
--         callback_url, callback_bearer, cancel_delegated, status, ms since its cancellation was
--         accepted, whether nobody observes it any more
--
-- About a run: whoever observes it, and anybody once nobody does any more. What may wait for ever
-- comes last: there may be more of it than are claimed at once.
with due as (
    select c.id
      from commands c
      left join run_observers o using (run_key)
     where c.state in ('requested', 'running')
       and c.lease_until < now()
       and c.deadline > now()
       and (c.run_key is null or o.owner = $1::uuid or o.closed)
     order by c.deadline = 'infinity', c.id
     limit $3::integer
       for update of c skip locked
), taken as (
    update commands c
       set state = 'running', owner = $1::uuid,
           lease_until = now() + $2::integer * interval '1 millisecond'
      from due
     where c.id = due.id
    returning c.id, c.kind, c.args, c.result, c.run_key
)
select t.id, t.kind, t.args, t.result,
       r.run_key, r.id, r.session_id, r.callback_url, r.callback_bearer, r.cancel_delegated, r.status,
       (extract(epoch from now() - r.cancel_requested_at) * 1000)::bigint, o.closed
  from taken t
  left join runs r using (run_key)
  left join run_observers o using (run_key)
 order by t.id;
