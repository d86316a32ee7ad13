-- A request that is sent again because its connection broke is one command, not two.
--
-- oldest-program: 3

alter table commands add column token uuid;
create unique index commands_token on commands (token) where token is not null;
