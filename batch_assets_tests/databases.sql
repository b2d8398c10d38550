-- name: be_the_only_one
-- Else a copy of a database would take itself for what it is; and the server's lists show nothing
-- that is not known here, as after a look at them.
UPDATE batch_assets.installation AS i
SET database_name = current_database(),
    incarnation =
-- here: incarnation
    , incarnation_at = clock_timestamp(),
    doubt = NULL
