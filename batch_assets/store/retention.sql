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
