-- name: read
SELECT m.mode, m.chosen_by, m.chosen_at
FROM batch_assets.query_mode AS m

-- name: keep
INSERT INTO batch_assets.query_mode AS m (mode, chosen_by, chosen_at)
VALUES (:mode, :chosen_by, clock_timestamp())
ON CONFLICT (only_row) DO UPDATE
SET mode = excluded.mode, chosen_by = excluded.chosen_by, chosen_at = excluded.chosen_at
RETURNING m.mode, m.chosen_by, m.chosen_at

-- name: forget
DELETE FROM batch_assets.query_mode
