-- Deliveries are taken webhook by webhook, so that one that does not answer delays its own only;
-- and one whose endpoint says it is gone is switched off by the daemon.
--
-- oldest-program: 3

drop index webhook_deliveries_due;
create index webhook_deliveries_due on webhook_deliveries (webhook_key, next_attempt_at, id)
    where status = 'pending';
create index webhook_deliveries_taken on webhook_deliveries (webhook_key)
    where status = 'pending' and lease_until > '-infinity';

-- Also what a row lock on the webhook asks for, while deliveries are written for it.
grant update (active, updated_at) on webhooks to macp_observer;
