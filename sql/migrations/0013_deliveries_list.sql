-- Deliveries of a webhook are listed from an index, however many there are.
--
-- oldest-program: 3

create index webhook_deliveries_list on webhook_deliveries (webhook_key, id) include (status);
