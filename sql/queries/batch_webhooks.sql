-- name:   batch_webhooks
-- params: arrays, one element per transition that subscribers are told about: run_key,
--         how many transitions of the run are in the batch up to this one, event, body
-- result: none
--
-- Runs before the statement that moves the version of the runs. A webhook that is being deleted is
-- left out instead of waited for; a delivery behind one that waits for its next attempt waits with
-- it.
insert into webhook_deliveries (public_id, webhook_key, run_key, run_version, event, body,
                                next_attempt_at)
select gen_random_uuid(), w.webhook_key, r.run_key, r.version + b.step, b.event, b.body,
       greatest(now(), (select max(d.next_attempt_at)
                          from webhook_deliveries d
                         where d.webhook_key = w.webhook_key and d.run_key = r.run_key
                           and d.status = 'pending'))
  from unnest($1::bigint[], $2::integer[], $3::text[], $4::text[]) as b (run_key, step, event, body)
  join runs r using (run_key)
  join webhooks w on w.active and (w.events = '{}' or b.event = any (w.events))
 order by r.run_key, b.step, w.webhook_key
   for key share of w skip locked;
