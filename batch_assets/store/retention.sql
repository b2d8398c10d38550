-- name: count_metrics
SELECT count(*) FROM batch_assets.run_metric AS m WHERE m.recorded_at < :before

-- name: delete_metrics
DELETE FROM batch_assets.run_metric AS m
USING (
    SELECT o.id
    FROM batch_assets.run_metric AS o
    WHERE o.recorded_at < :before
    ORDER BY o.recorded_at
    LIMIT :limit
) AS old
WHERE m.id = old.id

-- name: count_readings
-- Of whole batches, so that what is left of one is what its answers have cost.
SELECT count(*)
FROM batch_assets.run_reading AS r
WHERE r.read_at < :before
    AND NOT EXISTS (
        SELECT
        FROM batch_assets.run_reading AS o
        LEFT JOIN batch_assets.run_metric AS m ON m.run_id = o.run_id
        WHERE o.batch_id = r.batch_id AND (o.read_at >= :before OR m.recorded_at >= :before)
    )

-- name: delete_readings
-- A batch's go at once. No run is left with a part of its own as long as it has its metrics.
DELETE FROM batch_assets.run_reading AS r
USING (
    SELECT o.batch_id
    FROM batch_assets.run_reading AS o
    LEFT JOIN batch_assets.run_metric AS m ON m.run_id = o.run_id
    WHERE o.batch_id IN (
        SELECT s.batch_id
        FROM batch_assets.run_reading AS s
        WHERE s.read_at < :before
    )
    GROUP BY o.batch_id
    HAVING max(o.read_at) < :before AND count(m.run_id) = 0
    ORDER BY max(o.read_at)
    LIMIT :limit
) AS old
WHERE r.batch_id = old.batch_id

-- name: count_operations
SELECT count(*) FROM batch_assets.operation_run AS r WHERE r.recorded_at < :before

-- name: delete_operations
DELETE FROM batch_assets.operation_run AS r
USING (
    SELECT o.id
    FROM batch_assets.operation_run AS o
    WHERE o.recorded_at < :before
    ORDER BY o.recorded_at
    LIMIT :limit
) AS old
WHERE r.id = old.id

-- name: count_acts
SELECT count(*) FROM batch_assets.livedash_act AS a WHERE a.noticed_at < :before

-- name: delete_acts
DELETE FROM batch_assets.livedash_act AS a
USING (
    SELECT o.id
    FROM batch_assets.livedash_act AS o
    WHERE o.noticed_at < :before
    ORDER BY o.noticed_at
    LIMIT :limit
) AS old
WHERE a.id = old.id

-- name: has_tables
-- Dagster makes its tables when it is first used, and other versions may have others.
SELECT to_regclass('dagster.asset_check_executions') IS NOT NULL
    AND to_regclass('dagster.event_logs') IS NOT NULL

-- part: old_evaluations
-- The latest of each check stays, however old: the Catalog shows it.
WHERE e.create_timestamp < CAST(:before AS timestamptz)::timestamp
    AND EXISTS (
        SELECT
        FROM dagster.asset_check_executions AS newer
        WHERE newer.asset_key = e.asset_key
            AND newer.check_name = e.check_name
            AND newer.id > e.id
    )

-- name: count_evaluations
SELECT count(*)
FROM dagster.asset_check_executions AS e
-- here: old_evaluations

-- name: delete_evaluations
DELETE FROM dagster.asset_check_executions AS d
USING (
    SELECT e.id
    FROM dagster.asset_check_executions AS e
    -- here: old_evaluations
    ORDER BY e.id
    LIMIT :limit
) AS old
WHERE d.id = old.id

-- part: old_events
-- Events of assets that were reported outside any run; the latest of each asset stays.
WHERE e.run_id = ''
    AND e.timestamp < CAST(:before AS timestamptz) AT TIME ZONE 'UTC'
    AND EXISTS (
        SELECT
        FROM dagster.event_logs AS newer
        WHERE newer.asset_key = e.asset_key
            AND newer.dagster_event_type = e.dagster_event_type
            AND newer.id > e.id
    )

-- name: count_events
SELECT count(*)
FROM dagster.event_logs AS e
-- here: old_events

-- name: delete_events
DELETE FROM dagster.event_logs AS d
USING (
    SELECT e.id
    FROM dagster.event_logs AS e
    -- here: old_events
    ORDER BY e.id
    LIMIT :limit
) AS old
WHERE d.id = old.id
