-- name:   migration_owner
-- params: none
-- result: none; until the end of the transaction all that is made belongs to macp_owner
SET LOCAL ROLE macp_owner;
