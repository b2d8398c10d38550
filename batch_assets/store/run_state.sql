-- name: keep
-- What an op that is executed again hands on replaces what it did before. What is older than a day is
-- of no use any more.
WITH old AS (
    DELETE FROM batch_assets.run_state AS o
    WHERE o.recorded_at < clock_timestamp() - interval '1 day'
)
INSERT INTO batch_assets.run_state AS s (run_id, op, state, recorded_at)
VALUES (:run_id, :op, CAST(:state AS jsonb), clock_timestamp())
ON CONFLICT (run_id, op) DO UPDATE
SET state = excluded.state, recorded_at = excluded.recorded_at

-- name: read
SELECT s.state
FROM batch_assets.run_state AS s
WHERE s.run_id = :run_id AND s.op = :op
