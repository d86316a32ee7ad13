-- name:   webhooks_list
-- params: none
-- result: webhooks, oldest first: the columns of enum webhook_column, then how many deliveries
--         there are, succeeded and failed, and when the last one succeeded
select w.id, w.url, to_json(w.events), w.active, w.created_at, w.updated_at,
       coalesce(d.total, 0), coalesce(d.succeeded, 0), coalesce(d.failed, 0), d.last_delivered_at
  from webhooks w
  left join (select webhook_key, count(*) as total,
                    count(*) filter (where status = 'delivered') as succeeded,
                    count(*) filter (where status = 'failed') as failed,
                    max(delivered_at) as last_delivered_at
               from webhook_deliveries
              group by webhook_key) d using (webhook_key)
 order by w.created_at, w.id;
